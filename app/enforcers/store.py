"""SQL of enforcers: recording what they loaded, comparing it with the publications, and their states over time."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Text,
    Uuid,
    and_,
    case,
    delete,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import aliased

from app.allowlist.models import Feed, Publication
from app.core.database.base import INSTANT, NOW
from app.core.database.batches import UUID7, Columns, any_of, json_rows
from app.core.database.pagination import decode_cursor, encode_cursor, fetch_page, matching
from app.core.database.transaction import Transaction
from app.core.principal import Principal
from app.enforcers.models import IS_APPLIED, IS_FETCHED, Enforcer, StateChange
from app.enforcers.rules import SILENT_AFTER, EnforcerState, Grade, Known, Position, operator_state
from app.enforcers.schemas import EnforcersQuery
from app.partners.models import Client, Partner

LIST = ("session", "serial", "digest")
NOT_SYNCHRONIZED = {"synchronize_session": False}

_published = aliased(Publication)
_newest = func.coalesce(select(func.max(_published.serial)).scalar_subquery(), 0)
_is_of_session = Enforcer.session == select(Feed.session).scalar_subquery()
# The serial up to which an enforcer has the publications; those of another session are none of this one's.
_held = case((_is_of_session, func.least(Enforcer.serial, _newest)), else_=0)
_is_published = (
    select(_published.serial)
    .where(_published.serial == Enforcer.serial, _published.digest == Enforcer.digest)
    .correlate(Enforcer)
    .exists()
)
MATCHES: ColumnElement[bool] = and_(_is_of_session, _is_published)
LACKS_SINCE: ColumnElement[datetime] = (
    select(_published.published_at).where(_published.serial == _held + 1).correlate(Enforcer).scalar_subquery()
)
_IS_HEARD = Enforcer.seen_at > NOW - SILENT_AFTER
# Enforcers whose state may be another than the recorded one.
_MAY_CHANGE = and_(
    not_(and_(Enforcer.state == EnforcerState.IN_STEP, MATCHES, LACKS_SINCE.is_(None), _IS_HEARD)),
    or_(Enforcer.state != EnforcerState.SILENT, _IS_HEARD),
)


async def lock_confirmations(tx: Transaction, partner_id: UUID) -> None:
    """Keep other transactions from confirming for the same partner, until this one ends."""
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"enforcers {partner_id}", 0))))


async def count_new(tx: Transaction, partner_id: UUID, names: Sequence[str]) -> tuple[int, int]:
    """Return how many of ``names`` the partner's enforcers do not have, and how many it has that confirm."""
    own = and_(Enforcer.partner_id == partner_id, Enforcer.grade == Grade.APPLIED)
    statement = select(func.count(), func.count().filter(any_of(Enforcer.name, names))).where(own)
    total, known = (await tx.execute(statement)).one()
    return len(names) - known, total


async def record_applied(tx: Transaction, principal: Principal, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert or update the enforcers of the caller's partner; one that applied a later list stays as it is.

    ``rows`` have ``name``, the columns of ``LIST``, and ``applied_at``.
    """
    kinds: Columns = {"name": Text, "session": Uuid, "serial": Integer, "digest": Text, "applied_at": INSTANT}
    given = json_rows("confirmed", kinds, rows)
    by = {
        "id": UUID7,
        "partner_id": literal(principal.partner_id, Uuid),
        "operator": literal(principal.operator, Text),
        "grade": literal(Grade.APPLIED.value, Text),
        "client_id": literal(principal.client_id, Uuid),
    }
    statement = postgresql.insert(Enforcer).from_select([*kinds, *by], select(*given.c, *by.values()))
    changed = {name: statement.excluded[name] for name in (*LIST, "client_id", "operator", "applied_at")}
    await tx.execute(
        statement.on_conflict_do_update(
            index_elements=[Enforcer.partner_id, Enforcer.name],
            index_where=IS_APPLIED,
            set_={**changed, "seen_at": NOW},
            where=statement.excluded.applied_at >= Enforcer.applied_at,
        )
    )


async def record_fetched(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert or update what operators' clients have fetched; other partners' clients enforce nothing.

    ``rows`` have ``client_id`` and the columns of ``LIST``.
    """
    kinds: Columns = {"client_id": Uuid, "session": Uuid, "serial": Integer, "digest": Text}
    given = json_rows("fetched", kinds, rows)
    of_client = {
        "id": UUID7,
        "partner_id": Client.partner_id,
        "operator": Partner.operator,
        "grade": literal(Grade.FETCHED.value, Text),
        "name": Client.name,
    }
    selected = (
        select(*given.c, *of_client.values())
        .join_from(given, Client, Client.id == given.c.client_id)
        .join(Partner, Partner.id == Client.partner_id)
        .where(Partner.operator.is_not(None))
        .order_by(given.c.client_id)  # every process locks the rows in one order
    )
    statement = postgresql.insert(Enforcer).from_select([*kinds, *of_client], selected)
    changed = {name: statement.excluded[name] for name in (*LIST, "name")}
    await tx.execute(
        statement.on_conflict_do_update(
            index_elements=[Enforcer.client_id], index_where=IS_FETCHED, set_={**changed, "seen_at": NOW}
        )
    )


def _with_position(statement: Select[Any]) -> Select[Any]:
    return statement.add_columns(MATCHES, _newest - _held, LACKS_SINCE)


async def by_names(tx: Transaction, partner_id: UUID, names: Sequence[str]) -> list[tuple[Enforcer, Position]]:
    """Return the enforcers of a partner that confirm under these names, locked, each with its position."""
    statement = select(Enforcer).where(
        Enforcer.partner_id == partner_id, Enforcer.grade == Grade.APPLIED, any_of(Enforcer.name, names)
    )
    return await _locked(tx, statement, skip_locked=False)


async def changing(tx: Transaction, after: UUID, limit: int) -> list[tuple[Enforcer, Position]]:
    """Return enforcers whose state may have changed, with higher ids than ``after``, locked, each with its position.

    Those that another transaction has locked are left out.
    """
    statement = select(Enforcer).where(_MAY_CHANGE, Enforcer.id > after).limit(limit)
    return await _locked(tx, statement, skip_locked=True)


async def _locked(tx: Transaction, statement: Select[Any], *, skip_locked: bool) -> list[tuple[Enforcer, Position]]:
    locked = statement.order_by(Enforcer.id).with_for_update(of=Enforcer, skip_locked=skip_locked)
    rows = await tx.execute(_with_position(locked).execution_options(populate_existing=True))
    return [(enforcer, Position(*position)) for enforcer, *position in rows]


async def change_states(tx: Transaction, states: Mapping[UUID, EnforcerState]) -> None:
    """Record new states of enforcers, as of now."""
    kinds = {"id": Uuid, "state": Text}
    given = json_rows("changed", kinds, [{"id": id_, "state": state} for id_, state in states.items()])
    changed = update(Enforcer).where(Enforcer.id == given.c.id).values(state=given.c.state, state_since=NOW)
    await tx.execute(changed.execution_options(**NOT_SYNCHRONIZED))
    past = select(Enforcer.id, Enforcer.partner_id, given.c.state, NOW).join(given, given.c.id == Enforcer.id)
    columns = ["enforcer_id", "partner_id", "state", "since"]
    await tx.execute(insert(StateChange).from_select(columns, past))


async def forget(tx: Transaction, kept: timedelta) -> None:
    """Delete the enforcers that were silent for this time, and the states that ended before it."""
    await tx.execute(delete(Enforcer).where(Enforcer.seen_at < NOW - kept))
    later = aliased(StateChange)
    next_one = select(later.since).where(
        later.enforcer_id == StateChange.enforcer_id,
        later.since > StateChange.since,
        later.since < NOW - kept,
    )
    await tx.execute(delete(StateChange).where(next_one.exists()).execution_options(**NOT_SYNCHRONIZED))


async def list_page(
    tx: Transaction, principal: Principal, query: EnforcersQuery
) -> tuple[list[tuple[Enforcer, Position]], str | None]:
    """Return a page of the enforcers that the caller may see, oldest first, and the cursor of the next page."""
    statement = select(Enforcer).where(*matching(Enforcer, query.filters()))
    if not principal.sees_all:
        statement = statement.where(Enforcer.partner_id == principal.partner_id)
    found, cursor = await fetch_page(tx, statement, Enforcer.id, query, list_name="enforcers")
    positions = select(Enforcer.id).where(any_of(Enforcer.id, [each.id for each in found]))
    by_id = {id_: Position(*position) for id_, *position in await tx.execute(_with_position(positions))}
    return [(each, by_id[each.id]) for each in found], cursor


async def list_operators(tx: Transaction, query: EnforcersQuery) -> tuple[list[tuple[str, Known]], str | None]:
    """Return a page of the operators with what their enforcers say together, by code, and the next page's cursor."""
    found = sorted((await operator_states(tx)).items())
    if query.cursor is not None:
        last = decode_cursor(tx.keyring, "enforcing operators", query.cursor)
        found = [each for each in found if each[0] > last]
    for allowed, value in ((query.operator, 0), (query.grade, 1), (query.state, 2)):
        if allowed is not None:
            found = [each for each in found if (each[0], each[1].grade, each[1].state)[value] in allowed]
    items = found[: query.limit]
    is_last = len(items) == len(found)
    return items, None if is_last else encode_cursor(tx.keyring, "enforcing operators", items[-1][0])


async def operator_states(
    tx: Transaction, operators: Collection[str] | None = None, moment: datetime | None = None
) -> dict[str, Known]:
    """Return what the enforcers of each operator say together, now or as of ``moment``.

    All operators that have enforcers, or those of these codes. The transaction is the service's own, since partners
    do not see others' enforcers.
    """
    state: ColumnElement[Any] = Enforcer.state.expression
    if moment is not None:
        begun = and_(StateChange.enforcer_id == Enforcer.id, StateChange.since <= moment)
        last = select(StateChange.state).where(begun).order_by(StateChange.since.desc()).limit(1)
        state = func.coalesce(last.correlate(Enforcer).scalar_subquery(), EnforcerState.IN_STEP.value)
    statement = select(Enforcer.operator, Enforcer.grade, state).distinct()
    if moment is not None:
        statement = statement.where(Enforcer.first_seen_at <= moment)
    if operators is not None:
        statement = statement.where(any_of(Enforcer.operator, operators))
    known: dict[str, list[Known]] = defaultdict(list)
    for operator, grade, found in await tx.execute(statement):
        known[operator].append(Known(Grade(grade), EnforcerState(found)))
    states = {operator: operator_state(each) for operator, each in known.items()}
    return {operator: each for operator, each in states.items() if each}


async def summary(tx: Transaction) -> tuple[dict[str, int], int, int]:
    """Return the number of enforcers in each state, and the median and the largest lag in seconds of those heard."""
    counts = dict((await tx.execute(select(Enforcer.state, func.count()).group_by(Enforcer.state))).all())
    lag = func.greatest(func.coalesce(func.extract("epoch", NOW - LACKS_SINCE), 0), 0)
    heard = select(lag.label("lag")).where(Enforcer.state != EnforcerState.SILENT).subquery("heard")
    figures = select(func.percentile_disc(0.5).within_group(heard.c.lag), func.max(heard.c.lag))
    median, worst = (await tx.execute(figures)).one()
    return counts, int(median or 0), int(worst or 0)
