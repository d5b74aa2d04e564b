"""Submitting registrations, one or many, and what their submitters, officers' claims and time do to them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

from app.allowlist import service as allowlist
from app.allowlist.store import Cause
from app.applicants import service as applicant_records
from app.applicants.store import Identity
from app.core.asking import Asker
from app.core.db import WriteSession
from app.core.errors import DomainError
from app.core.preconditions import IfMatch
from app.core.principal import Principal
from app.core.schemas import validated
from app.events import store as events
from app.events.store import Happening
from app.registrations import contests, intake, judgement, store
from app.registrations.batch import Batch, networks_listed
from app.registrations.errors import ClaimedByAnother, IllegalTransition
from app.registrations.intake import Arrived, Held, Met, NewCases
from app.registrations.judgement import Accepted, Judged, Unchanged
from app.registrations.models import Registration
from app.registrations.rules import EDITABLE, TRACKS, Asked, Case, Flag, Ledger, Move, Status, next_status, waves
from app.registrations.schemas import RegistrationChange, RegistrationDetails

EXPIRED_AT_ONCE = 5_000
SWEEP = Cause(None, in_mass=True)
# Version and JSON of cases, as ``store.reread`` gives them.
Documents = dict[UUID, tuple[int, str]]


class Registered(NamedTuple):
    """The registration that an item led to, what was done to it, and where known its version and JSON."""

    registration_id: UUID
    outcome: Literal["created", "unchanged", "updated"]
    document: tuple[int, str] | None = None


async def submit_each(session: Asker, principal: Principal, asked: Sequence[Asked]) -> list[Registered | DomainError]:
    """Register single items, each for an applicant of the caller's. In the place of one that is refused stands why.

    Those of one reference follow one another: the later ones meet what the first has made.
    """
    outcomes: dict[int, Registered | DomainError] = {}
    following = waves([each.reference for each in asked])
    batches, met = await _arrive(session, principal, [[asked[place] for place in wave] for wave in following])
    for wave, (batch, own) in zip(following, batches, strict=True):
        if wave is following[0]:
            special, shown = await _settle(session, principal, batch, own, met, show=True)
        else:
            special, shown = await submit(session, principal, batch, own), {}
        made = [Registered(id_, "created", shown.get(id_)) for id_ in batch.ids(range(len(wave)))]
        outcomes |= {place: special.get(i, made[i]) for i, place in enumerate(wave)}
    return [outcomes[place] for place in range(len(asked))]


async def _arrive(
    session: Asker, principal: Principal, waves_: Sequence[Sequence[Asked]]
) -> tuple[list[tuple[Batch, list[Identity | None]]], Met]:
    """A batch of each wave with the caller's own applicants by their numbers, and what the first of them meets.

    All turns are taken: who takes some later may be waited for by whom it waits for.
    """
    async with session.beyond_tenancy(intake.arrival(principal, [each for wave in waves_ for each in wave])) as found:
        arrived = Arrived.of(found)
        batches = [_batch_of(arrived, wave) for wave in waves_]
        return batches, await intake.meet(session, principal.partner_id, batches[0][0])


def _batch_of(arrived: Arrived, asked: Sequence[Asked]) -> tuple[Batch, list[Identity | None]]:
    numbers: dict[UUID, int] = {}
    for each in asked:
        numbers.setdefault(each.applicant_id, len(numbers))
    batch = Batch.of(asked, [numbers[each.applicant_id] for each in asked], arrived.atlas)
    return batch, [arrived.applicants.get(id_) for id_ in numbers]


async def submit(
    session: Asker,
    principal: Principal,
    batch: Batch,
    own: Sequence[Identity | None],
    *,
    left_out: Collection[int] = (),
    bulk_upload_id: UUID | None = None,
    ledger: Ledger | None = None,
) -> dict[int, Registered | DomainError]:
    """Register each item of a batch but those ``left_out``, for the caller's ``own`` applicants, by their numbers.

    Gives what became of each item that was not simply made a case: one whose reference is known and whose content is
    the same is ``unchanged``; with other content it corrects and hands in again a case that may still be edited
    (``updated``), else it is refused. A ``ledger`` kept from batch to batch stands for what earlier ones were accepted
    with, when they are not in the database.
    """
    async with session.beyond_tenancy(intake.turns({each.subject for each in own if each}, batch)):
        met = await intake.meet(session, principal.partner_id, batch)
    special, _ = await _settle(
        session, principal, batch, own, met, left_out=left_out, bulk_upload_id=bulk_upload_id, ledger=ledger
    )
    return special


async def _settle(
    session: Asker,
    principal: Principal,
    batch: Batch,
    own: Sequence[Identity | None],
    met: Met,
    *,
    left_out: Collection[int] = (),
    bulk_upload_id: UUID | None = None,
    ledger: Ledger | None = None,
    show: bool = False,
) -> tuple[dict[int, Registered | DomainError], Documents]:
    """``submit`` of a batch that has its turn, and ``met`` what it meets.

    Gives the documents of its new cases too if it is to ``show`` them, where they are still as they were made.
    """
    facts = await judgement.gather(session, batch, own, met)
    judged = judgement.judge_all(batch, facts, left_out, ledger)
    accepted = {i: each for i, each in judged.items() if isinstance(each, Accepted)}
    corrected = {i: each for i, each in accepted.items() if each.itself}
    new = NewCases(
        principal,
        bulk_upload_id,
        own,
        left_out={*left_out, *(i for i in judged if i not in accepted or i in corrected)},
        contested=[i for i, each in accepted.items() if Flag.CONTESTED in each.flags],
        due_at=_due_at_of_tracks(),
    )
    shown = await _add(session, batch, new, show=show)
    met_before = await _correct(session, list(corrected.values()), hand_in=True)
    touching = batch.ids(facts.touching.difference(new.left_out))
    await contests.refresh(session, [*touching, *_ids(corrected.values()), *met_before])
    await _record_submitted(session, principal, _ids(corrected.values()))
    special = {i: _outcome(each) for i, each in judged.items() if i not in accepted or i in corrected}
    return special, {id_: each for id_, each in shown.items() if id_ not in touching}


def _ids(corrected: Iterable[Accepted]) -> list[UUID]:
    return [each.itself.id for each in corrected if each.itself]


def _outcome(judged: Judged) -> Registered | DomainError:
    if isinstance(judged, DomainError):
        return judged
    if isinstance(judged, Unchanged):
        return Registered(judged.registration_id, "unchanged")
    assert judged.itself is not None
    return Registered(judged.itself.id, "updated")


async def _add(session: Asker, batch: Batch, new: NewCases, *, show: bool) -> Documents:
    """Write the new cases with their networks and events; give their documents if it is to ``show`` them."""
    added = [i for i in range(len(batch.tracks)) if i not in new.left_out]
    if not added:
        return {}
    await intake.add(session, batch, new)
    left_out = batch.ids(new.left_out)
    if show:
        return await intake.put_and_show(session, new.submitter, batch.ids(added), batch.listed, left_out)
    await intake.put_networks(session, batch.listed, left_out)
    return {}


def _row(accepted: Accepted, id_: UUID, due_at: Mapping[str, datetime]) -> dict[str, Any]:
    asked = accepted.asked
    return {
        "id": id_,
        "applicant_id": asked.applicant_id,
        "subject": accepted.subject,
        "track": asked.track,
        "purpose": asked.purpose,
        "protocol": asked.protocol,
        "operator": asked.operator,
        "subscriber_id": asked.subscriber_id,
        "reference": asked.reference,
        "description": asked.description,
        "flags": accepted.flags,
        "due_at": due_at[asked.track],
    }


def _due_at_of_tracks() -> dict[str, datetime]:
    now = datetime.now(UTC)
    return {track: now + timedelta(hours=rule.decision_due_hours) for track, rule in TRACKS.items()}


async def _correct(session: Asker, accepted: Sequence[Accepted], *, hand_in: bool) -> set[UUID]:
    """Write corrected details in the place of the old; give the cases that shared addresses with the old ones."""
    if not accepted:
        return set()
    due_at = _due_at_of_tracks()
    rows = [_row(each, each.itself.id, due_at) for each in accepted if each.itself]
    ids = [row["id"] for row in rows]
    met_before = await contests.sharing_addresses(session, ids)
    await intake.correct(session, rows, hand_in=hand_in)
    await intake.take_networks(session, ids)
    listed = [(str(each.itself.id), each.asked.networks) for each in accepted if each.itself]
    await intake.put_networks(session, networks_listed(listed))
    return met_before


async def _record_submitted(session: Asker, principal: Principal, ids: Sequence[UUID]) -> None:
    if ids:
        await store.tell_submitted(session, principal, ids)


async def _own(session: WriteSession, principal: Principal, registration_id: UUID, if_match: IfMatch) -> Registration:
    registration = await store.get(session, principal, registration_id, lock=True)
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
    session: WriteSession, principal: Principal, registration_id: UUID, if_match: IfMatch, patch: RegistrationChange
) -> None:
    """Correct a case that was sent back. Raises ``IllegalTransition``, ``VersionMismatch``, ``Invalid``."""
    held = await _own(session, principal, registration_id, if_match)
    if held.status not in EDITABLE:
        raise IllegalTransition(f"A registration that is {held.status} cannot be corrected.")
    asked = validated(RegistrationDetails, patch.onto(_details(held))).asked
    accepted = await _judged_again(session, principal, asked, held)
    met_before = await _correct(session, [accepted], hand_in=False)
    await contests.refresh(session, [held.id, *met_before])
    corrected = Happening("registration.corrected", held.id, held.partner_id, asked.operator, {"status": held.status})
    await events.record(session, principal, [corrected])


def _details(held: Registration) -> dict[str, Any]:
    return {name: getattr(held, name) for name in RegistrationDetails.model_fields}


async def _judged_again(session: WriteSession, principal: Principal, asked: Asked, held: Registration) -> Accepted:
    ((batch, own),), met = await _arrive(session, principal, [[asked]])
    facts = await judgement.gather(session, batch, own, met)
    judged = judgement.judge(0, asked, batch.flags([0])[0], facts, Ledger(), Held(held.id, held.status, asked))
    if isinstance(judged, DomainError):
        raise judged
    return judged


async def hand_in_again(session: WriteSession, principal: Principal, registration_id: UUID, if_match: IfMatch) -> None:
    """Hand a case in again, judged anew. Raises ``IllegalTransition``, ``VersionMismatch``, ``Invalid``."""
    held = await _own(session, principal, registration_id, if_match)
    _refuse_unless_possible(held.status, Move.SUBMIT)
    asked = validated(RegistrationDetails, _details(held)).asked
    await _judged_again(session, principal, asked, held)
    await store.move(session, [held.id], {**intake.HANDED_IN, "due_at": _due_at_of_tracks()[held.track]})
    await contests.refresh(session, [held.id])
    await _record_submitted(session, principal, [held.id])


async def withdraw(session: WriteSession, principal: Principal, registration_id: UUID, if_match: IfMatch) -> None:
    """Take a case back. Raises ``IllegalTransition``, ``VersionMismatch``."""
    held = await _own(session, principal, registration_id, if_match)
    target = _refuse_unless_possible(held.status, Move.WITHDRAW)
    await store.move(session, [held.id], {"status": target, "claimed_by": None})
    await contests.refresh(session, [held.id])
    await _record(session, principal, "registration.withdrawn", held, {"status": target})


async def claim(session: WriteSession, principal: Principal, registration_id: UUID, if_match: IfMatch) -> None:
    """An officer takes a case. Raises ``IllegalTransition``, ``VersionMismatch``."""
    held = await store.get(session, principal, registration_id, lock=True)
    if_match.check(held)
    target = _refuse_unless_possible(held.status, Move.CLAIM)
    await store.move(session, [held.id], {"status": target, "claimed_by": principal.client_id})
    await _record(session, principal, "registration.claimed", held, {"status": target})


async def give_back(session: WriteSession, principal: Principal, registration_id: UUID, if_match: IfMatch) -> None:
    """An officer gives a claimed case back. Raises ``IllegalTransition``, ``ClaimedByAnother``, ``VersionMismatch``."""
    held = await store.get(session, principal, registration_id, lock=True)
    if_match.check(held)
    target = _refuse_unless_possible(held.status, Move.UNCLAIM)
    if held.claimed_by != principal.client_id:
        raise ClaimedByAnother
    await store.move(session, [held.id], {"status": target, "claimed_by": None})
    await _record(session, principal, "registration.given_back", held, {"status": target})


async def _record(
    session: WriteSession, principal: Principal | None, name: str, case: Registration | Case, details: dict[str, Any]
) -> None:
    await events.record(session, principal, [Happening(name, case.id, case.partner_id, case.operator, details)])


async def expire(session: WriteSession) -> int:
    """End the approvals whose time has passed and withdraw their networks; give how many there were."""
    due = await store.ids_of(session, store.expired(datetime.now(UTC)).limit(EXPIRED_AT_ONCE))
    count = 0
    async for cases in store.lock_cases(session, store.with_ids(due), EXPIRED_AT_ONCE):
        gone = [each.id for each in cases if next_status(each.status, Move.EXPIRE)]
        await store.move(session, gone, {"status": Status.EXPIRED})
        await allowlist.withdraw(session, gone, "expired", SWEEP)
        told = store.decided(gone, {"status": Status.EXPIRED})
        await events.record_each(session, None, "registration.expired", told)
        count += len(gone)
    return count


async def erase(session: WriteSession, days: int) -> None:
    """Erase the personal data of what was withdrawn or rejected ``days`` ago; the history of its decisions stays."""
    before = datetime.now(UTC) - timedelta(days=days)
    await store.erase_texts(session, before)
    await applicant_records.erase(session, await store.applicants_past_retention(session, before))
