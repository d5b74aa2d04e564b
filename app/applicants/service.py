"""Creates, changes, reveals and erases applicants."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from app.applicants import store
from app.applicants.errors import ApplicantConflict, ApplicantErased
from app.applicants.models import Applicant
from app.applicants.rules import Particulars
from app.applicants.schemas import ApplicantChange, ApplicantDetails
from app.applicants.store import ErasedApplicant, Identity
from app.core.database.transaction import Transaction
from app.core.errors import FieldError, Forbidden, Invalid, InvalidValue
from app.core.keyring import Keyring
from app.core.principal import Principal
from app.core.validation.preconditions import IfMatch
from app.core.validation.schemas import validate
from app.events import store as events
from app.events.store import NewEvent


class RecordedApplicant(NamedTuple):
    """The record of an item, and whether it was created for it."""

    identity: Identity
    created: bool


def _row(keyring: Keyring, given: Particulars) -> dict[str, Any]:
    joined = "\x1f".join(each or "" for each in given)  # no field has a control character
    return {
        **given._asdict(),
        "subject": store.blind_index(keyring, *given.identity),
        "email_hash": store.blind_index(keyring, "email", given.email),
        "cnic_hash": store.blind_index(keyring, "cnic", given.cnic) if given.cnic else None,
        "fingerprint": store.blind_index(keyring, "fingerprint", joined),
    }


async def record(
    tx: Transaction,
    principal: Principal,
    items: Sequence[Particulars],
    *,
    kinds: dict[str, str] | None = None,
) -> list[RecordedApplicant | Invalid]:
    """Create or update the caller's record of each item's applicant; returns one outcome an item.

    The last item of an applicant wins. An item is refused with ``ApplicantConflict`` when its NTN or CNIC belongs to an
    applicant of the other kind, in the caller's records or earlier in ``items``. ``kinds``, by NTN and CNIC hash, has
    the kinds of the items that earlier calls accepted and did not commit (a dry run's).
    """
    if not items:
        return []
    rows = {each: _row(tx.keyring, each) for each in dict.fromkeys(items)}
    refused = await _conflicts(tx, principal, rows, kinds if kinds is not None else {})
    latest = {rows[each]["subject"]: rows[each] for each in items if each not in refused}
    # sorted by subject, so that concurrent batches cannot deadlock
    recorded = await _upsert(tx, principal, dict(sorted(latest.items())))
    return [refused.get(each) or recorded[rows[each]["subject"]] for each in items]


async def _upsert(
    tx: Transaction, principal: Principal, accepted: dict[str, dict[str, Any]]
) -> dict[str, RecordedApplicant]:
    """Create missing records and change those that differ; returns them by subject."""
    existing = await store.lock_existing(tx, principal.partner_id, list(accepted))
    own = {"partner_id": principal.partner_id}
    new = [{**row, **own, "id": uuid7()} for subject, row in accepted.items() if subject not in existing]
    added = await store.add(tx, new)
    ids = {subject: id_ for subject, (id_, _) in existing.items()} | {subject: id_ for subject, id_, _ in added}
    differing = [
        row | {"id": existing[subject][0]}
        for subject, row in accepted.items()
        if subject in existing and existing[subject][1] != row["fingerprint"]
    ]
    await store.change(tx, differing)
    created = {subject for subject, _, is_new in added if is_new}
    changed = [row["id"] for row in differing] + [id_ for _, id_, is_new in added if not is_new]
    await _record_events(tx, principal, [ids[subject] for subject in created], changed)
    return {
        subject: RecordedApplicant(Identity(ids[subject], row["kind"], subject), subject in created)
        for subject, row in accepted.items()
    }


async def _conflicts(
    tx: Transaction, principal: Principal, rows: Mapping[Particulars, dict[str, Any]], kind_of: dict[str, str]
) -> dict[Particulars, Invalid]:
    known = await store.known_as_other_kind(tx, principal.partner_id, list(rows.values()))
    refused: dict[Particulars, Invalid] = {}
    for given, row in rows.items():
        numbers = {"ntn": row["ntn"], "cnic": row["cnic_hash"]}
        wrong: list[FieldError] = [
            ApplicantConflict.at(f"/{name}")
            for name, number in numbers.items()
            if number and ((row["kind"], number) in known or kind_of.get(number, row["kind"]) != row["kind"])
        ]
        if wrong:
            refused[given] = Invalid.of(wrong)
        else:
            kind_of |= {number: row["kind"] for number in numbers.values() if number}
    return refused


def details_of(tx: Transaction, applicant: Applicant) -> dict[str, Any]:
    """Return the details of a record, unsealed; only ``reveal`` may show the CNIC so."""
    kept = {name: getattr(applicant, name) for name in ApplicantDetails.model_fields if name not in store.SEALED}
    return kept | store.unseal(tx.keyring, applicant)


async def _record_events(
    tx: Transaction, principal: Principal, created: Sequence[UUID], changed: Sequence[UUID]
) -> None:
    named = [("applicant.created", created), ("applicant.changed", changed)]
    new_events = [NewEvent(name, id_, principal.partner_id) for name, ids in named for id_ in ids]
    await events.record(tx, principal, new_events)


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
    merged = validate(ApplicantDetails, patch.apply_to(details_of(tx, applicant))).particulars
    row = _row(tx.keyring, merged)
    if row["subject"] != applicant.subject:
        name = merged.identity[0]
        raise Invalid.of(
            [InvalidValue.at(f"/{name}", "The identifying number of an applicant cannot change; create a new record.")]
        )
    if conflicts := await _conflicts(tx, principal, {merged: row}, {}):
        raise conflicts[merged]
    if applicant.fingerprint != row["fingerprint"]:
        await store.change(tx, [row | {"id": applicant.id}])
        await _record_events(tx, principal, [], [applicant.id])
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
