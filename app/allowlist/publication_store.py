"""The SQL of the feed: publications, what was in force at a serial, and what changed since."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, case, func, literal, not_, or_, select, text, union_all, update
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import InstrumentedAttribute
from uuid_utils.compat import uuid7

from app.allowlist.delta import Delta, Removal
from app.allowlist.guards import Change, HeldKind, Hold, Published
from app.allowlist.models import Entry, Feed, HeldChange, Publication
from app.allowlist.schemas import HeldQuery
from app.allowlist.snapshot import Held
from app.core.database.batches import any_of
from app.core.database.pagination import PageQuery, fetch_page
from app.core.database.transaction import Transaction
from app.core.errors import NotFound

OUT_OF_ORDER = 100
NOT_SYNCHRONIZED = {"synchronize_session": False}
TO_ADD = Entry.added_serial.is_(None)
TO_REMOVE = and_(Entry.withdrawn_at.is_not(None), Entry.removed_serial.is_(None))
RELEASED = Entry.held_id.in_(select(HeldChange.id).where(HeldChange.released_at.is_not(None)))


@dataclass(frozen=True, slots=True)
class Tally:
    """What the database alone says of the list that is in force: how many networks, and their digest."""

    count: int
    digest: str


async def lock_feed(tx: Transaction) -> None:
    """Be the one publisher until the transaction ends, and keep table rewrites out.

    A publication takes what its size asks for: no time-out holds for its statements.
    """
    await tx.execute(text("SET LOCAL statement_timeout = 0"))
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtext("allowlist-publisher"))))
    await tx.execute(text("LOCK TABLE allowlist_feed, allowlist_entries, publications IN ACCESS SHARE MODE"))


async def feed_session(tx: Transaction) -> UUID | None:
    """The session of the feed, or None when its row is missing."""
    found: UUID | None = await tx.scalar(select(Feed.session))
    return found


async def last_publication(tx: Transaction) -> Publication | None:
    """The newest publication, if there is any."""
    statement = select(Publication).order_by(Publication.serial.desc()).limit(1)
    newest: Publication | None = await tx.scalar(statement)
    return newest


async def window(tx: Transaction, length: timedelta) -> list[Published]:
    """The list as it stood ``length`` ago (empty before the first publication), and the publications since then."""
    start = func.now() - length
    # read from the newest backwards, as far as the window reaches
    before = select(Publication.serial).where(Publication.published_at <= start)
    before = before.order_by(Publication.serial.desc()).limit(1)
    counted = (Publication.added - Publication.exempt_added, Publication.removed - Publication.exempt_removed)
    statement = select(Publication.serial, Publication.count, *counted).order_by(Publication.serial)
    first = await tx.scalar(before) or 0
    since = await tx.execute(statement.where(Publication.serial >= first))
    found = [Published(*counts) for _, *counts in since]
    return found if first else [Published(0, 0, 0), *found]


async def take_pending(tx: Transaction, serial: int) -> tuple[Sequence[Change], Sequence[Change]]:
    """Give ``serial`` to what is granted and not added, and to what is withdrawn and not removed, unless it is held."""
    added = await _take(tx, TO_ADD, Entry.granted_in_mass, added_serial=serial)
    removed = await _take(tx, TO_REMOVE, Entry.withdrawn_in_mass, removed_serial=serial)
    return added, removed


async def _take(
    tx: Transaction, pending: ColumnElement[bool], in_mass: InstrumentedAttribute[bool], **serial: int
) -> list[Change]:
    taken = (
        update(Entry)
        .where(pending, or_(Entry.held_id.is_(None), RELEASED))
        .values(**serial)
        .returning(Entry.id, Entry.network, in_mass, Entry.held_id.is_not(None))
        .execution_options(**NOT_SYNCHRONIZED)
    )
    return [Change(*row) for row in await tx.execute(taken)]


async def hold(tx: Transaction, excess: Hold, in_force: int) -> HeldChange:
    """Take a serial back from changes that it was just given to, and hold them under one id."""
    numbers = {"count": len(excess.entry_ids), "in_window": excess.in_window, "bound": excess.bound}
    held = HeldChange(id=uuid7(), kind=excess.kind, in_force=in_force, **numbers)
    tx.add(held)
    await tx.flush()
    given = {HeldKind.GROWTH: "added_serial", HeldKind.REMOVAL: "removed_serial"}[excess.kind]
    marked = update(Entry).where(any_of(Entry.id, excess.entry_ids)).values(held_id=held.id, **{given: None})
    await tx.execute(marked.execution_options(**NOT_SYNCHRONIZED))
    return held


async def tally(tx: Transaction) -> Tally:
    """Count and digest of what is in force, computed by the database from its own order."""
    network = func.text(Entry.network)
    lines = func.string_agg(network, aggregate_order_by(literal("\n", Text), Entry.network))
    canonical = case((func.count() > 0, lines.op("||")(literal("\n", Text))), else_="")
    digest = func.encode(func.sha256(func.convert_to(canonical, "UTF8")), "hex")
    in_force = and_(not_(TO_ADD), Entry.removed_serial.is_(None))
    count, found = (await tx.execute(select(func.count(), digest).where(in_force))).one()
    return Tally(count, found)


def _at(serial: int) -> ColumnElement[bool]:
    return and_(Entry.added_serial <= serial, or_(Entry.removed_serial.is_(None), Entry.removed_serial > serial))


async def entries_at(tx: Transaction, serial: int) -> Sequence[tuple[str, int]]:
    """The networks in force at a serial, each with the serial that added it."""
    statement = select(Entry.network, Entry.added_serial).where(_at(serial))
    return [(network, since or serial) for network, since in await tx.execute(statement)]


async def networks_at(tx: Transaction, serial: int) -> str:
    """The networks in force at a serial, one a line, in no order.

    They come as one value: the driver takes long over a million rows, and the loop stands still meanwhile.
    """
    lines: str | None = await tx.scalar(select(func.string_agg(func.text(Entry.network), "\n")).where(_at(serial)))
    return lines or ""


async def holding(tx: Transaction, address: str, serial: int) -> Held | None:
    """The network that held an address at a serial, with the serial that added it."""
    statement = select(Entry.network, Entry.added_serial).where(Entry.network.op(">>=")(address), _at(serial))
    in_force, gone = Entry.removed_serial.is_(None), Entry.removed_serial.is_not(None)
    either = union_all(statement.where(in_force), statement.where(gone))  # each has an index of its own
    found = (await tx.execute(either.limit(1))).one_or_none()
    return Held(found[0], found[1] or serial) if found else None


async def deltas_after(tx: Transaction, publications: Sequence[Publication]) -> list[Delta]:
    """The deltas of these publications, which follow one another; only those after the last that lost its counts."""
    if not publications:
        return []
    first, last = publications[0].serial, publications[-1].serial
    added: dict[int, list[str]] = defaultdict(list)
    removed: dict[int, list[Removal]] = defaultdict(list)
    came = select(Entry.added_serial, Entry.network).where(Entry.added_serial.between(first, last))
    for serial, network in await tx.execute(came.order_by(Entry.network)):
        added[serial or 0].append(network)
    columns = (Entry.removed_serial, Entry.network, Entry.withdrawn_reason)
    went = select(*columns).where(Entry.removed_serial.between(first, last)).order_by(Entry.network)
    for serial, network, reason in await tx.execute(went):
        removed[serial or 0].append({"network": network, "reason": reason or "withdrawn"})
    sound: list[Delta] = []
    for p in publications:
        if (p.added, p.removed) != (len(added[p.serial]), len(removed[p.serial])):
            sound.clear()
            continue
        sound.append(Delta(p.serial, p.published_at, added[p.serial], removed[p.serial], p.digest, p.previous_digest))
    return sound


async def publications_after(tx: Transaction, serial: int, most: int | None = None) -> Sequence[Publication]:
    """The publications after a serial, in order: every one, or the first ``most``."""
    statement = select(Publication).where(Publication.serial > serial).order_by(Publication.serial).limit(most)
    return (await tx.scalars(statement)).all()


async def has_serials_after(tx: Transaction, serial: int) -> bool:
    """Whether an entry was given a serial that no publication has: publications were lost and entries were not."""
    later = (select(Entry.id).where(given > serial).exists() for given in (Entry.added_serial, Entry.removed_serial))
    return bool(await tx.scalar(select(or_(*later))))


async def oldest_kept(tx: Transaction, newest: Publication, most: int, most_changes: int) -> int:
    """The serial before the first whose delta is kept: of the last ``most``, those with ``most_changes`` together."""
    last = select(Publication.serial, Publication.added + Publication.removed).where(
        Publication.serial > newest.serial - most, Publication.serial <= newest.serial
    )
    serial, changes = last.subquery("last").c
    since = select(serial, func.sum(changes).over(order_by=serial.desc()).label("changes")).subquery("since")
    first = await tx.scalar(select(func.min(since.c.serial)).where(since.c.changes <= most_changes))
    return (first or newest.serial + 1) - 1


async def add_publication(tx: Transaction, publication: Publication) -> None:
    """Write a publication."""
    tx.add(publication)
    await tx.flush()


async def publication_at(tx: Transaction, instant: datetime) -> Publication:
    """The publication that was the newest at a time. Raises ``NotFound`` before the first.

    The last few before that time are looked at: where a clock went back, the last by time is not the last by serial.
    """
    before = select(Publication.serial).where(Publication.published_at <= instant)
    last = before.order_by(Publication.published_at.desc()).limit(OUT_OF_ORDER).subquery("last")
    newest = select(func.max(last.c.serial)).scalar_subquery()
    found: Publication | None = await tx.scalar(select(Publication).where(Publication.serial == newest))
    if found is None:
        raise NotFound("Nothing had been published at that time.")
    return found


async def get_publication(tx: Transaction, serial: int) -> Publication:
    """One publication. Raises ``NotFound``."""
    publication = await tx.get(Publication, serial)
    if publication is None:
        raise NotFound(f"There is no serial {serial}.")
    return publication


async def times_in_force(tx: Transaction, serial: int) -> dict[int, datetime]:
    """When each serial was published that added something that is in force at ``serial``."""
    adding = select(Entry.added_serial).where(_at(serial))
    statement = select(Publication.serial, Publication.published_at).where(Publication.serial.in_(adding))
    return dict((await tx.execute(statement)).all())


async def times_of(tx: Transaction, serial: int) -> dict[int, datetime]:
    """When one serial was published."""
    return {serial: (await get_publication(tx, serial)).published_at}


async def list_publications(tx: Transaction, query: PageQuery) -> tuple[Sequence[Publication], str | None]:
    """A page of publications, newest first."""
    return await fetch_page(
        tx, select(Publication), Publication.serial, query, list_name="publications", descending=True
    )


async def list_held(tx: Transaction, query: HeldQuery) -> tuple[Sequence[HeldChange], str | None]:
    """A page of held changes, oldest first."""
    statement = select(HeldChange)
    if query.released is not None:
        released = HeldChange.released_at.is_not(None)
        statement = statement.where(released if query.released else not_(released))
    return await fetch_page(tx, statement, HeldChange.id, query, list_name="held")


async def get_held(tx: Transaction, held_id: UUID, *, lock: bool = False) -> HeldChange:
    """One held change, locked for a change when ``lock``. Raises ``NotFound``."""
    held = await tx.get(HeldChange, held_id, with_for_update=lock)
    if held is None:
        raise NotFound
    return held


async def held_by(tx: Transaction, held_id: UUID) -> set[UUID]:
    """The clients whose decisions a held change is made of."""
    whose = case((TO_ADD, Entry.granted_by), else_=Entry.withdrawn_by)
    found = await tx.scalars(select(whose).where(Entry.held_id == held_id).distinct())
    return {client_id for client_id in found if client_id is not None}


async def release(tx: Transaction, held: HeldChange, client_id: UUID) -> None:
    """Note who let a held change go, and when."""
    held.released_by = client_id
    held.released_at = await tx.scalar(select(func.now()))
    await tx.flush()
