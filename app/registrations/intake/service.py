"""Submitting registrations, one or many: what each item of a batch is made, and where one is refused, why."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

from app.applicants.store import Identity
from app.core.database.transaction import Transaction
from app.core.errors import DomainError
from app.core.principal import Principal
from app.registrations import store
from app.registrations.intake import eligibility, statements
from app.registrations.intake.batch import Batch, networks_listed
from app.registrations.intake.conflicts import Conflicts, find_conflicts
from app.registrations.intake.eligibility import Accepted, Judged, Unchanged
from app.registrations.intake.statements import NewCases, Prerequisites
from app.registrations.rules import TRACKS, AcceptedNetworks, RegistrationRequest, rounds

# Version and JSON of cases, as ``store.reread`` gives them.
Documents = dict[UUID, tuple[int, str]]


class Registered(NamedTuple):
    """The registration that an item led to, what was done to it, and where known its version and JSON."""

    registration_id: UUID
    outcome: Literal["created", "unchanged", "updated"]
    document: tuple[int, str] | None = None


async def submit_each(
    tx: Transaction, principal: Principal, asked: Sequence[RegistrationRequest]
) -> list[Registered | DomainError]:
    """Register single items, each for an applicant of the caller's. In the place of one that is refused stands why.

    Those of one reference follow one another: the later ones meet what the first has made.
    """
    outcomes: dict[int, Registered | DomainError] = {}
    following = rounds([each.reference for each in asked])
    batches, met = await arrive(tx, principal, [[asked[place] for place in wave] for wave in following])
    for number, (wave, (batch, own)) in enumerate(zip(following, batches, strict=True)):
        if number:
            met = await find_conflicts(tx, principal.partner_id, batch)
        special, shown = await _settle(tx, principal, batch, own, met, show=True)
        made = [Registered(id_, "created", shown.get(id_)) for id_ in batch.ids(range(len(wave)))]
        outcomes |= {place: special.get(i, made[i]) for i, place in enumerate(wave)}
    return [outcomes[place] for place in range(len(asked))]


async def arrive(
    tx: Transaction, principal: Principal, waves_: Sequence[Sequence[RegistrationRequest]]
) -> tuple[list[tuple[Batch, list[Identity | None]]], Conflicts]:
    """A batch of each wave with the caller's own applicants by their numbers, and what the first of them meets.

    Takes the locks of all waves first: to take more later could deadlock.
    """
    arrived = await statements.arrive(tx, principal, [each for wave in waves_ for each in wave])
    batches = [_batch_of(arrived, wave) for wave in waves_]
    return batches, await find_conflicts(tx, principal.partner_id, batches[0][0])


def _batch_of(arrived: Prerequisites, asked: Sequence[RegistrationRequest]) -> tuple[Batch, list[Identity | None]]:
    numbers: dict[UUID, int] = {}
    for each in asked:
        numbers.setdefault(each.applicant_id, len(numbers))
    batch = Batch.of(asked, [numbers[each.applicant_id] for each in asked], arrived.atlas)
    return batch, [arrived.applicants.get(id_) for id_ in numbers]


async def submit(
    tx: Transaction,
    principal: Principal,
    batch: Batch,
    own: Sequence[Identity | None],
    *,
    left_out: Collection[int] = (),
    bulk_upload_id: UUID | None = None,
    ledger: AcceptedNetworks | None = None,
) -> dict[int, Registered | DomainError]:
    """Register each item of a batch but those ``left_out``, for the caller's ``own`` applicants, by their numbers.

    Gives what became of each item that was not simply made a case: one whose reference is known and whose content is
    the same is ``unchanged``; with other content it corrects and hands in again a case that may still be edited
    (``updated``), else it is refused. A ``ledger`` kept from batch to batch stands for what earlier ones were accepted
    with, when they are not in the database.
    """
    await statements.take_locks(tx, principal.partner_id, batch)
    met = await find_conflicts(tx, principal.partner_id, batch)
    special, _ = await _settle(
        tx, principal, batch, own, met, left_out=left_out, bulk_upload_id=bulk_upload_id, ledger=ledger
    )
    return special


async def _settle(
    tx: Transaction,
    principal: Principal,
    batch: Batch,
    own: Sequence[Identity | None],
    met: Conflicts,
    *,
    left_out: Collection[int] = (),
    bulk_upload_id: UUID | None = None,
    ledger: AcceptedNetworks | None = None,
    show: bool = False,
) -> tuple[dict[int, Registered | DomainError], Documents]:
    """``submit`` of a batch whose locks are taken, and ``met`` what it meets.

    Gives the documents of its new cases too if it is to ``show`` them.
    """
    facts = await eligibility.gather(tx, batch, own, met)
    judged = eligibility.judge_all(batch, facts, left_out, ledger)
    accepted = {i: each for i, each in judged.items() if isinstance(each, Accepted)}
    corrected = {i: each for i, each in accepted.items() if each.existing}
    new = NewCases(
        principal,
        bulk_upload_id,
        own,
        left_out={*left_out, *(i for i in judged if i not in accepted or i in corrected)},
        due_at=due_at_of_tracks(),
    )
    shown = await _add(tx, batch, new, show=show)
    await write_corrected(tx, principal, list(corrected.values()), hand_in=True)
    await store.record_submitted(tx, principal, _ids(corrected.values()))
    return {i: _outcome(each) for i, each in judged.items() if i not in accepted or i in corrected}, shown


def _ids(corrected: Iterable[Accepted]) -> list[UUID]:
    return [each.existing.id for each in corrected if each.existing]


def _outcome(judged: Judged) -> Registered | DomainError:
    if isinstance(judged, DomainError):
        return judged
    if isinstance(judged, Unchanged):
        return Registered(judged.registration_id, "unchanged")
    assert judged.existing is not None
    return Registered(judged.existing.id, "updated")


async def _add(tx: Transaction, batch: Batch, new: NewCases, *, show: bool) -> Documents:
    """Write the new cases with their networks and events; give their documents if it is to ``show`` them."""
    added = [i for i in range(len(batch.tracks)) if i not in new.left_out]
    if not added:
        return {}
    await statements.add(tx, batch, new)
    left_out = batch.ids(new.left_out)
    if show and not new.submitter.sees_all:  # a contest is not seen by the statement that makes it
        return await statements.insert_networks_returning_json(
            tx, new.submitter, batch.ids(added), batch.listed, left_out
        )
    await statements.put_networks(tx, batch.listed, left_out)
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


def due_at_of_tracks() -> dict[str, datetime]:
    """When a case of each track that is submitted now has to be decided."""
    now = datetime.now(UTC)
    return {track: now + timedelta(hours=rule.decision_due_hours) for track, rule in TRACKS.items()}


async def write_corrected(
    tx: Transaction, principal: Principal, accepted: Sequence[Accepted], *, hand_in: bool
) -> None:
    """Write corrected details in the place of the old."""
    if not accepted:
        return
    due_at = due_at_of_tracks()
    rows = [_row(each, each.existing.id, due_at) for each in accepted if each.existing]
    ids = [row["id"] for row in rows]
    await statements.correct(tx, principal, rows, hand_in=hand_in)
    await statements.take_networks(tx, ids)
    listed = [(str(each.existing.id), each.asked.networks) for each in accepted if each.existing]
    await statements.put_networks(tx, networks_listed(listed))
