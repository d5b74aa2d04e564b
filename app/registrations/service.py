"""What happens to a case once it was submitted: by its submitter, by officers' claims, and by time."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.allowlist import service as allowlist
from app.allowlist.store import Cause
from app.core.database.transaction import Transaction
from app.core.errors import DomainError, SelfReview
from app.core.principal import Principal
from app.core.validation.preconditions import IfMatch
from app.core.validation.schemas import validated
from app.events import store as events
from app.events.store import NewEvent
from app.partners import store as partners
from app.registrations import store
from app.registrations.claims import UNCLAIMED, ClaimEnd, clients_of, ended, own_content
from app.registrations.errors import ClaimedByAnother, IllegalTransition
from app.registrations.intake import eligibility, statements
from app.registrations.intake import service as intake
from app.registrations.intake.eligibility import Accepted
from app.registrations.intake.statements import ExistingCase
from app.registrations.models import Registration
from app.registrations.rules import EDITABLE, AcceptedNetworks, Case, Move, RegistrationRequest, Status, next_status
from app.registrations.schemas import RegistrationChange, RegistrationDetails

EXPIRED_AT_ONCE = 5_000
ENDED_AT_ONCE = 1_000
SWEEP = Cause(None, in_mass=True)


async def _own(tx: Transaction, principal: Principal, registration_id: UUID, if_match: IfMatch) -> Registration:
    registration = await store.get(tx, principal, registration_id, lock=True)
    if_match.check(registration)
    if registration.partner_id != principal.partner_id:
        raise IllegalTransition("Only the partner that submitted the registration can do this.")
    return registration


def _refuse_unless_possible(status: str, move: Move) -> Status:
    target = next_status(status, move)
    if target is None:
        raise IllegalTransition(f"A registration that is {status} cannot {_words(move)}.")
    return target


def _words(move: Move) -> str:
    return {Move.SUBMIT: "be handed in again", Move.WITHDRAW: "be withdrawn"}.get(move, f"get the move {move}")


async def correct(
    tx: Transaction, principal: Principal, registration_id: UUID, if_match: IfMatch, patch: RegistrationChange
) -> None:
    """Correct a case that was sent back. Raises ``IllegalTransition``, ``VersionMismatch``, ``Invalid``."""
    held = await _own(tx, principal, registration_id, if_match)
    if held.status not in EDITABLE:
        raise IllegalTransition(f"A registration that is {held.status} cannot be corrected.")
    asked = validated(RegistrationDetails, patch.onto(_details(held))).asked
    accepted = await _judged_again(tx, principal, asked, held)
    await intake.write_corrected(tx, principal, [accepted], hand_in=False)
    corrected = NewEvent("registration.corrected", held.id, held.partner_id, asked.operator, {"status": held.status})
    await events.record(tx, principal, [corrected])


def _details(held: Registration) -> dict[str, Any]:
    return {name: getattr(held, name) for name in RegistrationDetails.model_fields}


async def _judged_again(
    tx: Transaction, principal: Principal, asked: RegistrationRequest, held: Registration
) -> Accepted:
    ((batch, own),), met = await intake.arrive(tx, principal, [[asked]])
    facts = await eligibility.gather(tx, batch, own, met)
    judged = eligibility.judge(
        0, asked, batch.flags([0])[0], facts, AcceptedNetworks(), ExistingCase(held.id, held.status, asked)
    )
    if isinstance(judged, DomainError):
        raise judged
    return judged


async def hand_in_again(tx: Transaction, principal: Principal, registration_id: UUID, if_match: IfMatch) -> None:
    """Hand a case in again, judged anew. Raises ``IllegalTransition``, ``VersionMismatch``, ``Invalid``."""
    held = await _own(tx, principal, registration_id, if_match)
    _refuse_unless_possible(held.status, Move.SUBMIT)
    asked = validated(RegistrationDetails, _details(held)).asked
    await _judged_again(tx, principal, asked, held)
    due_at = intake.due_at_of_tracks()[held.track]
    await store.move(tx, [held.id], {**statements.handed_in_by(principal.client_id), "due_at": due_at})
    await store.record_submitted(tx, principal, [held.id])


async def withdraw(tx: Transaction, principal: Principal, registration_id: UUID, if_match: IfMatch) -> None:
    """Take a case back. Raises ``IllegalTransition``, ``VersionMismatch``."""
    held = await _own(tx, principal, registration_id, if_match)
    target = _refuse_unless_possible(held.status, Move.WITHDRAW)
    await store.move(tx, [held.id], {"status": target, **UNCLAIMED})
    await _record(tx, principal, "registration.withdrawn", held, {"status": target})


async def claim(tx: Transaction, principal: Principal, registration_id: UUID, if_match: IfMatch, hours: int) -> None:
    """An officer takes a case for ``hours``, also one whose claim by another has ended.

    Raises ``IllegalTransition``, ``VersionMismatch``, and ``SelfReview`` for a case that the officer gave content.
    """
    held = await store.get(tx, principal, registration_id, lock=True)
    if_match.check(held)
    users = await partners.client_users(tx, principal.client_id, clients_of(held))
    now = datetime.now(UTC)
    why = ended(held, users, now)
    target = _refuse_unless_possible(Status.SUBMITTED if why else held.status, Move.CLAIM)
    if own := own_content(held, users):
        raise SelfReview(users.explain(own))
    claimed = {"claimed_by": principal.client_id, "claim_ends_at": now + timedelta(hours=hours)}
    await store.move(tx, [held.id], {"status": target, **claimed})
    if why:
        await _record(tx, None, "registration.given_back", held, {"status": Status.SUBMITTED, "ended": why})
    await _record(tx, principal, "registration.claimed", held, {"status": target})


async def give_back(
    tx: Transaction, principal: Principal, registration_id: UUID, if_match: IfMatch, reason: str | None
) -> None:
    """An officer gives a claimed case back, or ends another's claim with a ``reason``, which the regulator alone reads.

    Raises ``IllegalTransition``, ``ClaimedByAnother``, ``VersionMismatch``.
    """
    held = await store.get(tx, principal, registration_id, lock=True)
    if_match.check(held)
    target = _refuse_unless_possible(held.status, Move.UNCLAIM)
    users = await partners.client_users(tx, principal.client_id, clients_of(held))
    is_own = held.claimed_by is not None and users.is_surely_own(held.claimed_by)
    if not is_own and not reason:
        raise ClaimedByAnother("Another officer has claimed the case. To end that claim, say why: ?reason=")
    details: dict[str, Any] = {"status": target}
    if not is_own:
        said = {"reason": reason, "claimed_by": held.claimed_by and str(held.claimed_by)}
        ending = NewEvent("registration.claim_ended", held.id, principal.partner_id, details=said)
        await events.record(tx, principal, [ending])
        details["ended"] = ClaimEnd.ANOTHER_OFFICER
    await store.move(tx, [held.id], {"status": target, **UNCLAIMED})
    await _record(tx, principal, "registration.given_back", held, details)


async def end_claims(tx: Transaction, hours: int) -> int:
    """Put cases back whose claim has lasted its time, or whose officer's client was disabled; give how many."""
    why = {ClaimEnd.CLIENT_DISABLED: store.claimed_by_disabled(), ClaimEnd.TIME: store.claimed_too_long(hours)}
    count = 0
    for end, condition in why.items():
        due = await store.ids_of(tx, store.meeting(condition).limit(ENDED_AT_ONCE))
        # the condition once more, since a decision may have come in between
        async for cases in store.lock_cases(tx, store.with_ids(due) & condition, ENDED_AT_ONCE):
            ids = [each.id for each in cases]
            await store.move(tx, ids, {"status": Status.SUBMITTED, **UNCLAIMED})
            told = store.decided(ids, {"status": Status.SUBMITTED, "ended": end})
            await tx.execute(events.insert_events("registration.given_back", told, events.actor_columns(None)))
            count += len(ids)
    return count


async def _record(
    tx: Transaction, principal: Principal | None, name: str, case: Registration | Case, details: dict[str, Any]
) -> None:
    await events.record(tx, principal, [NewEvent(name, case.id, case.partner_id, case.operator, details)])


async def expire(tx: Transaction) -> int:
    """End the approvals whose time has passed and withdraw their networks; give how many there were."""
    due = await store.ids_of(tx, store.expired(datetime.now(UTC)).limit(EXPIRED_AT_ONCE))
    count = 0
    async for cases in store.lock_cases(tx, store.with_ids(due), EXPIRED_AT_ONCE):
        gone = [each.id for each in cases if next_status(each.status, Move.EXPIRE)]
        await store.move(tx, gone, {"status": Status.EXPIRED})
        await allowlist.withdraw(tx, gone, "expired", SWEEP)
        told = store.decided(gone, {"status": Status.EXPIRED})
        await tx.execute(events.insert_events("registration.expired", told, events.actor_columns(None)))
        count += len(gone)
    return count
