"""Every SQL statement about entries and publications."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Text, Uuid, and_, case, func, or_, select, text, true, update
from sqlalchemy.dialects.postgresql import CIDR, insert

from app.allowlist.models import Entry, Feed, Publication
from app.core.db import ReadSession, WriteSession
from app.core.errors import NotFound
from app.core.orm import among, looked_up, recordset
from app.core.pagination import PageQuery, fetch_page

NOT_SYNCHRONIZED = {"synchronize_session": False}


@dataclass(frozen=True, slots=True)
class Grant:
    """A network to put on the list for a registration, and who answers for it."""

    network: str
    registration_id: UUID
    holder: str


@dataclass(frozen=True, slots=True)
class Overlap:
    """A granted network that shares addresses with network ``index`` of item ``item``."""

    item: int
    index: int
    holder: str


async def overlaps(session: ReadSession, networks: Sequence[dict[str, Any]]) -> list[Overlap]:
    """The granted entries that overlap any of ``networks`` (each with ``item``, ``index``, ``network``)."""
    batch = recordset("asked", {"item": Integer, "index": Integer, "network": CIDR}, networks)
    in_force = and_(Entry.removed_serial.is_(None), Entry.network.op("&&")(batch.c.network))
    met = looked_up(select(Entry.holder).where(in_force), "met")
    statement = select(batch.c.item, batch.c.index, met.c.holder).join(met, true())
    return [Overlap(*row) for row in await session.execute(statement)]


async def revive(session: WriteSession, registration_ids: Collection[UUID]) -> None:
    """Take back withdrawals that were not published yet."""
    await session.execute(
        update(Entry)
        .where(
            among(Entry.registration_id, registration_ids),
            Entry.withdrawn_at.is_not(None),
            Entry.removed_serial.is_(None),
        )
        .values(withdrawn_at=None, withdrawn_reason=None)
        .execution_options(**NOT_SYNCHRONIZED)
    )


async def grant(session: WriteSession, grants: Sequence[Grant]) -> None:
    """Insert entries in the given order, leaving out those that overlap one that is there."""
    kinds = {"network": CIDR, "registration_id": Uuid, "holder": Text}
    rows = [asdict(each) for each in grants]
    batch = recordset("granted", kinds, rows)
    await session.execute(insert(Entry).from_select(list(kinds), select(*batch.c)).on_conflict_do_nothing())


async def count_granted(session: ReadSession, registration_ids: Collection[UUID]) -> dict[UUID, int]:
    """How many networks of each of these registrations are granted now."""
    granted = and_(Entry.removed_serial.is_(None), Entry.withdrawn_at.is_(None))
    statement = (
        select(Entry.registration_id, func.count())
        .where(among(Entry.registration_id, registration_ids), granted)
        .group_by(Entry.registration_id)
    )
    return dict((await session.execute(statement)).all())


async def withdraw(session: WriteSession, registration_ids: Collection[UUID], reason: str) -> None:
    """Withdraw the entries of registrations; the next publication removes those that were published."""
    await session.execute(
        update(Entry)
        .where(
            among(Entry.registration_id, registration_ids), Entry.withdrawn_at.is_(None), Entry.removed_serial.is_(None)
        )
        .values(
            withdrawn_at=func.now(),
            withdrawn_reason=reason,
            added_serial=func.coalesce(Entry.added_serial, 0),
            removed_serial=case((Entry.added_serial.is_(None), 0)),
        )
        .execution_options(**NOT_SYNCHRONIZED)
    )


async def lock_feed(session: WriteSession) -> None:
    """Be the one publisher until the transaction ends, and keep table rewrites out."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtext("allowlist-publisher"))))
    await session.execute(text("LOCK TABLE allowlist_feed, allowlist_entries, publications IN ACCESS SHARE MODE"))


async def feed_session(session: ReadSession) -> UUID | None:
    """The session of the feed, or None when its row is missing."""
    found: UUID | None = await session.scalar(select(Feed.session))
    return found


async def last_publication(session: ReadSession) -> Publication | None:
    """The newest publication, if there is any."""
    statement = select(Publication).order_by(Publication.serial.desc()).limit(1)
    newest: Publication | None = await session.scalar(statement)
    return newest


async def take_pending(session: WriteSession, serial: int) -> tuple[list[str], list[str]]:
    """Give ``serial`` to what is granted and not added, and to what is withdrawn and not removed."""
    added = await session.execute(
        update(Entry)
        .where(Entry.added_serial.is_(None))
        .values(added_serial=serial)
        .returning(Entry.network)
        .execution_options(**NOT_SYNCHRONIZED)
    )
    removed = await session.execute(
        update(Entry)
        .where(Entry.withdrawn_at.is_not(None), Entry.removed_serial.is_(None))
        .values(removed_serial=serial)
        .returning(Entry.network)
        .execution_options(**NOT_SYNCHRONIZED)
    )
    return list(added.scalars()), list(removed.scalars())


def _at(serial: int) -> Any:
    return and_(Entry.added_serial <= serial, or_(Entry.removed_serial.is_(None), Entry.removed_serial > serial))


async def entries_at(session: ReadSession, serial: int) -> Sequence[tuple[str, int]]:
    """The networks in force at a serial, each with the serial that added it."""
    statement = select(Entry.network, Entry.added_serial).where(_at(serial))
    return [(network, since or serial) for network, since in await session.execute(statement)]


async def count_at(session: ReadSession, serial: int) -> int:
    """How many networks are in force at a serial, counted by the database alone."""
    return await session.scalar(select(func.count()).select_from(Entry).where(_at(serial))) or 0


async def add_publication(session: WriteSession, publication: Publication) -> None:
    """Write a publication."""
    session.add(publication)
    await session.flush()


async def publication_times(session: ReadSession, after: int) -> dict[int, datetime]:
    """When each serial after ``after`` was published."""
    statement = select(Publication.serial, Publication.published_at).where(Publication.serial > after)
    return dict((await session.execute(statement)).all())


async def list_publications(session: ReadSession, query: PageQuery) -> tuple[Sequence[Publication], str | None]:
    """A page of publications, newest first."""
    return await fetch_page(
        session, select(Publication), Publication.serial, query, list_name="publications", descending=True
    )


async def get_publication(session: ReadSession, serial: int) -> Publication:
    """One publication. Raises ``NotFound``."""
    publication = await session.get(Publication, serial)
    if publication is None:
        raise NotFound
    return publication
