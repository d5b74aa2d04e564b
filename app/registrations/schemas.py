"""Request and response bodies of registrations and tracks."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.core.database.pagination import PageQuery
from app.core.errors import FieldError, MissingField
from app.core.validation import networks
from app.core.validation.schemas import (
    LINE,
    AnyOf,
    Body,
    Examples,
    Instant,
    Line100,
    Line200,
    MergePatch,
    OneOrSeveral,
    Page,
    Query,
    Resource,
    Timestamp,
    domain_validator,
)
from app.core.validation.text_fields import Description, Number200, Reference100, choice_validator
from app.registrations import lines, rules
from app.registrations.rules import Flag, Protocol, Purpose, RegistrationRequest, Status, Track

NetworkText = Annotated[
    str,
    LINE,
    domain_validator(lambda text: networks.parse(text).text),
    Field(description="An address or prefix; kept as canonical CIDR", examples=["203.99.50.5"]),
]
OperatorCode = Annotated[str, LINE, Field(max_length=100, examples=["nayatel"])]
APPLICANT_ID = "019b2f6e-6a00-7c3e-8d55-1b8d7f3e2a11"
DETAILS: Examples = {
    "applicant_id": APPLICANT_ID,
    "track": "vpn_company",
    "purpose": "it_services",
    "protocol": "wireguard",
    "operator": "nayatel",
    "subscriber_id": "NAYATEL-00001234",
    "networks": ["203.99.50.5", "203.99.50.16/29"],
    "reference": "PSEB-2026-000123",
    "description": "Remote access to the head office",
}


class RegistrationDetails(Body):
    """Content of a registration. GET /v1/tracks says what each track needs."""

    model_config = ConfigDict(json_schema_extra={"examples": [DETAILS]})

    applicant_id: UUID
    track: Annotated[Track, choice_validator(rules.CHOICES["track"])]
    purpose: Annotated[Purpose, choice_validator(rules.CHOICES["purpose"])]
    protocol: Annotated[Protocol, choice_validator(rules.CHOICES["protocol"])] | None = None
    operator: OperatorCode
    subscriber_id: Number200 | None = None
    networks: Annotated[list[NetworkText], Field(min_length=1, max_length=rules.MAX_NETWORKS)]
    reference: Annotated[Reference100 | None, Field(description="Your own key, unique among your registrations")] = None
    description: Description | None = None
    replaces: Annotated[
        UUID | None,
        Field(description="The registration that this one renews, moves or corrects, and supersedes once approved"),
    ] = None
    handover_hours: Annotated[
        int | None,
        Field(
            ge=0,
            le=lines.MAX_HANDOVER_HOURS,
            strict=True,
            description="With `replaces`: for how long networks that are not asked for again stay; 24 if absent",
        ),
    ] = None
    transfer_code: Annotated[
        Line100 | None, Field(description="To replace a registration of another partner: its holder's one-time code")
    ] = None

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        """Yield errors of fields that the track needs, of networks that overlap, and of a hand-over from nothing."""
        checks = (rules.missing_for_track, rules.overlaps_within, lines.hand_over_without_replaced)
        return chain.from_iterable(check(given) for check in checks)

    @property
    def request(self) -> RegistrationRequest:
        """The content as a plain value."""
        request = RegistrationRequest._make(map(self.__dict__.__getitem__, RegistrationRequest._fields))
        if request.handover_hours is None and (request.replaces or request.transfer_code):
            return request._replace(handover_hours=lines.DEFAULT_HANDOVER_HOURS)
        return request


class RegistrationChange(MergePatch):
    """Correction as a JSON merge patch (RFC 7396). Neither the applicant nor what the case replaces can be changed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"operator": "ptcl", "networks": ["39.32.0.7"]}]})

    track: str | None = None
    purpose: str | None = None
    protocol: str | None = None
    operator: str | None = None
    subscriber_id: str | None = None
    networks: list[str] | None = None
    reference: str | None = None
    description: str | None = None


class Notice(Resource):
    """An announced suspension or revocation."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "decision_id": "019b2f6e-7100-7b1a-8c44-1f2e3d4c5b6a",
                    "action": "suspend",
                    "effective_at": "2026-12-05T09:00:00.000000Z",
                }
            ]
        }
    )

    decision_id: UUID
    action: Literal["suspend", "revoke"]
    effective_at: Timestamp


CASE_EXAMPLE: Examples = DETAILS | {
    "id": "019b2f6e-6f00-7b1a-8c44-1f2e3d4c5b6a",
    "partner_id": "019b2f6e-5e00-7d2b-9a33-2e3d4c5b6a7f",
    "networks": ["203.99.50.5/32", "203.99.50.16/29"],
    "status": "information_requested",
    "flags": [],
    "reason_codes": ["document_missing"],
    "note": "The lease of the office is missing.",
    "legal_basis": None,
    "claimed_by": None,
    "claim_ends_at": None,
    "bulk_upload_id": None,
    "submitted_at": "2026-11-21T09:00:00.000000Z",
    "due_at": "2026-11-23T09:00:00.000000Z",
    "decided_at": "2026-11-21T11:00:00.000000Z",
    "renewable_from": None,
    "expires_at": None,
    "ends_at": None,
    "notice": None,
    "replaces": None,
    "replaced_by": None,
    "handover_hours": None,
    "version": 2,
    "created_at": "2026-11-21T09:00:00.000000Z",
    "updated_at": "2026-11-21T11:00:00.000000Z",
}
# of a case that was just submitted
NEW_CASE: Examples = {"status": "submitted", "reason_codes": [], "note": None, "decided_at": None, "version": 1}


class Registration(Resource):
    """A case: its content, its status, and the reasons of the last decision."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={"examples": [CASE_EXAMPLE]},
    )

    id: UUID
    partner_id: UUID
    applicant_id: UUID
    track: Track
    purpose: Purpose
    protocol: Protocol | None
    operator: str
    subscriber_id: str | None
    networks: Sequence[str]
    reference: str | None
    description: str | None
    status: Status
    flags: Annotated[Sequence[Flag], Field(description="Notes for officers; only the regulator sees `contested`")]
    reason_codes: Annotated[Sequence[str], Field(description="Reasons of the last decision")]
    note: str | None
    legal_basis: str | None
    claimed_by: Annotated[
        UUID | None, Field(description="The client of the officer who has claimed the case; only for the regulator")
    ]
    claim_ends_at: Annotated[
        Timestamp | None, Field(description="When the claim ends by itself; only for the regulator")
    ]
    bulk_upload_id: UUID | None
    submitted_at: Timestamp
    due_at: Annotated[Timestamp, Field(description="When a decision is due")]
    decided_at: Timestamp | None
    renewable_from: Annotated[
        Timestamp | None, Field(description="From when it may be renewed: 60 days before it expires")
    ]
    expires_at: Annotated[Timestamp | None, Field(description="End of the approval, when the case lapses")]
    ends_at: Annotated[
        Timestamp | None, Field(description="End of the grace period, when a lapsed case leaves the list")
    ]
    notice: Annotated[Notice | None, Field(description="A decision that is announced and not in effect yet")]
    replaces: Annotated[UUID | None, Field(description="The registration that this one is to supersede, or has")]
    replaced_by: Annotated[UUID | None, Field(description="The registration that is to supersede this one, or has")]
    handover_hours: Annotated[
        int | None, Field(description="How long networks of the replaced registration stay that this one has not")
    ]
    version: int
    created_at: Timestamp
    updated_at: Timestamp


RegistrationPage = Page[Registration]
RECEIPT = "PK-7H3KQ9-M2QXW8RT-5"
ReceiptText = Annotated[
    str, Field(description="For the registrant, shown once: with it anybody can ask POST /v1/standings and /status")
]


class NewRegistration(Registration):
    """A new case, with its receipt."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**CASE_EXAMPLE, **NEW_CASE, "receipt": RECEIPT}]})

    receipt: Annotated[ReceiptText, Field(examples=[RECEIPT])]


class Receipt(Resource):
    """A new receipt of a case. The former one has ended."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"receipt": RECEIPT}]})

    receipt: ReceiptText


class RegistrationFilters(BaseModel):
    """Filters of registrations."""

    status: AnyOf[Status] = None
    track: AnyOf[Track] = None
    purpose: AnyOf[Purpose] = None
    operator: AnyOf[OperatorCode] = None
    applicant_id: UUID | None = None
    reference: Line100 | None = None
    bulk_upload_id: UUID | None = None
    flag: Annotated[AnyOf[Flag], Field(description="With this flag; `contested` only for the regulator")] = None
    network: Annotated[NetworkText | None, Field(description="With a network that overlaps this one")] = None
    claimed_by: Annotated[UUID | None, Field(description="Claimed by this client; only for the regulator")] = None
    partner_id: Annotated[UUID | None, Field(description="Of this partner; only for the regulator")] = None
    expires_before: Annotated[Instant | None, Field(description="With an `expires_at` before this time")] = None


class RegistrationsQuery(RegistrationFilters, PageQuery):
    """Filters and page of the list of registrations."""


class RegistrationFilter(RegistrationFilters, Body):
    """Filters of the list of registrations, at least one. All have to be met."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": ["approved", "lapsed"], "expires_before": "2027-01-31T12:00:00Z"}]}
    )

    status: OneOrSeveral[Status] | None = None
    track: OneOrSeveral[Track] | None = None
    purpose: OneOrSeveral[Purpose] | None = None
    operator: OneOrSeveral[OperatorCode] | None = None
    flag: OneOrSeveral[Flag] | None = None

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        """Yield an error for a filter that would select every registration."""
        if not given:
            yield MissingField.at("", "Give at least one filter.")


class ClaimEndQuery(Query):
    """Reason of the end of a claim."""

    reason: Annotated[Line200 | None, Field(description="Needed to end another officer's claim")] = None


SURRENDER: dict[str, Any] = {"some networks": {"value": {"networks": ["203.99.50.16/29"]}}}


class Surrender(Body):
    """Networks to give back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"networks": ["203.99.50.16/29"]}]})

    networks: Annotated[
        list[NetworkText] | None,
        Field(min_length=1, max_length=rules.MAX_NETWORKS, description="Absent: all, and the registration ends"),
    ] = None


class TrackDescription(Resource):
    """A track with its requirements and limits."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "track": "vpn_company",
                    "applicant_kinds": ["company"],
                    "required_fields": ["applicant_id", "networks"],
                    "max_networks": 64,
                    "widest_ipv4": 24,
                    "widest_ipv6": 48,
                    "decision_due_hours": 48,
                }
            ]
        }
    )

    track: Track
    applicant_kinds: Sequence[str]
    required_fields: Sequence[str]
    max_networks: int
    widest_ipv4: int
    widest_ipv6: int
    decision_due_hours: int


TrackPage = Page[TrackDescription]
