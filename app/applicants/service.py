"""Making and changing applicants, one or many."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from app.applicants import store
from app.applicants.errors import ApplicantConflict
from app.applicants.models import Applicant
from app.applicants.schemas import ApplicantChange, ApplicantDetails
from app.core.db import ReadSession, WriteSession
from app.core.errors import FieldError, Forbidden, Invalid, InvalidValue
from app.core.keyring import Keyring
from app.core.preconditions import IfMatch
from app.core.principal import Principal
from app.core.schemas import validated
from app.events import store as events
from app.events.store import Happening


@dataclass(frozen=True, slots=True)
class Recorded:
    """The record that an item led to, and whether it was made for it."""

    applicant_id: UUID
    created: bool


def _row(keyring: Keyring, details: ApplicantDetails) -> dict[str, Any]:
    row = details.model_dump()
    row["subject"] = store.hashed(keyring, *details.identity)
    row["email_hash"] = store.hashed(keyring, "email", details.email)
    row["cnic_hash"] = store.hashed(keyring, "cnic", details.cnic) if details.cnic else None
    return row


async def record(
    session: WriteSession,
    principal: Principal,
    items: Sequence[ApplicantDetails],
    *,
    kinds: dict[str, str] | None = None,
) -> list[Recorded | Invalid]:
    """Find or make the caller's own record of each applicant and give it the item's details; one outcome an item.

    The last item about an applicant wins. An item is refused (``ApplicantConflict``) when its NTN or CNIC is
    known as another kind's, in the caller's records or earlier in ``items``. ``kinds`` kept from batch to batch
    stand for what earlier ones were accepted with, when they are not in the database.
    """
    rows = [_row(session.keyring, each) for each in items]
    refused = await _conflicts(session, principal, rows, kinds if kinds is not None else {})
    # in one order everywhere, so that two batches never wait for each other's rows
    accepted = dict(sorted({row["subject"]: row for index, row in enumerate(rows) if index not in refused}.items()))
    held = await store.current(session, principal.partner_id, list(accepted))
    own = {"partner_id": principal.partner_id}
    new = [{**row, **own, "id": uuid7()} for subject, row in accepted.items() if subject not in held]
    added = await store.add(session, new)
    ids = {subject: applicant.id for subject, applicant in held.items()} | {subject: id_ for subject, id_, _ in added}
    differing = [
        {**row, "id": held[s].id} for s, row in accepted.items() if s in held and _differs(session, held[s], row)
    ]
    await store.change(session, differing)
    made = {subject for subject, _, is_made in added if is_made}
    changed = [row["id"] for row in differing] + [id_ for _, id_, is_made in added if not is_made]
    await _record_events(session, principal, [ids[s] for s in made], changed)
    return [refused.get(i) or Recorded(ids[row["subject"]], row["subject"] in made) for i, row in enumerate(rows)]


async def _conflicts(
    session: WriteSession, principal: Principal, rows: Sequence[dict[str, Any]], kind_of: dict[str, str]
) -> dict[int, Invalid]:
    known = await store.known_as_other_kind(session, principal.partner_id, rows)
    refused: dict[int, Invalid] = {}
    for index, row in enumerate(rows):
        numbers = {"ntn": row.get("ntn"), "cnic": row.get("cnic_hash")}
        wrong: list[FieldError] = [
            ApplicantConflict.at(f"/{name}")
            for name, number in numbers.items()
            if number and ((row["subject"], name) in known or kind_of.get(number, row["kind"]) != row["kind"])
        ]
        if wrong:
            refused[index] = Invalid.of(wrong)
        else:
            kind_of |= {number: row["kind"] for number in numbers.values() if number}
    return refused


def details_of(session: ReadSession, applicant: Applicant) -> dict[str, Any]:
    """A record's details in full, for comparing and masking; only ``reveal`` shows them so."""
    kept = {name: getattr(applicant, name) for name in ApplicantDetails.model_fields if name not in store.SEALED}
    return kept | store.personal(session.keyring, applicant)


def _differs(session: ReadSession, held: Applicant, row: dict[str, Any]) -> bool:
    return any(row[name] != value for name, value in details_of(session, held).items())


async def _record_events(
    session: WriteSession, principal: Principal, created: Sequence[UUID], changed: Sequence[UUID]
) -> None:
    named = [("applicant.created", created), ("applicant.changed", changed)]
    happenings = [Happening(name, id_, principal.partner_id) for name, ids in named for id_ in ids]
    await events.record(session, principal, happenings)


async def change(
    session: WriteSession, principal: Principal, applicant_id: UUID, if_match: IfMatch, patch: ApplicantChange
) -> None:
    """Merge ``patch`` into a record of the caller's own.

    Raises ``NotFound``, ``Forbidden``, ``VersionMismatch``, ``Invalid``.
    """
    applicant = await store.get(session, principal, applicant_id, lock=True)
    if applicant.partner_id != principal.partner_id:
        raise Forbidden("Only the partner whose record it is can change it.")
    if_match.check(applicant)
    merged = validated(ApplicantDetails, patch.onto(details_of(session, applicant)))
    row = _row(session.keyring, merged)
    if row["subject"] != applicant.subject:
        name = merged.identity[0]
        raise Invalid.of(
            [InvalidValue.at(f"/{name}", "The number that identifies an applicant cannot change; make a new one.")]
        )
    if conflicts := await _conflicts(session, principal, [row], {}):
        raise conflicts[0]
    if _differs(session, applicant, row):
        await store.change(session, [{**row, "id": applicant.id}])
        await _record_events(session, principal, [], [applicant.id])
    session.expire(applicant)


async def reveal(session: WriteSession, principal: Principal, applicant_id: UUID, reason: str) -> Applicant:
    """The record whose CNIC is to be shown in full, with an event that its partner sees. Raises ``NotFound``."""
    applicant = await store.get(session, principal, applicant_id)
    details = {"fields": ["cnic"], "reason": reason}
    happening = Happening("applicant.revealed", applicant.id, applicant.partner_id, details=details)
    await events.record(session, principal, [happening])
    return applicant


async def erase(session: WriteSession, ids: Sequence[UUID]) -> None:
    """Erase the personal data of applicants whose time has passed; an event tells their partners."""
    erased = await store.erase(session, ids)
    await events.record(session, None, [Happening("applicant.erased", id_, partner_id) for id_, partner_id in erased])
