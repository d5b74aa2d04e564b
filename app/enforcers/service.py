"""Confirmations, what clients have fetched, and the changes of state of enforcers."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from prometheus_client import Gauge

from app.allowlist.serving.reader import SnapshotReader
from app.allowlist.snapshot import Version
from app.core.database.engine import Database
from app.core.database.transaction import Transaction
from app.core.errors import Forbidden, Invalid, InvalidValue
from app.core.principal import Principal
from app.enforcers import store
from app.enforcers.errors import EnforcerLimit
from app.enforcers.models import Enforcer
from app.enforcers.rules import CLOCK_TOLERANCE, FORGOTTEN_AFTER, MAX_ENFORCERS, EnforcerState, Position, state_at
from app.enforcers.schemas import Confirmation, ConfirmedList
from app.events import store as events
from app.events.store import NewEvent

SWEPT_AT_ONCE = 1_000
EVENTS = {
    EnforcerState.IN_STEP: "enforcer.in_step",
    EnforcerState.BEHIND: "enforcer.behind",
    EnforcerState.DIVERGED: "enforcer.diverged",
    EnforcerState.SILENT: "enforcer.silent",
}
COUNT = Gauge("allowlist_enforcers", "Enforcers by state", ["state"])
LAG = Gauge("allowlist_enforcers_behind_seconds", "Seconds behind, of the enforcers that are not silent", ["of"])


async def confirm(tx: Transaction, principal: Principal, items: Sequence[Confirmation]) -> list[ConfirmedList]:
    """Record the lists that the caller's enforcers have applied, and return how each compares with the publications.

    Raises ``Forbidden`` for a caller that is no operator, ``Invalid``, ``EnforcerLimit``.
    """
    if principal.operator is None:
        raise Forbidden("Only operators confirm what they enforce.")
    latest = await tx.now() + CLOCK_TOLERANCE
    detail = "The time is in the future. Set the enforcer's clock."
    early = [
        InvalidValue.at(f"/items/{place}/applied_at", detail)
        for place, each in enumerate(items)
        if each.applied_at > latest
    ]
    if early:
        raise Invalid.of(early)
    names = [each.enforcer for each in items]
    await store.lock_confirmations(tx, principal.partner_id)
    new, known = await store.count_new(tx, principal.partner_id, names)
    if new and new + known > MAX_ENFORCERS:
        raise EnforcerLimit(f"An operator has at most {MAX_ENFORCERS} enforcers; {known} are known, {new} are new.")
    rows = [{"name": each.enforcer, **each.model_dump(exclude={"enforcer"})} for each in items]
    await store.record_applied(tx, principal, rows)
    found = await store.by_names(tx, principal.partner_id, names)
    states = await _record_changes(tx, principal, found)
    now = await tx.now()
    by_name = {
        enforcer.name: ConfirmedList(
            enforcer=enforcer.name,
            in_step=state == EnforcerState.IN_STEP,
            behind_serials=position.behind_serials,
            behind_seconds=position.behind_seconds(now),
            matches=position.matches,
        )
        for (enforcer, position), state in zip(found, states, strict=True)
    }
    return [by_name[name] for name in names]


async def _record_changes(
    tx: Transaction, actor: Principal | None, found: Collection[tuple[Enforcer, Position]]
) -> list[EnforcerState]:
    """Return the present states of enforcers, and record those that have changed, each with an event."""
    now = await tx.now()
    states = [state_at(position, enforcer.seen_at, now) for enforcer, position in found]
    changed = [
        (enforcer, position, state)
        for (enforcer, position), state in zip(found, states, strict=True)
        if state != enforcer.state
    ]
    if changed:
        await store.change_states(tx, {enforcer.id: state for enforcer, _, state in changed})
        await events.record(tx, actor, [_event(*each) for each in changed])
    return states


def _event(enforcer: Enforcer, position: Position, state: EnforcerState) -> NewEvent:
    """Return the event of a change of state, which its operator and the regulator see."""
    details = {
        "enforcer": enforcer.name,
        "grade": enforcer.grade,
        "serial": enforcer.serial,
        "behind_serials": position.behind_serials,
        "seen_at": enforcer.seen_at.isoformat(),
    }
    return NewEvent(EVENTS[state], enforcer.id, enforcer.partner_id, details=details)


async def sweep(database: Database) -> int:
    """Notice what changed by time alone, forget enforcers that are long silent, and set the metrics.

    Returns the number of changes of state.
    """
    count, found, last = 0, SWEPT_AT_ONCE, UUID(int=0)
    while found == SWEPT_AT_ONCE:
        async with database.transaction() as tx:
            enforcers = await store.changing(tx, last, SWEPT_AT_ONCE)
            states = await _record_changes(tx, None, enforcers)
        count += sum(state != enforcer.state for (enforcer, _), state in zip(enforcers, states, strict=True))
        found, last = len(enforcers), enforcers[-1][0].id if enforcers else last
    async with database.transaction() as tx:
        await store.forget(tx, FORGOTTEN_AFTER)
        counts, median, worst = await store.summary(tx)
    for state in EnforcerState:
        COUNT.labels(state).set(counts.get(state, 0))
    LAG.labels("median").set(median)
    LAG.labels("worst").set(worst)
    return count


async def record_fetched(database: Database, reader: SnapshotReader) -> None:
    """Record what clients have fetched since the last call; keep it for the next when that fails."""
    fetched, reader.fetched = reader.fetched, {}
    if not fetched:
        return
    try:
        async with database.transaction() as tx:
            await store.record_fetched(tx, [_row(client_id, version) for client_id, version in fetched.items()])
    except BaseException:
        reader.fetched = {**fetched, **reader.fetched}
        raise


def _row(client_id: str, version: Version) -> Mapping[str, object]:
    return {"client_id": client_id, "session": version.session, "serial": version.serial, "digest": version.digest}
