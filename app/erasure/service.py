"""Erases applicants with all their cases: after their retention period, and on request."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.allowlist import store as allowlist
from app.applicants import service as applicants
from app.applicants import store as applicants_store
from app.applicants.store import ErasedApplicant
from app.audit import erasure as log
from app.bulk_uploads import erasure as bulk_uploads
from app.core.database.engine import Database
from app.core.database.transaction import Transaction
from app.core.http.idempotency import delete_responses_at
from app.core.principal import Principal
from app.core.validation.preconditions import IfMatch
from app.disruptions import service as disruptions
from app.erasure.errors import ApplicantInUse
from app.mail import store as mail
from app.registrations import erasure as registrations
from app.registrations.erasure import ERASED_AT_ONCE, BlockingCase, ErasedCase, RetentionPeriods

CHECKS_PER_TRANSACTION = 1_000
A_DAY = timedelta(days=1)
LISTED_CASES = 10
BEFORE_FIRST = UUID(int=0)


async def erase_due(database: Database, clocks: RetentionPeriods) -> None:
    """Erase every applicant whose retention period has ended, a bounded number in a transaction."""
    checked = CHECKS_PER_TRANSACTION
    while checked == CHECKS_PER_TRANSACTION:
        async with database.transaction() as tx:
            checked = await _check_batch(tx, clocks)


async def _check_batch(tx: Transaction, clocks: RetentionPeriods) -> int:
    """Check applicants whose check is due and erase those whose period has ended; returns the number checked.

    The others are checked again when their period ends, but after the shortest period at the latest, so that the end of
    a case since then is not missed; those with a network on the allowlist, after a day.
    """
    checked = await registrations.due_checks(tx, clocks, CHECKS_PER_TRANSACTION)
    now = datetime.now(UTC)
    erased = await _erase_all(tx, None, [id_ for id_, due in checked if due and due <= now])
    again = now + min(clocks)
    later = {id_: min(max(due, now + A_DAY), again) if due else again for id_, due in checked if id_ not in erased}
    await applicants_store.schedule_checks(tx, later)
    return len(checked)


async def erase_on_request(tx: Transaction, principal: Principal, applicant_id: UUID, if_match: IfMatch) -> None:
    """Erase an applicant now; does nothing if it is erased already.

    Raises ``NotFound``, ``VersionMismatch``, and ``ApplicantInUse`` when a case of it is open or in force.
    """
    await registrations.lock_cases(tx, [applicant_id])
    applicant = await applicants_store.get(tx, principal, applicant_id, lock=True)
    if applicant.retention_check_at is None:
        return
    if_match.check(applicant)
    if cases := await registrations.blocking_cases(tx, [applicant_id]):
        raise ApplicantInUse(_listing(cases))
    await _erase(tx, principal, [applicant_id])


def _listing(cases: Collection[BlockingCase]) -> str:
    listed = ", ".join(f"{each.registration_id} ({each.status})" for each in list(cases)[:LISTED_CASES])
    more = f" and {len(cases) - LISTED_CASES} more" if len(cases) > LISTED_CASES else ""
    return f"These cases are open, in force or still on the allowlist: {listed}{more}."


async def _erase_all(tx: Transaction, actor: Principal | None, ids: Collection[UUID]) -> set[UUID]:
    """Erase the applicants that have no case open or in force; returns their ids."""
    if not ids:
        return set()
    await registrations.lock_cases(tx, ids)
    locked = await applicants_store.lock_for_erasure(tx, ids)
    in_use = {each.applicant_id for each in await registrations.blocking_cases(tx, locked)}
    unused = [id_ for id_ in locked if id_ not in in_use]
    await _erase(tx, actor, unused)
    return set(unused)


async def _erase(tx: Transaction, actor: Principal | None, ids: Collection[UUID]) -> None:
    """Erase locked applicants and all their cases, 5,000 cases at a time."""
    erased = {each.id: each for each in await applicants.erase(tx, actor, ids)}
    await delete_responses_at(tx, [f"/v1/applicants/{id_}" for id_ in ids])
    await mail.forget_applicants(tx, ids)
    cases = await registrations.cases_after(tx, ids, BEFORE_FIRST)
    while cases:
        await _erase_cases(tx, actor, cases, erased)
        cases = await registrations.cases_after(tx, ids, cases[-1].id) if len(cases) == ERASED_AT_ONCE else []


async def _erase_cases(
    tx: Transaction, actor: Principal | None, cases: Collection[ErasedCase], applicants_: dict[UUID, ErasedApplicant]
) -> None:
    """Erase the texts of cases from all tables, and set the new subjects of their applicants."""
    subjects = {case.id: applicants_[case.applicant_id].subject for case in cases}
    await registrations.erase(tx, subjects)
    await allowlist.rename_holders(tx, subjects)
    erasures = await log.erase(tx, list(subjects))
    references = {(case.partner_id, case.reference) for case in cases if case.reference}
    references |= {
        (case.partner_id, value["reference"])
        for case in cases
        if case.id in erasures
        for value in erasures[case.id].values
    }
    await bulk_uploads.erase_references(tx, references, list(subjects))
    await delete_responses_at(tx, [f"/v1/registrations/{id_}" for id_ in subjects])
    reports = await disruptions.delete_of_cases(tx, list(subjects))
    await delete_responses_at(tx, [f"/v1/disruption-reports/{id_}" for id_ in reports])
    details = {id_: erasures[id_].details if id_ in erasures else {} for id_ in subjects}
    await registrations.record_erased(tx, actor, details)
