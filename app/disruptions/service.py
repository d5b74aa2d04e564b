"""Disruption reports from the verdict to the finding, and the incidents that they make."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from app.core.database.engine import Database
from app.core.database.transaction import Transaction
from app.core.errors import FieldError, Invalid, InvalidValue
from app.core.principal import Principal
from app.core.validation import networks
from app.core.validation.preconditions import IfMatch
from app.disruptions import rules, store
from app.disruptions.errors import DisruptionLimit, ReportState
from app.disruptions.models import DisruptionReport, Incident
from app.disruptions.rules import Judgement, ReportStatus
from app.disruptions.schemas import NewFinding, NewReport
from app.enforcers import store as enforcers
from app.enforcers.rules import BEHIND_AFTER
from app.events import store as events
from app.events.store import NewEvent
from app.operators import store as operators
from app.standing import store as standing_store
from app.standing.rules import standing


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the register knows of a disruption: the verdict, the operator that it is for, and whose report it is."""

    judgement: Judgement
    operator: str | None
    partner_id: UUID


async def examine(database: Database, body: NewReport, *, partner_id: UUID | None, case_id: UUID | None) -> Evidence:
    """Return the verdict on a disruption by the partner's own cases, or by the one case of a receipt.

    Reads as the service, since neither the list's grants nor operators' enforcers are shown to partners; of others'
    cases nothing is read. Raises ``Invalid``.
    """
    async with database.transaction(read_only=True) as tx:
        await _check(tx, body)
        ids = [case_id] if case_id else await store.cases_of_address(tx, partner_id or UUID(int=0), body.address)
        line = [*ids, *await store.predecessors(tx, ids)]
        cases, holdings = await standing_store.read_cases(tx, ids), await standing_store.read_holdings(tx, line)
        moment, position = body.observed_from, networks.to_integer(ip_address(body.address))
        best = rules.best_case(
            (case, standing(case, holdings.get(id_, ()), moment, position=position))
            for id_, case in cases.items()
            if case.contains(position)
        )
        operator = body.operator or (best[0].operator if best else await operators.announcing(tx, body.address))
        states = await enforcers.operator_states(tx, [operator], moment) if operator else {}
    known = states.get(operator or "")
    owner = cases[case_id].partner_id if case_id else partner_id
    assert owner is not None
    was_listed = any(
        each.contains(position) and each.is_listed(moment - BEHIND_AFTER) for own in holdings.values() for each in own
    )
    return Evidence(rules.judge(best, known and known.state, was_listed=was_listed), operator, owner)


async def _check(tx: Transaction, body: NewReport) -> None:
    """Raise ``Invalid`` for times that are to come or too long ago, and for an unknown operator."""
    now = await tx.now()
    errors: list[FieldError] = []
    for name in ("observed_from", "observed_until"):
        time: datetime | None = getattr(body, name)
        if time and time > now + rules.CLOCK_TOLERANCE:
            errors.append(InvalidValue.at(f"/{name}", "The time is in the future."))
    if body.observed_from < now - rules.OLDEST:
        errors.append(InvalidValue.at("/observed_from", f"At most {rules.OLDEST.days} days ago."))
    try:
        await operators.check_known(tx, [body.operator] if body.operator else [], "/operator")
    except Invalid as unknown:
        errors += unknown.errors
    if errors:
        raise Invalid.of(errors)


async def create(tx: Transaction, principal: Principal | None, body: NewReport, evidence: Evidence) -> DisruptionReport:
    """Insert a report; without a principal it is by the receipt of the case. Raises ``DisruptionLimit``."""
    judgement = evidence.judgement
    case = judgement.case
    status, now = rules.status_after(judgement.verdict), await tx.now()
    if await store.count_pending(tx, evidence.partner_id) >= rules.MAX_PENDING and status == ReportStatus.OPEN:
        raise DisruptionLimit(f"A partner has at most {rules.MAX_PENDING} reports at operators.")
    report = DisruptionReport(
        **body.model_dump(exclude={"receipt", "operator"}),
        partner_id=evidence.partner_id,
        client_id=principal.client_id if principal else None,
        by_receipt=principal is None,
        registration_id=case.id if case else None,
        operator=evidence.operator,
        verdict=judgement.verdict,
        reason=judgement.reason,
        since=judgement.since,
        status=status,
        due_at=now + rules.DUE_AFTER if status == ReportStatus.OPEN else None,
        ended_at=now if status == ReportStatus.ANSWERED else None,
    )
    await store.add(tx, report)
    name = "disruption.opened" if status == ReportStatus.OPEN else "disruption.answered"
    details = {"verdict": report.verdict, "symptom": report.symptom, "observed_from": _text(report.observed_from)}
    await _record(tx, principal, name, report, due_at=_text(report.due_at), **details)
    return report


async def check_receipt_limit(tx: Transaction, case_id: UUID) -> None:
    """Raise ``DisruptionLimit`` when a case was reported too often by its receipt."""
    if await store.count_by_receipt(tx, case_id) >= rules.MAX_BY_RECEIPT:
        raise DisruptionLimit(f"At most {rules.MAX_BY_RECEIPT} reports a day by one receipt.")


async def acknowledge(tx: Transaction, principal: Principal, report_id: UUID, if_match: IfMatch) -> DisruptionReport:
    """Acknowledge an open report as its operator. Raises ``NotFound``, ``VersionMismatch``, ``ReportState``."""
    report = await _lock_at_operator(tx, principal, report_id, if_match)
    if report.status != ReportStatus.OPEN:
        raise ReportState(f"The report is {report.status}.")
    await store.save(tx, report, status=ReportStatus.ACKNOWLEDGED, acknowledged_at=await tx.now())
    await _record(tx, principal, "disruption.acknowledged", report)
    return report


async def close(
    tx: Transaction, principal: Principal, report_id: UUID, if_match: IfMatch, body: NewFinding
) -> DisruptionReport:
    """Close a report by its operator's finding. Raises ``NotFound``, ``VersionMismatch``, ``ReportState``."""
    report = await _lock_at_operator(tx, principal, report_id, if_match)
    if report.status not in rules.PENDING:
        raise ReportState(f"The report is {report.status}.")
    await store.save(
        tx,
        report,
        status=ReportStatus.CLOSED,
        finding=body.finding,
        note=body.note,
        ended_at=await tx.now(),
        due_at=None,
    )
    await _record(tx, principal, "disruption.closed", report, finding=report.finding)
    return report


async def _lock_at_operator(
    tx: Transaction, principal: Principal, report_id: UUID, if_match: IfMatch
) -> DisruptionReport:
    report = await store.get(tx, principal, report_id, lock=True)
    if_match.check(report)
    if principal.operator is None or report.operator != principal.operator:
        raise ReportState("Only the operator of the report can do this.")
    return report


async def reopen(
    tx: Transaction, principal: Principal | None, report_id: UUID, if_match: IfMatch, case_id: UUID | None
) -> DisruptionReport:
    """Open a closed report again as its partner, or by the receipt of the case ``case_id``.

    Raises ``NotFound``, ``VersionMismatch``, and ``ReportState`` when it is not closed, or for more than 72 hours.
    """
    if principal is None:
        report = await store.get_by_receipt(tx, case_id or UUID(int=0), report_id)
    else:
        report = await store.get(tx, principal, report_id, lock=True)
    if_match.check(report)
    if principal is not None and report.partner_id != principal.partner_id:
        raise ReportState("Only the reporter can open the report again.")
    now = await tx.now()
    if report.status != ReportStatus.CLOSED or report.ended_at is None:
        raise ReportState(f"The report is {report.status}.")
    if now - report.ended_at > rules.REOPENED_WITHIN:
        raise ReportState("The report was closed more than 72 hours ago.")
    await store.save(tx, report, status=ReportStatus.OPEN, due_at=now + rules.DUE_AFTER, **dict.fromkeys(_ENDED))
    await _record(tx, principal, "disruption.reopened", report, due_at=_text(report.due_at))
    return report


_ENDED = ("overdue_at", "acknowledged_at", "finding", "note", "ended_at", "incident_id")


def _text(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


async def _record(
    tx: Transaction, actor: Principal | None, name: str, report: DisruptionReport, **details: Any
) -> None:
    await events.record(tx, actor, [_event(name, report, **details)])


def _event(name: str, report: DisruptionReport, **details: Any) -> NewEvent:
    """Return an event of a report; it has no address, since the log keeps it. An answered report names no operator."""
    operator = None if report.status == ReportStatus.ANSWERED else report.operator
    given = {"status": report.status, **details}
    return NewEvent(name, report.id, report.partner_id, operator, {key: each for key, each in given.items() if each})


async def sweep(database: Database) -> None:
    """Tell the regulator of reports that are overdue; open incidents, and close those that have ended."""
    async with database.transaction() as tx:
        if not await store.try_lock_sweep(tx):
            return
        overdue = [
            _event("disruption.overdue", each, due_at=_text(each.due_at)) for each in await store.mark_overdue(tx)
        ]
        await store.join_incidents(tx)
        found = rules.find_incidents(await store.pending_alone(tx))
        opened = [_incident_event("incident.opened", await store.open_incident(tx, each)) for each in found]
        closed = [_incident_event("incident.closed", each) for each in await store.close_incidents(tx)]
        await events.record(tx, None, [*overdue, *opened, *closed])


def _incident_event(name: str, incident: Incident) -> NewEvent:
    details = {
        "number": incident.number,
        "operators": incident.operators,
        "began_at": _text(incident.began_at),
        "reports": incident.reports,
    }
    return NewEvent(name, incident.id, details=details)


async def delete_old(database: Database, kept: timedelta) -> None:
    """Delete the reports that were answered or closed so long ago, with their addresses."""
    deleted = store.DELETED_AT_ONCE
    while deleted == store.DELETED_AT_ONCE:
        async with database.transaction() as tx:
            deleted = await store.delete_old(tx, kept)


async def delete_of_cases(tx: Transaction, registration_ids: Collection[UUID]) -> Collection[UUID]:
    """Delete the reports of cases that are erased; return their ids."""
    return await store.delete_of_cases(tx, registration_ids)
