"""Surrender: a partner gives a registration, or networks of one, back. It needs no decision and no legal basis."""

from collections.abc import Sequence
from uuid import UUID

from app.allowlist import guards, surrender_store
from app.allowlist.store import Cause
from app.core.database.notifications import notify
from app.core.database.transaction import Transaction
from app.core.errors import Invalid, InvalidValue
from app.core.principal import Principal
from app.core.validation.preconditions import IfMatch
from app.events import store as events
from app.registrations import line_store, store
from app.registrations.errors import SuccessorExists
from app.registrations.rules import Transition, illegal_transition, next_status
from app.registrations.service import lock_own


async def surrender(
    tx: Transaction, principal: Principal, registration_id: UUID, if_match: IfMatch, networks: Sequence[str] | None
) -> None:
    """Give back some networks of a registration, or all (None), which ends it.

    Raises ``IllegalTransition``, ``VersionMismatch``, ``Invalid`` for a network that it does not have, and
    ``SuccessorExists`` while another is to replace it. Those of a partner beyond ``guards.surrender_bound`` in an hour
    wait for an officer, since whoever has a leaked secret must not empty an association's list.
    """
    await surrender_store.lock_surrenders(tx, principal.partner_id)
    case = await lock_own(tx, principal, registration_id, if_match)
    target = next_status(case.status, Transition.SURRENDER)
    if target is None:
        raise illegal_transition(case.status, Transition.SURRENDER)
    if case.replaced_by is not None:
        raise SuccessorExists("Another registration is to replace this one. Withdraw that one first.")
    given = _check_networks(case.networks, networks)
    is_whole = len(given) == len(case.networks)
    cause = Cause(principal.client_id, in_mass=False)
    await surrender_store.withdraw(tx, case.id, None if is_whole else given, cause)
    is_held = await _hold_beyond_bound(tx, principal.partner_id, case.id)
    if not is_whole:
        await line_store.remove_networks(tx, case.id, given)
    status = target if is_whole else case.status
    await store.update_cases(tx, [case.id], {"status": status})
    details = {"status": status, "surrendered": given, "held": is_held}
    rows = store.event_rows([case.id], details)
    await tx.execute(events.insert_events("registration.surrendered", rows, events.actor_columns(principal)))
    await notify(tx, "allowlist_pending")


def _check_networks(own: Sequence[str], given: Sequence[str] | None) -> list[str]:
    """Return the networks to give back. Raises ``Invalid`` for those that are not of the registration, or twice."""
    if given is None:
        return list(own)
    errors = []
    for i, network in enumerate(given):
        if network not in own:
            detail = f"{network} is not a network of this registration, which has {', '.join(own)}."
            errors.append(InvalidValue.at(f"/networks/{i}", detail))
        elif network in given[:i]:
            errors.append(InvalidValue.at(f"/networks/{i}", f"{network} is given twice."))
    if errors:
        raise Invalid.of(errors)
    return list(given)


async def _hold_beyond_bound(tx: Transaction, partner_id: UUID, registration_id: UUID) -> bool:
    """Hold what was just surrendered if it is beyond the partner's bound; returns True if something is held."""
    own = store.ids_of_partner(partner_id)
    recent = await surrender_store.count_recent(tx, own)
    if recent <= guards.surrender_bound(0):  # the least bound: the others need not be counted
        return False
    before = recent + await surrender_store.count_granted(tx, own)
    bound = guards.surrender_bound(before)
    return recent > bound and bool(await surrender_store.hold(tx, partner_id, registration_id, before, recent, bound))
