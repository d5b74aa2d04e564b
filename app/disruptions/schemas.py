"""Request and response bodies of disruption reports and incidents."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from app.core.database.pagination import PageQuery
from app.core.errors import FieldError, InvalidValue
from app.core.validation import networks
from app.core.validation.schemas import (
    LINE,
    REFUSED,
    AnyOf,
    Body,
    Examples,
    Instant,
    Page,
    Paragraph,
    Resource,
    Timestamp,
    domain_validator,
)
from app.disruptions.rules import Finding, ReportStatus, Symptom, Verdict
from app.registrations.rules import Protocol

REPORT: Examples = {
    "address": "203.99.50.5",
    "observed_from": "2026-11-21T09:30:00Z",
    "observed_until": "2026-11-21T09:50:00Z",
    "symptom": "no_connection",
    "protocol": "wireguard",
}
OPERATOR = Field(max_length=100, examples=["nayatel"])
RECEIPT = Field(max_length=100, description="In place of a token: a receipt of the registration")
_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)


def _canonical(text: str) -> str:
    return str(networks.parse_address(text))


class NewReport(Body):
    """A disruption of an address. Nothing is asked about the far end of the connection, and nothing is to be told."""

    model_config = ConfigDict(json_schema_extra={"examples": [REPORT]})

    address: Annotated[str, LINE, Field(max_length=60), domain_validator(_canonical)]
    observed_from: Instant
    observed_until: Annotated[Instant | None, Field(description="Its end, unless it lasts")] = None
    symptom: Symptom
    protocol: Protocol | None = None
    operator: Annotated[
        str | None, LINE, OPERATOR, Field(description="Where it was seen, if not at the registration's operator")
    ] = None
    receipt: Annotated[str | None, LINE, RECEIPT] = None

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        """Refuse a disruption that ends before it begins."""
        begin, end = given.get("observed_from", REFUSED), given.get("observed_until", REFUSED)
        if REFUSED in (begin, end):
            return
        try:
            is_reversed = _INSTANT.validate_python(end) < _INSTANT.validate_python(begin)
        except ValidationError:
            return  # the field's own error
        if is_reversed:
            yield InvalidValue.at("/observed_until", "The end is before observed_from.")


class NewFinding(Body):
    """What the operator found; it closes the report."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"finding": "was_behind", "note": "One edge had not loaded serial 12."}]}
    )

    finding: Finding
    note: Annotated[Paragraph | None, Field(description="For the reporter; no names and no addresses of others")] = None


class Reopening(Body):
    """Whose report is opened again: of a token's partner, or of the holder of its receipt."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"receipt": "PK-7H3KQ9-M2QXW8RT-5"}]})

    receipt: Annotated[str | None, LINE, RECEIPT] = None


class DisruptionReport(Resource):
    """A disruption report. What the caller may not see is null."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "019b2f6e-8200-7b1a-8c44-1f2e3d4c5b6a",
                    "registration_id": "019b2f6e-6c00-7e1f-8a5b-3c2d1e0f9a8b",
                    "by_receipt": False,
                    "operator": "nayatel",
                    "address": "203.99.50.5",
                    "observed_from": "2026-11-21T09:30:00.000000Z",
                    "observed_until": "2026-11-21T09:50:00.000000Z",
                    "symptom": "no_connection",
                    "protocol": "wireguard",
                    "verdict": "in_force",
                    "reason": "listed",
                    "since": "2026-10-01T08:00:02.000000Z",
                    "status": "open",
                    "reported_at": "2026-11-21T10:00:00.000000Z",
                    "due_at": "2026-11-21T14:00:00.000000Z",
                    "overdue_at": None,
                    "acknowledged_at": None,
                    "finding": None,
                    "note": None,
                    "ended_at": None,
                    "incident_id": None,
                    "version": 1,
                }
            ]
        },
    )

    id: UUID
    registration_id: Annotated[UUID | None, Field(description="For the reporting partner and the regulator")]
    by_receipt: Annotated[bool | None, Field(description="For the reporting partner and the regulator")]
    operator: Annotated[str | None, Field(description="Whom it is for; by announced prefix when nothing else tells")]
    address: str
    observed_from: Timestamp
    observed_until: Timestamp | None
    symptom: Symptom
    protocol: Protocol | None
    verdict: Annotated[Verdict, Field(description="Of the reporter's own registrations, at `observed_from`")]
    reason: Annotated[str | None, Field(description="Why it was in force or not", examples=["expired"])]
    since: Timestamp | None
    status: ReportStatus
    reported_at: Timestamp
    due_at: Annotated[Timestamp | None, Field(description="When the operator's finding is due")]
    overdue_at: Timestamp | None
    acknowledged_at: Timestamp | None
    finding: Finding | None
    note: str | None
    ended_at: Annotated[Timestamp | None, Field(description="When it was answered, or closed by a finding")]
    incident_id: UUID | None
    version: int


DisruptionReportPage = Page[DisruptionReport]


class ReportsQuery(PageQuery):
    """Filters of disruption reports."""

    status: AnyOf[ReportStatus] = None
    verdict: AnyOf[Verdict] = None
    symptom: AnyOf[Symptom] = None
    operator: AnyOf[Annotated[str, LINE, OPERATOR]] = None
    incident_id: UUID | None = None


class Incident(Resource):
    """Many reports at once: when it began, where, and how many reports are part of it."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "019b2f6e-8300-7b1a-8c44-1f2e3d4c5b6a",
                    "number": 7,
                    "operators": ["nayatel"],
                    "began_at": "2026-11-21T09:30:00.000000Z",
                    "opened_at": "2026-11-21T09:41:10.000000Z",
                    "closed_at": None,
                    "reports": 12,
                }
            ]
        },
    )

    id: UUID
    number: int
    operators: Sequence[str]
    began_at: Timestamp
    opened_at: Timestamp
    closed_at: Timestamp | None
    reports: int


IncidentPage = Page[Incident]


class IncidentsQuery(PageQuery):
    """Filters of incidents."""

    operator: AnyOf[Annotated[str, LINE, OPERATOR]] = None
    closed: Annotated[bool | None, Field(description="Only those that are closed, or only those that are open")] = None
