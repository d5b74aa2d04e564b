"""Tables of disruption reports and of incidents."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, ForeignKey, Identity, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, INET
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.base import NOW, Base, Identified, Versioned, one_of
from app.disruptions.rules import Finding, ReportStatus, Symptom, Verdict
from app.partners.models import Partner
from app.registrations.models import Registration
from app.registrations.rules import Protocol

IS_PENDING = text("status IN ('open', 'acknowledged')")


class Incident(Identified, Base):
    """Many reports at once, at one operator or at several.

    ``began_at`` is the first disruption among them, ``last_report_at`` the time of the last report; ``reports`` is the
    number of reports.
    """

    __tablename__ = "incidents"

    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    operators: Mapped[list[str]] = mapped_column(ARRAY(Text))
    began_at: Mapped[datetime]
    opened_at: Mapped[datetime] = mapped_column(server_default=NOW)
    closed_at: Mapped[datetime | None]
    last_report_at: Mapped[datetime]
    reports: Mapped[int]


class DisruptionReport(Identified, Versioned, Base):
    """A report of ``partner_id``, or of the holder of a receipt of one of its cases (``by_receipt``).

    Reason and ``since`` are those of the case's standing at ``observed_from``. The incident and being overdue are no
    part of the version, so that they make no operator's ``If-Match`` fail.
    """

    __tablename__ = "disruption_reports"
    __table_args__ = (
        one_of("symptom", Symptom),
        one_of("protocol", Protocol),
        one_of("verdict", Verdict),
        one_of("status", ReportStatus),
        one_of("finding", Finding),
        Index(None, "partner_id", "id"),
        Index(None, "operator", "id"),
        Index(None, "registration_id"),
        Index(None, "incident_id"),
        Index("disruption_reports_pending_idx", "due_at", postgresql_where=IS_PENDING),
        Index(None, "ended_at"),
    )

    partner_id: Mapped[UUID] = mapped_column(ForeignKey(Partner.id))
    client_id: Mapped[UUID | None]
    by_receipt: Mapped[bool] = mapped_column(Boolean)
    registration_id: Mapped[UUID | None] = mapped_column(ForeignKey(Registration.id))
    operator: Mapped[str | None]
    address: Mapped[str] = mapped_column(INET)
    observed_from: Mapped[datetime]
    observed_until: Mapped[datetime | None]
    symptom: Mapped[str]
    protocol: Mapped[str | None]
    verdict: Mapped[str]
    reason: Mapped[str | None]
    since: Mapped[datetime | None]
    status: Mapped[str]
    reported_at: Mapped[datetime] = mapped_column(server_default=NOW)
    due_at: Mapped[datetime | None]
    overdue_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]
    finding: Mapped[str | None]
    note: Mapped[str | None]
    ended_at: Mapped[datetime | None]
    incident_id: Mapped[UUID | None] = mapped_column(ForeignKey(Incident.id))
