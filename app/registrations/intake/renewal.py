"""Cases that the rows of a file replace, found by the submitter's own references."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Text, Uuid, and_, bindparam, select, true

from app.core.database.batches import column_text, lateral_lookup, text_columns
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.core.errors import FieldError, NotFound
from app.core.principal import Principal
from app.registrations.errors import SuccessorExists
from app.registrations.intake import statements
from app.registrations.intake.batch import Batch, Locks
from app.registrations.intake.conflicts import read_cases
from app.registrations.intake.eligibility import is_same
from app.registrations.lines import DEFAULT_HANDOVER_HOURS, NamedCase, find_named
from app.registrations.models import Registration
from app.registrations.rules import NEVER_GRANTED, OPEN, RegistrationRequest, Status, is_renewable

NO_SUCH_CASE = NotFound.at("/replaces", "No registration of yours has this reference.")
TAKEN = SuccessorExists.at("/replaces", "Another row of the file is to replace the same registration.")
# A subquery, so that the planner does not look through all cases of a partner without statistics.
_SUBMITTER = select(bindparam("partner_id", type_=Uuid)).scalar_subquery()


def _find_lines() -> Statement:
    given = text_columns({"reference": Text}).subquery("given")
    same = and_(Registration.partner_id == _SUBMITTER, Registration.reference == given.c.reference)
    columns = [getattr(Registration, name) for name in (*NamedCase._fields, "expires_at")]
    found = lateral_lookup(select(*columns).where(same), "found")
    return Statement(select(*found.c).select_from(given).join(found, true()))


_FIND_LINES = _find_lines()


class Replacements(NamedTuple):
    """A batch whose items have the cases that they replace, and the errors of items by their place."""

    batch: Batch
    errors: Mapping[int, Sequence[FieldError]]


class OwnCases(NamedTuple):
    """The cases of a partner that have some references, by reference, and when each expires."""

    by_reference: Mapping[str, Sequence[NamedCase]]
    expires_at: Mapping[UUID, datetime | None]
    now: datetime

    def of(self, reference: str | None) -> Sequence[NamedCase]:
        """Return the cases with a reference."""
        return self.by_reference.get(reference or "", ())

    def may_be_renewed(self, case: NamedCase) -> bool:
        """True for a case in its renewal window, or lapsed or expired."""
        return is_renewable(case.status, self.expires_at[case.id], self.now)


async def find_replaced(
    tx: Transaction,
    principal: Principal,
    batch: Batch,
    references: Mapping[int, str],
    *,
    renew: bool,
    taken: Collection[UUID] = (),
) -> Replacements:
    """Set which case each item of a batch replaces; takes the locks of the batch.

    ``references`` are those of the cases to replace, by place. With ``renew``, items without one, and those whose
    successor exists, replace the newest grant of their own reference once it may be renewed. ``taken`` are the cases
    that earlier chunks of a dry run replace.
    """
    if not references and not renew:
        return Replacements(batch, {})
    named = Locks.of((), references.values()).references
    batch = replace(batch, locks=batch.locks._replace(references=batch.locks.references | named))
    await statements.take_locks(tx, principal.partner_id, batch.locks)
    places = range(len(batch.items)) if renew else references
    own = {reference for place in places if (reference := batch.items[place].reference)}
    cases = await _read_own(tx, principal.partner_id, own | set(references.values()))
    found = dict(_renewals(batch.items, cases)) if renew else {}
    named_cases = {place: find_grant(cases.of(reference)) for place, reference in references.items()}
    errors = {place: [NO_SUCH_CASE] for place, case in named_cases.items() if case is None}
    found |= {
        place: case
        for place, case in named_cases.items()
        if case and is_to_be_replaced(case, cases.of(batch.items[place].reference))
    }
    for place in [*errors.keys() & found.keys(), *await _same_for_now(tx, batch, found, cases)]:
        del found[place]
    errors |= {place: [TAKEN] for place, case in found.items() if case.id in taken}
    return Replacements(replace(batch, items=_with_replaced(batch.items, found)), errors)


def find_grant(cases: Sequence[NamedCase]) -> NamedCase | None:
    """Return the newest case of a line that was granted, or else its newest case; None without cases."""
    granted = [each for each in cases if each.status not in OPEN | NEVER_GRANTED]
    return find_named(granted or cases, None)


def is_to_be_replaced(case: NamedCase, own: Sequence[NamedCase]) -> bool:
    """True unless one of ``own``, the cases with a row's reference, replaces the case already.

    A successor that was rejected is corrected by the row; one that was withdrawn is submitted anew.
    """
    successors = [each for each in own if each.replaces == case.id and each.status != Status.WITHDRAWN]
    return not successors or max(successors, key=lambda each: each.id).status == Status.REJECTED


def _renewals(items: Sequence[RegistrationRequest], cases: OwnCases) -> Iterator[tuple[int, NamedCase]]:
    for place, item in enumerate(items):
        case = find_grant(cases.of(item.reference))
        if case and case.replaced_by is None and cases.may_be_renewed(case):
            yield place, case


async def _same_for_now(tx: Transaction, batch: Batch, found: Mapping[int, NamedCase], cases: OwnCases) -> list[int]:
    """Return the places of items with the content of the case that they name, which is not to be renewed yet.

    A file that is sent each night does not renew a case each night.
    """
    unsure = {
        place: case
        for place, case in found.items()
        if case.reference == batch.items[place].reference and not cases.may_be_renewed(case)
    }
    contents = {each.id: each.request for each in await read_cases(tx, [case.id for case in unsure.values()])}
    return [
        place
        for place, case in unsure.items()
        if (applicant := batch.applicants[place]) and is_same(batch.items[place], applicant, contents[case.id])
    ]


def _with_replaced(items: Sequence[RegistrationRequest], found: Mapping[int, NamedCase]) -> list[RegistrationRequest]:
    return [
        item._replace(replaces=found[place].id, handover_hours=DEFAULT_HANDOVER_HOURS) if place in found else item
        for place, item in enumerate(items)
    ]


async def _read_own(tx: Transaction, partner_id: UUID, references: Collection[str]) -> OwnCases:
    found = await tx.fetch(_FIND_LINES, partner_id=partner_id, reference=column_text(references))
    by_reference = defaultdict[str, list[NamedCase]](list)
    expires_at: dict[UUID, datetime | None] = {}
    for *case, expires in found:
        named = NamedCase._make(case)
        by_reference[named.reference].append(named)
        expires_at[named.id] = expires
    return OwnCases(by_reference, expires_at, await tx.now())
