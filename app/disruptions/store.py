"""SQL of disruption reports and incidents."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, cast, delete, exists, func, literal, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY, INET

from app.core.database.base import NOW
from app.core.database.batches import any_of
from app.core.database.pagination import fetch_page, matching
from app.core.database.transaction import Transaction
from app.core.errors import NotFound
from app.core.principal import Principal
from app.disruptions.models import DisruptionReport, Incident
from app.disruptions.rules import INCIDENT_WINDOW, PENDING, NewIncident, PendingReport, ReportStatus
from app.disruptions.schemas import IncidentsQuery, ReportsQuery
from app.registrations.models import Registration, RegistrationNetwork

MAX_CASES = 100  # of one partner with one address
DELETED_AT_ONCE = 5_000
COUNTED_WITHIN = timedelta(days=1)
NOT_SYNCHRONIZED = {"synchronize_session": False}
IS_PENDING = any_of(DisruptionReport.status, sorted(PENDING))


def _visible_to(principal: Principal) -> ColumnElement[bool]:
    """Return the condition of reports that a caller sees: an operator those that are or were at it, never answered."""
    if principal.sees_all:
        return true()
    if principal.partner_kind == "operator":
        is_own = DisruptionReport.operator == principal.operator
        return and_(is_own, DisruptionReport.status != ReportStatus.ANSWERED)
    return DisruptionReport.partner_id == principal.partner_id


async def cases_of_address(tx: Transaction, partner_id: UUID, address: str) -> Sequence[UUID]:
    """Return the newest cases of a partner with a network that contains an address."""
    containing = select(RegistrationNetwork.registration_id).where(
        RegistrationNetwork.network.op(">>=")(cast(literal(address, Text), INET))
    )
    statement = select(Registration.id).where(Registration.partner_id == partner_id, Registration.id.in_(containing))
    return (await tx.scalars(statement.order_by(Registration.id.desc()).limit(MAX_CASES))).all()


async def predecessors(tx: Transaction, ids: Collection[UUID]) -> Sequence[UUID]:
    """Return the cases that these replace, of whichever partner: what they held changed hands."""
    replaced = select(Registration.replaces).where(any_of(Registration.id, ids), Registration.replaces.is_not(None))
    return [id_ for id_ in await tx.scalars(replaced) if id_]


async def count_pending(tx: Transaction, partner_id: UUID) -> int:
    """Count the reports of a partner that are at operators, under a lock that keeps others from adding some."""
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"disruptions {partner_id}", 0))))
    own = select(func.count()).where(DisruptionReport.partner_id == partner_id, IS_PENDING)
    return int(await tx.scalar(own) or 0)


async def count_by_receipt(tx: Transaction, registration_id: UUID) -> int:
    """Count the reports of a case by its receipt within a day."""
    recent = DisruptionReport.reported_at > NOW - COUNTED_WITHIN
    own = and_(DisruptionReport.registration_id == registration_id, DisruptionReport.by_receipt)
    return int(await tx.scalar(select(func.count()).where(own, recent)) or 0)


async def add(tx: Transaction, report: DisruptionReport) -> None:
    """Insert a report."""
    tx.add(report)
    await tx.flush()
    await tx.refresh(report)


async def get(tx: Transaction, principal: Principal, report_id: UUID, *, lock: bool = False) -> DisruptionReport:
    """Return one report that the caller may see; ``lock`` locks its row. Raises ``NotFound``."""
    statement = select(DisruptionReport).where(DisruptionReport.id == report_id, _visible_to(principal))
    return await _one(tx, statement, lock=lock)


async def get_by_receipt(tx: Transaction, registration_id: UUID, report_id: UUID) -> DisruptionReport:
    """Return one report that was made by the receipt of a case, locked. Raises ``NotFound``."""
    own = and_(DisruptionReport.registration_id == registration_id, DisruptionReport.by_receipt)
    return await _one(tx, select(DisruptionReport).where(DisruptionReport.id == report_id, own), lock=True)


async def _one(tx: Transaction, statement: Any, *, lock: bool) -> DisruptionReport:
    found: DisruptionReport | None = await tx.scalar(statement.with_for_update() if lock else statement)
    if found is None:
        raise NotFound
    return found


async def list_page(
    tx: Transaction, principal: Principal, query: ReportsQuery
) -> tuple[Sequence[DisruptionReport], str | None]:
    """Return a page of the reports that the caller may see, newest first, and the cursor of the next page."""
    conditions = (_visible_to(principal), *matching(DisruptionReport, query.filters()))
    statement = select(DisruptionReport).where(*conditions)
    return await fetch_page(tx, statement, DisruptionReport.id, query, list_name="disruptions", descending=True)


async def save(tx: Transaction, report: DisruptionReport, **values: Any) -> None:
    """Change a report, with its next version."""
    for name, value in values.items():
        setattr(report, name, value)
    report.version += 1
    report.updated_at = func.now()
    await tx.flush()
    await tx.refresh(report)


async def list_incidents(tx: Transaction, query: IncidentsQuery) -> tuple[Sequence[Incident], str | None]:
    """Return a page of incidents, newest first, and the cursor of the next page."""
    statement = select(Incident)
    if query.operator is not None:
        statement = statement.where(Incident.operators.overlap(literal(list(query.operator), ARRAY(Text))))
    if query.closed is not None:
        statement = statement.where(Incident.closed_at.is_not(None) == query.closed)
    return await fetch_page(tx, statement, Incident.id, query, list_name="incidents", descending=True)


async def try_lock_sweep(tx: Transaction) -> bool:
    """Take the lock of the sweep, which one worker at a time has; return False when another has it."""
    lock = func.pg_try_advisory_xact_lock(func.hashtextextended("disruptions sweep", 0))
    return bool(await tx.scalar(select(lock)))


async def mark_overdue(tx: Transaction) -> Sequence[DisruptionReport]:
    """Mark the reports whose finding is due and is not there, and return them."""
    overdue = (
        update(DisruptionReport)
        .where(IS_PENDING, DisruptionReport.due_at <= NOW, DisruptionReport.overdue_at.is_(None))
        .values(overdue_at=NOW)
        .returning(DisruptionReport)
    )
    return (await tx.scalars(overdue.execution_options(**NOT_SYNCHRONIZED))).all()


async def join_incidents(tx: Transaction) -> None:
    """Make pending reports part of the open incidents at their operator, up to 15 minutes after the last report."""
    is_recent = DisruptionReport.reported_at <= Incident.last_report_at + INCIDENT_WINDOW
    is_of = and_(Incident.closed_at.is_(None), DisruptionReport.operator == func.any(Incident.operators), is_recent)
    first = select(Incident.id).where(is_of).order_by(Incident.id).limit(1).correlate(DisruptionReport)
    joined = (
        update(DisruptionReport)
        .where(IS_PENDING, DisruptionReport.incident_id.is_(None), exists(select(Incident.id).where(is_of)))
        .values(incident_id=first.scalar_subquery())
        .returning(DisruptionReport.incident_id)
    )
    ids = {id_ for id_ in await tx.scalars(joined.execution_options(**NOT_SYNCHRONIZED)) if id_}
    of_incident = DisruptionReport.incident_id == Incident.id
    last = select(func.max(DisruptionReport.reported_at)).where(of_incident).scalar_subquery()
    count = select(func.count()).where(of_incident).scalar_subquery()
    counted = update(Incident).where(any_of(Incident.id, ids)).values(last_report_at=last, reports=count)
    await tx.execute(counted.execution_options(**NOT_SYNCHRONIZED))


async def pending_alone(tx: Transaction) -> list[PendingReport]:
    """Return the reports of the last day that are at operators and part of no incident."""
    statement = (
        select(
            DisruptionReport.id,
            Registration.subject,
            DisruptionReport.operator,
            DisruptionReport.reported_at,
            DisruptionReport.observed_from,
        )
        .join(Registration, Registration.id == DisruptionReport.registration_id)
        .where(
            IS_PENDING,
            DisruptionReport.incident_id.is_(None),
            DisruptionReport.reported_at > NOW - COUNTED_WITHIN,
        )
    )
    return [PendingReport(id_, subject, at or "", *times) for id_, subject, at, *times in await tx.execute(statement)]


async def open_incident(tx: Transaction, new: NewIncident) -> Incident:
    """Insert an incident and make its reports part of it."""
    incident = Incident(
        operators=list(new.operators),
        began_at=new.began_at,
        last_report_at=new.last_report_at,
        reports=len(new.report_ids),
    )
    tx.add(incident)
    await tx.flush()
    await tx.refresh(incident)
    own = update(DisruptionReport).where(any_of(DisruptionReport.id, new.report_ids))
    await tx.execute(own.values(incident_id=incident.id).execution_options(**NOT_SYNCHRONIZED))
    return incident


async def close_incidents(tx: Transaction) -> Sequence[Incident]:
    """Close the incidents none of whose reports is at an operator any more, and return them."""
    pending = exists().where(DisruptionReport.incident_id == Incident.id, IS_PENDING)
    closed = update(Incident).where(Incident.closed_at.is_(None), ~pending).values(closed_at=NOW).returning(Incident)
    return (await tx.scalars(closed.execution_options(**NOT_SYNCHRONIZED))).all()


async def delete_old(tx: Transaction, kept: timedelta) -> int:
    """Delete reports that ended so long ago, a bounded number; return how many."""
    old = select(DisruptionReport.id).where(DisruptionReport.ended_at < NOW - kept).limit(DELETED_AT_ONCE)
    found = await tx.scalars(
        delete(DisruptionReport).where(DisruptionReport.id.in_(old)).returning(DisruptionReport.id)
    )
    return len(found.all())


async def delete_of_cases(tx: Transaction, registration_ids: Collection[UUID]) -> Sequence[UUID]:
    """Delete the reports that rest on these cases; return their ids."""
    own = any_of(DisruptionReport.registration_id, registration_ids)
    deleted = delete(DisruptionReport).where(own).returning(DisruptionReport.id)
    return (await tx.scalars(deleted.execution_options(**NOT_SYNCHRONIZED))).all()
