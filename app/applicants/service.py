"""Creates, changes, reveals and erases applicants."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from app.applicants import rules, store
from app.applicants.errors import ApplicantErased
from app.applicants.merging import Change, PlannedRecords, Policy
from app.applicants.models import Applicant
from app.applicants.recording import Recording, row_of
from app.applicants.rules import Particulars
from app.applicants.schemas import ApplicantChange, ApplicantDetails
from app.applicants.store import ErasedApplicant, Identity
from app.core.database.transaction import Transaction
from app.core.errors import FieldError, Forbidden, Invalid, InvalidValue
from app.core.principal import Principal
from app.core.validation.preconditions import IfMatch
from app.core.validation.schemas import validate
from app.events import store as events
from app.events.store import NewEvent


class RecordedApplicant(NamedTuple):
    """The record of an item, and the effect of the item: it created the record, or made some changes, or none."""

    identity: Identity
    created: bool
    changes: tuple[Change, ...]


async def record(
    tx: Transaction,
    principal: Principal,
    items: Sequence[Particulars],
    policy: Policy = Policy.REPLACE,
    *,
    planned: PlannedRecords | None = None,
) -> list[RecordedApplicant | Invalid]:
    """Create or update the caller's record of each item's applicant, in order; returns one outcome an item.

    An item that contradicts the caller's records or the items before is refused with ``ApplicantConflict`` and changes
    nothing. ``planned`` has the records of earlier calls that were rolled back (a dry run's); those of this call are
    added.
    """
    if not items:
        return []
    recording = Recording(tx, principal, items)
    records = await recording.read(planned or PlannedRecords())
    effects = [records.apply(each, policy) for each in items]
    late = await recording.add(records)
    if planned is None and late:
        for stored in await recording.lock(late):
            records.reload(stored)
        known = zip(items, effects, strict=True)
        effects = [records.apply(each, policy) if each.identity[1] in late else effect for each, effect in known]
    if planned is None:
        await recording.change(records)
    else:  # registrations only need the records to exist
        planned.keep(records)
    return [
        effect if isinstance(effect, Invalid) else RecordedApplicant(recording.identity(each), *effect)
        for each, effect in zip(items, effects, strict=True)
    ]


async def find_all_errors(
    tx: Transaction, principal: Principal, given: Mapping[str, Any], malformed: Sequence[FieldError]
) -> list[FieldError]:
    """Return the ``malformed`` fields of a body, and those of its other fields that contradict the caller's records."""
    item = rules.numbers_of(given)
    if item is None:
        return [*malformed]
    records = await Recording(tx, principal, [item]).read(PlannedRecords())
    effect = records.apply(item, Policy.REPLACE)
    refused = {each.pointer for each in malformed}
    contradicting = effect.errors if isinstance(effect, Invalid) else ()
    return [*malformed, *(each for each in contradicting if each.pointer not in refused)]


async def change(
    tx: Transaction, principal: Principal, applicant_id: UUID, if_match: IfMatch, patch: ApplicantChange
) -> None:
    """Apply ``patch`` to one of the caller's records.

    Raises ``NotFound``, ``Forbidden``, ``VersionMismatch``, ``ApplicantErased``, ``Invalid``.
    """
    applicant = await store.get(tx, principal, applicant_id, lock=True)
    if applicant.partner_id != principal.partner_id:
        raise Forbidden("Only the partner that owns the record can change it.")
    if_match.check(applicant)
    if applicant.erased_at is not None:
        raise ApplicantErased
    given = patch.apply_to(store.details_of(tx.keyring, applicant))
    try:
        merged = validate(ApplicantDetails, given).particulars
    except Invalid as malformed:
        raise Invalid.of(await find_all_errors(tx, principal, given, malformed.errors)) from None
    row = row_of(tx.keyring, merged)
    if row["subject"] != applicant.subject:
        name = merged.identity[0]
        raise Invalid.of(
            [InvalidValue.at(f"/{name}", "The identifying number of an applicant cannot change; create a new record.")]
        )
    recording = Recording(tx, principal, [merged])
    records = await recording.read(PlannedRecords())
    effect = records.apply(merged, Policy.REPLACE)
    if isinstance(effect, Invalid):
        raise effect
    await recording.change(records)
    tx.expire(applicant)


async def reveal(tx: Transaction, principal: Principal, applicant_id: UUID, reason: str) -> Applicant:
    """Return a record and record the event that its CNIC was revealed. Raises ``NotFound``."""
    applicant = await store.get(tx, principal, applicant_id)
    details = {"fields": ["cnic"], "reason": reason}
    event = NewEvent("applicant.revealed", applicant.id, applicant.partner_id, details=details)
    await events.record(tx, principal, [event])
    return applicant


async def without_erased(tx: Transaction, cached: Sequence[Identity | None]) -> list[Identity | None]:
    """Return identities cached from earlier transactions, with None for applicants erased since; locks the others."""
    ids = {each.id for each in cached if each}
    left = await store.lock_not_erased(tx, ids) if ids else set()
    return [each if each and each.id in left else None for each in cached]


async def erase(tx: Transaction, actor: Principal | None, ids: Collection[UUID]) -> list[ErasedApplicant]:
    """Erase the personal data of locked applicants and record the events for their partners."""
    erased = await store.erase(tx, ids)
    await events.record(tx, actor, [NewEvent("applicant.erased", each.id, each.partner_id) for each in erased])
    return erased
