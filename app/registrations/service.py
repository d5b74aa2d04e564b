"""Transitions of a submitted case other than decisions: by its submitter, by officers' claims, and by time."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from app.allowlist import hand_over_store as allowlist_hand_overs
from app.allowlist import service as allowlist
from app.core.database.transaction import Transaction
from app.core.errors import Invalid, SelfReview
from app.core.principal import Principal
from app.core.validation.preconditions import IfMatch
from app.core.validation.schemas import validate
from app.events import store as events
from app.events.store import NewEvent
from app.partners import store as partners
from app.registrations import line_store, store
from app.registrations.claims import (
    UNCLAIMED,
    ClaimEnd,
    claim_end,
    clients_of,
    is_claimed_by_another,
    own_content,
)
from app.registrations.errors import ClaimedByAnother, IllegalTransition
from app.registrations.intake import service as intake
from app.registrations.intake import statements
from app.registrations.intake.conflicts import ExistingCase
from app.registrations.intake.eligibility import Accepted
from app.registrations.intake.malformed import find_all_errors
from app.registrations.models import Registration
from app.registrations.receipts import receipt_of
from app.registrations.rules import (
    EDITABLE,
    LISTED,
    Status,
    Transition,
    due_at,
    illegal_transition,
    next_status,
    wrong_status,
)
from app.registrations.schemas import RegistrationChange, RegistrationDetails

# Cases that are locked and changed by one statement.
EXPIRED_AT_ONCE = 5_000
HANDED_OVER_AT_ONCE = 5_000
CLAIMS_ENDED_AT_ONCE = 1_000


async def lock_own(tx: Transaction, principal: Principal, registration_id: UUID, if_match: IfMatch) -> Registration:
    """Lock a case of the caller's partner, after the case that it replaces.

    Raises ``NotFound``, ``VersionMismatch``, and ``IllegalTransition`` for a case of another partner.
    """
    case = await store.get(tx, principal, registration_id)
    if case.replaces:
        await line_store.lock_replaced(tx, [case.replaces])
    case = await store.get(tx, principal, registration_id, lock=True)
    if_match.check(case)
    _check_own(case, principal)
    return case


def _check_own(case: Registration, principal: Principal) -> None:
    if case.partner_id != principal.partner_id:
        raise IllegalTransition("Only the partner that submitted the registration can do this.")


def _target(status: str, transition: Transition) -> Status:
    target = next_status(status, transition)
    if target is None:
        raise illegal_transition(status, transition)
    return target


async def correct(
    tx: Transaction, principal: Principal, registration_id: UUID, if_match: IfMatch, patch: RegistrationChange
) -> None:
    """Correct a case that was sent back. Raises ``IllegalTransition``, ``VersionMismatch``, ``Invalid``."""
    case = await lock_own(tx, principal, registration_id, if_match)
    if case.status not in EDITABLE:
        raise wrong_status(case.status, EDITABLE, "corrected")
    accepted = await _check(tx, principal, case, patch.apply_to(_details(case)))
    await statements.correct(tx, principal, [accepted], resubmit=False)
    await _record(tx, principal, "registration.corrected", [case.id], {"status": case.status})


def _details(case: Registration) -> dict[str, Any]:
    return {name: getattr(case, name) for name in RegistrationDetails.model_fields if name != "transfer_code"}


async def _check(tx: Transaction, principal: Principal, case: Registration, details: dict[str, Any]) -> Accepted:
    """Check the details of a case like those of a submission."""
    try:
        request = validate(RegistrationDetails, details).request
    except Invalid as refused:
        raise Invalid.of(await find_all_errors(tx, principal, details, refused.errors, case.id)) from None
    return await intake.check_correction(tx, principal, request, ExistingCase(case.id, case.status, request))


async def resubmit(tx: Transaction, principal: Principal, registration_id: UUID, if_match: IfMatch) -> None:
    """Submit a case again, checked anew. Raises ``IllegalTransition``, ``VersionMismatch``, ``Invalid``."""
    case = await lock_own(tx, principal, registration_id, if_match)
    _target(case.status, Transition.SUBMIT)
    await intake.take_places(tx, {case.id: await _check(tx, principal, case, _details(case))})
    values = {**statements.resubmitted_by(principal.client_id), "due_at": due_at(case.track, await tx.now())}
    await store.update_cases(tx, [case.id], values)
    await store.record_submitted(tx, principal, [case.id])


async def withdraw(tx: Transaction, principal: Principal, registration_id: UUID, if_match: IfMatch) -> None:
    """Withdraw a case that is not approved. Raises ``IllegalTransition``, ``VersionMismatch``."""
    case = await lock_own(tx, principal, registration_id, if_match)
    target = _target(case.status, Transition.WITHDRAW)
    await store.update_cases(tx, [case.id], {"status": target, **UNCLAIMED})
    if case.replaces:
        await line_store.free_replaced(tx, {case.id: case.replaces})
    await _record(tx, principal, "registration.withdrawn", [case.id], {"status": target})


async def make_receipt(tx: Transaction, principal: Principal, registration_id: UUID) -> str:
    """End the receipt of the caller's own case, and return its new one. Raises ``NotFound``, ``IllegalTransition``.

    It is no change of the case, whose version stays.
    """
    case = await store.get(tx, principal, registration_id, lock=True)
    _check_own(case, principal)
    details = {name: getattr(case, name) for name in ("networks", "reference", "operator")}
    case.receipt_number += 1
    await tx.flush()
    event = NewEvent("registration.receipt_replaced", case.id, case.partner_id, details=details)
    await events.record(tx, principal, [event])
    return receipt_of(tx.keyring, case.id, case.case_number, case.receipt_number)


async def claim(tx: Transaction, principal: Principal, registration_id: UUID, if_match: IfMatch, hours: int) -> None:
    """Claim a case for ``hours``; one whose claim by another officer has ended counts as submitted.

    Raises ``ClaimedByAnother``, ``IllegalTransition``, ``VersionMismatch``, and ``SelfReview`` for a case that the
    officer gave content. Another's claim is told whatever the version: it is the change.
    """
    case = await store.get(tx, principal, registration_id, lock=True)
    users = await partners.client_users(tx, principal.client_id, clients_of(case))
    now = await tx.now()
    if case.status == Status.IN_REVIEW and is_claimed_by_another(case, users, now):
        raise ClaimedByAnother
    if_match.check(case)
    ended = claim_end(case, users, now)
    if case.status == Status.IN_REVIEW and not ended:
        raise IllegalTransition("This case is already in review (claimed by you).")
    target = _target(Status.SUBMITTED if ended else case.status, Transition.CLAIM)
    if own := own_content(case, users):
        raise SelfReview(users.explain(own))
    claimed = {"claimed_by": principal.client_id, "claim_ends_at": now + timedelta(hours=hours)}
    await store.update_cases(tx, [case.id], {"status": target, **claimed})
    if ended:
        await _record(tx, None, "registration.given_back", [case.id], {"status": Status.SUBMITTED, "ended": ended})
    await _record(tx, principal, "registration.claimed", [case.id], {"status": target})


async def give_back(
    tx: Transaction, principal: Principal, registration_id: UUID, if_match: IfMatch, reason: str | None
) -> None:
    """End the claim of a case: the officer's own, or another's for a ``reason``, which only the regulator reads.

    Raises ``IllegalTransition``, ``ClaimedByAnother``, ``VersionMismatch``.
    """
    case = await store.get(tx, principal, registration_id, lock=True)
    if_match.check(case)
    target = _target(case.status, Transition.UNCLAIM)
    users = await partners.client_users(tx, principal.client_id, clients_of(case))
    is_own = case.claimed_by is not None and users.is_surely_own(case.claimed_by)
    if not is_own and not reason:
        raise ClaimedByAnother("Another officer has claimed the case. To end that claim, give a reason: ?reason=")
    details: dict[str, Any] = {"status": target}
    if not is_own:
        # in the details, since an event that names an operator is shown to it
        content = {name: getattr(case, name) for name in ("networks", "reference", "operator")}
        why = {"reason": reason, "claimed_by": case.claimed_by and str(case.claimed_by), **content}
        event = NewEvent("registration.claim_ended", case.id, principal.partner_id, details=why)
        await events.record(tx, principal, [event])
        details["ended"] = ClaimEnd.ANOTHER_OFFICER
    await store.update_cases(tx, [case.id], {"status": target, **UNCLAIMED})
    await _record(tx, principal, "registration.given_back", [case.id], details)


async def end_claims(tx: Transaction, hours: int) -> int:
    """Give back the cases whose claim has lasted its time or whose officer's client is disabled; returns how many."""
    conditions = {ClaimEnd.CLIENT_DISABLED: store.claimed_by_disabled(), ClaimEnd.TIME: store.claimed_too_long(hours)}
    count = 0
    for end, condition in conditions.items():
        ids = await store.ids_where(tx, condition, CLAIMS_ENDED_AT_ONCE)
        # with the condition again, since a decision may have been made meanwhile
        async for cases in store.lock_cases(tx, store.with_ids(ids) & condition, CLAIMS_ENDED_AT_ONCE):
            given_back = [each.id for each in cases]
            await store.update_cases(tx, given_back, {"status": Status.SUBMITTED, **UNCLAIMED})
            details = {"status": Status.SUBMITTED, "ended": end}
            await _record(tx, None, "registration.given_back", given_back, details)
            count += len(given_back)
    return count


async def _record(
    tx: Transaction, principal: Principal | None, name: str, ids: Sequence[UUID], details: dict[str, Any]
) -> None:
    await tx.execute(events.insert_events(name, store.event_rows(ids, details), events.actor_columns(principal)))


async def expire(tx: Transaction) -> int:
    """End approvals whose time has passed and withdraw their networks; returns how many."""
    ids = await store.ids_where(tx, store.past_expiry(), EXPIRED_AT_ONCE)
    count = 0
    async for cases in store.lock_cases(tx, store.with_ids(ids), EXPIRED_AT_ONCE):
        expired = [each.id for each in cases if next_status(each.status, Transition.EXPIRE)]
        await store.update_cases(tx, expired, {"status": Status.EXPIRED})
        await allowlist.withdraw(tx, expired, "expired", allowlist.BY_TIME)
        await _record(tx, None, "registration.expired", expired, {"status": Status.EXPIRED})
        count += len(expired)
    return count


async def end_hand_overs(tx: Transaction) -> int:
    """End the hand-overs whose time has come: networks that successors did not ask for leave; returns how many cases.

    Networks that lie within them, and waited, are granted in their place.
    """
    ids = await allowlist_hand_overs.holders_of_leaving(tx, HANDED_OVER_AT_ONCE)
    async for cases in store.lock_cases(tx, store.with_ids(ids), HANDED_OVER_AT_ONCE):
        listed = [each.id for each in cases if each.status in LISTED]
        await allowlist.end_hand_overs(tx, listed, store.networks_of)
    return len(ids)
