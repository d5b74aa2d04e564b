"""SQL of the allowlist's publications: the list at a serial, deltas, and held changes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    case,
    func,
    literal,
    not_,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from app.allowlist.delta import Delta, Removal
from app.allowlist.guards import WindowPublication
from app.allowlist.models import Entry, Feed, HeldChange, Publication
from app.allowlist.schemas import HeldQuery
from app.allowlist.snapshot import ListedNetwork
from app.core.database.pagination import PageQuery, fetch_page
from app.core.database.transaction import Transaction
from app.core.errors import NotFound

MAX_OUT_OF_ORDER = 100  # publications whose times may be out of order after a clock was set back
ADDITION_PENDING = Entry.added_serial.is_(None)


@dataclass(frozen=True, slots=True)
class ListDigest:
    """The number of networks in force and the digest of their list, as the database computes them."""

    count: int
    digest: str


async def lock_feed(tx: Transaction) -> None:
    """Take the publisher's advisory lock, and keep out table rewrites, until the transaction ends.

    Disables the statement timeout: the duration of a publication grows with its size.
    """
    await tx.execute(text("SET LOCAL statement_timeout = 0"))
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtext("allowlist-publisher"))))
    await tx.execute(text("LOCK TABLE allowlist_feed, allowlist_entries, publications IN ACCESS SHARE MODE"))


async def feed_session(tx: Transaction) -> UUID | None:
    """The session of the feed, or None when its row is missing."""
    found: UUID | None = await tx.scalar(select(Feed.session))
    return found


async def last_publication(tx: Transaction) -> Publication | None:
    """The newest publication, or None before the first."""
    statement = select(Publication).order_by(Publication.serial.desc()).limit(1)
    newest: Publication | None = await tx.scalar(statement)
    return newest


async def publications_in_window(tx: Transaction, length: timedelta) -> list[WindowPublication]:
    """The last publication before a window that ends now (an empty one if there is none), and those within it."""
    start = func.now() - length
    before = select(Publication.serial).where(Publication.published_at <= start)
    before = before.order_by(Publication.serial.desc()).limit(1)  # a backward scan, only as far as the window reaches
    counted = (Publication.added - Publication.exempt_added, Publication.removed - Publication.exempt_removed)
    statement = select(Publication.serial, Publication.count, *counted).order_by(Publication.serial)
    first = await tx.scalar(before) or 0
    rows = await tx.execute(statement.where(Publication.serial >= first))
    found = [WindowPublication(*counts) for _, *counts in rows]
    return found if first else [WindowPublication(0, 0, 0), *found]


async def list_digest(tx: Transaction) -> ListDigest:
    """Count and digest of the networks in force, which the database sorts and hashes itself."""
    network = func.text(Entry.network)
    lines = func.string_agg(network, aggregate_order_by(literal("\n", Text), Entry.network))
    canonical = case((func.count() > 0, lines.op("||")(literal("\n", Text))), else_="")
    digest = func.encode(func.sha256(func.convert_to(canonical, "UTF8")), "hex")
    in_force = and_(not_(ADDITION_PENDING), Entry.removed_serial.is_(None))
    count, found = (await tx.execute(select(func.count(), digest).where(in_force))).one()
    return ListDigest(count, found)


def _in_force_at(serial: int) -> ColumnElement[bool]:
    return and_(Entry.added_serial <= serial, or_(Entry.removed_serial.is_(None), Entry.removed_serial > serial))


async def entries_at(tx: Transaction, serial: int) -> Sequence[tuple[str, int]]:
    """The networks in force at a serial, each with the serial that added it."""
    statement = select(Entry.network, Entry.added_serial).where(_in_force_at(serial))
    return [(network, added or serial) for network, added in await tx.execute(statement)]


async def networks_at(tx: Transaction, serial: int) -> str:
    """The networks in force at a serial, one per line, in no order.

    They are one value, since decoding a million rows in the driver would block the event loop.
    """
    statement = select(func.string_agg(func.text(Entry.network), "\n")).where(_in_force_at(serial))
    lines: str | None = await tx.scalar(statement)
    return lines or ""


async def network_at(tx: Transaction, address: str, serial: int) -> ListedNetwork | None:
    """The network that contained an address at a serial, or None."""
    statement = select(Entry.network, Entry.added_serial)
    statement = statement.where(Entry.network.op(">>=")(address), _in_force_at(serial))
    in_force, gone = Entry.removed_serial.is_(None), Entry.removed_serial.is_not(None)
    either = union_all(statement.where(in_force), statement.where(gone))  # each has its own partial index
    found = (await tx.execute(either.limit(1))).one_or_none()
    return ListedNetwork(found[0], found[1] or serial) if found else None


async def deltas_of(tx: Transaction, publications: Sequence[Publication]) -> list[Delta]:
    """The deltas of consecutive publications, from the entries.

    A publication whose counts the entries do not match has no delta, and neither have those before it.
    """
    if not publications:
        return []
    first, last = publications[0].serial, publications[-1].serial
    added: dict[int, list[str]] = defaultdict(list)
    removed: dict[int, list[Removal]] = defaultdict(list)
    additions = select(Entry.added_serial, Entry.network).where(Entry.added_serial.between(first, last))
    for serial, network in await tx.execute(additions.order_by(Entry.network)):
        added[serial or 0].append(network)
    columns = (Entry.removed_serial, Entry.network, Entry.withdrawn_reason)
    removals = select(*columns).where(Entry.removed_serial.between(first, last)).order_by(Entry.network)
    for serial, network, reason in await tx.execute(removals):
        removed[serial or 0].append({"network": network, "reason": reason or "withdrawn"})
    deltas: list[Delta] = []
    for p in publications:
        if (p.added, p.removed) != (len(added[p.serial]), len(removed[p.serial])):
            deltas.clear()
            continue
        deltas.append(Delta(p.serial, p.published_at, added[p.serial], removed[p.serial], p.digest, p.previous_digest))
    return deltas


async def publications_after(tx: Transaction, serial: int, limit: int | None = None) -> Sequence[Publication]:
    """The publications after a serial in order, all of them or the first ``limit``."""
    statement = select(Publication).where(Publication.serial > serial).order_by(Publication.serial).limit(limit)
    return (await tx.scalars(statement)).all()


async def has_serials_after(tx: Transaction, serial: int) -> bool:
    """True when an entry has a serial after the newest publication's, so that publications were lost."""
    columns = (Entry.added_serial, Entry.removed_serial)
    later = (select(Entry.id).where(column > serial).exists() for column in columns)
    return bool(await tx.scalar(select(or_(*later))))


async def serial_before_deltas(tx: Transaction, newest: Publication, max_deltas: int, max_changes: int) -> int:
    """The serial that the kept deltas start from: at most ``max_deltas`` of them, with ``max_changes`` together."""
    last = select(Publication.serial, Publication.added + Publication.removed).where(
        Publication.serial > newest.serial - max_deltas, Publication.serial <= newest.serial
    )
    serial, changes = last.subquery("last").c
    since = select(serial, func.sum(changes).over(order_by=serial.desc()).label("changes")).subquery("since")
    first = await tx.scalar(select(func.min(since.c.serial)).where(since.c.changes <= max_changes))
    return (first or newest.serial + 1) - 1


async def add_publication(tx: Transaction, publication: Publication) -> None:
    """Insert a publication."""
    tx.add(publication)
    await tx.flush()


async def publication_at(tx: Transaction, instant: datetime) -> Publication:
    """The newest publication at a time. Raises ``NotFound`` before the first.

    Takes the highest serial of the last few before that time, since a clock that was set back puts them out of order.
    """
    before = select(Publication.serial).where(Publication.published_at <= instant)
    last = before.order_by(Publication.published_at.desc()).limit(MAX_OUT_OF_ORDER).subquery("last")
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


async def publication_times(tx: Transaction, serial: int) -> dict[int, datetime]:
    """The times of the serials that added the networks in force at ``serial``."""
    adding = select(Entry.added_serial).where(_in_force_at(serial))
    statement = select(Publication.serial, Publication.published_at).where(Publication.serial.in_(adding))
    return dict((await tx.execute(statement)).all())


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
    """One held change, with ``lock`` by SELECT FOR UPDATE. Raises ``NotFound``."""
    held = await tx.get(HeldChange, held_id, with_for_update=lock)
    if held is None:
        raise NotFound
    return held


async def deciders_of(tx: Transaction, held_id: UUID) -> set[UUID]:
    """The ids of the clients whose decisions are part of a held change."""
    decider = case((ADDITION_PENDING, Entry.granted_by), else_=Entry.withdrawn_by)
    found = await tx.scalars(select(decider).where(Entry.held_id == held_id).distinct())
    return {client_id for client_id in found if client_id is not None}


async def release(tx: Transaction, held: HeldChange, client_id: UUID) -> None:
    """Record the release of a held change by a client."""
    held.released_by = client_id
    held.released_at = await tx.scalar(select(func.now()))
    await tx.flush()
