"""Making and changing applicants, one or many."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from app.applicants import store
from app.applicants.errors import ApplicantConflict, ApplicantErased
from app.applicants.models import Applicant
from app.applicants.rules import Particulars
from app.applicants.schemas import ApplicantChange, ApplicantDetails
from app.applicants.store import Erased, Identity
from app.core.database.transaction import Transaction
from app.core.errors import FieldError, Forbidden, Invalid, InvalidValue
from app.core.keyring import Keyring
from app.core.principal import Principal
from app.core.validation.preconditions import IfMatch
from app.core.validation.schemas import validated
from app.events import store as events
from app.events.store import NewEvent


class Recorded(NamedTuple):
    """The record that an item led to, and whether it was made for it."""

    identity: Identity
    created: bool


def _row(keyring: Keyring, given: Particulars) -> dict[str, Any]:
    whole = "\x1f".join(each or "" for each in given)  # no field holds a control character
    return {
        **given._asdict(),
        "subject": store.hashed(keyring, *given.identity),
        "email_hash": store.hashed(keyring, "email", given.email),
        "cnic_hash": store.hashed(keyring, "cnic", given.cnic) if given.cnic else None,
        "fingerprint": store.hashed(keyring, "fingerprint", whole),
    }


async def record(
    tx: Transaction,
    principal: Principal,
    items: Sequence[Particulars],
    *,
    kinds: dict[str, str] | None = None,
) -> list[Recorded | Invalid]:
    """Find or make the caller's own record of each applicant and give it the item's details; one outcome an item.

    The last item about an applicant wins. An item is refused (``ApplicantConflict``) when its NTN or CNIC is
    known as another kind's, in the caller's records or earlier in ``items``. ``kinds`` kept from batch to batch
    stand for what earlier ones were accepted with, when they are not in the database.
    """
    if not items:
        return []
    rows = {each: _row(tx.keyring, each) for each in dict.fromkeys(items)}
    refused = await _conflicts(tx, principal, rows, kinds if kinds is not None else {})
    latest = {rows[each]["subject"]: rows[each] for each in items if each not in refused}
    # in one order everywhere, so that two batches never wait for each other's rows
    recorded = await _put(tx, principal, dict(sorted(latest.items())))
    return [refused.get(each) or recorded[rows[each]["subject"]] for each in items]


async def _put(tx: Transaction, principal: Principal, accepted: dict[str, dict[str, Any]]) -> dict[str, Recorded]:
    """Make the records that are not there and change those that differ; each subject's record."""
    held = await store.current(tx, principal.partner_id, list(accepted))
    own = {"partner_id": principal.partner_id}
    new = [{**row, **own, "id": uuid7()} for subject, row in accepted.items() if subject not in held]
    added = await store.add(tx, new)
    ids = {subject: id_ for subject, (id_, _) in held.items()} | {subject: id_ for subject, id_, _ in added}
    differing = [row | {"id": held[s][0]} for s, row in accepted.items() if s in held and _differs(held[s][1], row)]
    await store.change(tx, differing)
    made = {subject for subject, _, is_made in added if is_made}
    changed = [row["id"] for row in differing] + [id_ for _, id_, is_made in added if not is_made]
    await _record_events(tx, principal, [ids[s] for s in made], changed)
    return {s: Recorded(Identity(ids[s], row["kind"], s), s in made) for s, row in accepted.items()}


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
    """A record's details in full, for comparing and masking; only ``reveal`` shows them so."""
    kept = {name: getattr(applicant, name) for name in ApplicantDetails.model_fields if name not in store.SEALED}
    return kept | store.personal(tx.keyring, applicant)


def _differs(fingerprint: str, row: dict[str, Any]) -> bool:
    return bool(fingerprint != row["fingerprint"])


async def _record_events(
    tx: Transaction, principal: Principal, created: Sequence[UUID], changed: Sequence[UUID]
) -> None:
    named = [("applicant.created", created), ("applicant.changed", changed)]
    new_events = [NewEvent(name, id_, principal.partner_id) for name, ids in named for id_ in ids]
    await events.record(tx, principal, new_events)


async def change(
    tx: Transaction, principal: Principal, applicant_id: UUID, if_match: IfMatch, patch: ApplicantChange
) -> None:
    """Merge ``patch`` into a record of the caller's own.

    Raises ``NotFound``, ``Forbidden``, ``VersionMismatch``, ``ApplicantErased``, ``Invalid``.
    """
    applicant = await store.get(tx, principal, applicant_id, lock=True)
    if applicant.partner_id != principal.partner_id:
        raise Forbidden("Only the partner whose record it is can change it.")
    if_match.check(applicant)
    if applicant.erased_at is not None:
        raise ApplicantErased
    merged = validated(ApplicantDetails, patch.onto(details_of(tx, applicant))).particulars
    row = _row(tx.keyring, merged)
    if row["subject"] != applicant.subject:
        name = merged.identity[0]
        raise Invalid.of(
            [InvalidValue.at(f"/{name}", "The number that identifies an applicant cannot change; make a new one.")]
        )
    if conflicts := await _conflicts(tx, principal, {merged: row}, {}):
        raise conflicts[merged]
    if _differs(applicant.fingerprint, row):
        await store.change(tx, [row | {"id": applicant.id}])
        await _record_events(tx, principal, [], [applicant.id])
    tx.expire(applicant)


async def reveal(tx: Transaction, principal: Principal, applicant_id: UUID, reason: str) -> Applicant:
    """The record whose CNIC is to be shown in full, with an event that its partner sees. Raises ``NotFound``."""
    applicant = await store.get(tx, principal, applicant_id)
    details = {"fields": ["cnic"], "reason": reason}
    event = NewEvent("applicant.revealed", applicant.id, applicant.partner_id, details=details)
    await events.record(tx, principal, [event])
    return applicant


async def still_there(tx: Transaction, remembered: Sequence[Identity | None]) -> list[Identity | None]:
    """Who is remembered from an earlier transaction, but those who have been erased since."""
    ids = {each.id for each in remembered if each}
    left = await store.not_erased(tx, ids) if ids else set()
    return [each if each and each.id in left else None for each in remembered]


async def erase(tx: Transaction, actor: Principal | None, ids: Collection[UUID]) -> list[Erased]:
    """Erase the personal data of applicants that are locked for it; an event tells their partners."""
    erased = await store.erase(tx, ids)
    await events.record(tx, actor, [NewEvent("applicant.erased", each.id, each.partner_id) for each in erased])
    return erased
