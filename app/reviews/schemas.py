"""Request and response bodies of decisions."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field

from app.core.database.pagination import PageQuery
from app.core.errors import FieldError, InvalidValue
from app.core.validation.schemas import (
    AnyOf,
    Body,
    Examples,
    Instant,
    Line200,
    Page,
    Paragraph,
    Problem,
    Resource,
    Timestamp,
    domain_validator,
)
from app.registrations.rules import Status
from app.registrations.schemas import RegistrationFilter
from app.reviews import rules
from app.reviews.rules import Action, AddressFlag, ReasonCode

MAX_IDS = 50_000
REGISTRATION_ID = "019b2f6e-6f00-7b1a-8c44-1f2e3d4c5b6a"
DECISION: Examples = {
    "action": "request_information",
    "reason_codes": ["document_missing"],
    "note": "The lease of the office is missing.",
}


class DecisionDetails(Body):
    """An action with its reasons."""

    action: Action
    reason_codes: Annotated[list[ReasonCode], Field(max_length=12)] = Field(default=[])
    note: Annotated[Paragraph | None, Field(description="For the registrant")] = None
    legal_basis: Annotated[Line200 | None, Field(description="Needed to suspend and to revoke")] = None
    expires_at: Annotated[
        Instant | None,
        Field(
            description="End of the approval, in the future. Of `approve`; absent: after 365 days, in a batch after "
            "365 to 395. Needed by `extend`"
        ),
    ] = None
    grace_days: Annotated[
        int | None,
        Field(
            strict=True,
            ge=0,
            le=rules.MAX_GRACE_DAYS,
            description="Of `approve`: for how long the case stays on the list after `expires_at`; absent: 14 days",
        ),
    ] = None
    effective_at: Annotated[
        Instant | None,
        Field(description="Of `suspend` and `revoke`: when they take effect, in the future; absent: at once"),
    ] = None

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        """Yield errors of fields that the action needs, and of times that do not go with it."""
        return chain(rules.missing_for_action(given), rules.times_of_other_actions(given))

    @property
    def times(self) -> dict[str, datetime | None]:
        """The times of the decision by field, which must be in the future by the register's clock."""
        return {"expires_at": self.expires_at, "effective_at": self.effective_at}


class NewDecision(DecisionDetails):
    """A decision on one registration."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"registration_id": REGISTRATION_ID, **DECISION}]})

    registration_id: UUID


class Selection(Body):
    """Registrations by their ids, those of an upload in a status, or those that meet all filters."""

    registration_ids: Annotated[list[UUID] | None, Field(min_length=1, max_length=MAX_IDS)] = None
    bulk_upload_id: UUID | None = None
    status: Annotated[Status | None, Field(description="Needed with `bulk_upload_id`")] = None
    filter: RegistrationFilter | None = None

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        """Yield errors unless exactly one of the three ways is given, and given completely."""
        if sum(name in given for name in ("registration_ids", "bulk_upload_id", "filter")) != 1:
            yield InvalidValue.at("", "Give either registration_ids, or bulk_upload_id with status, or filter.")
        elif ("bulk_upload_id" in given) != ("status" in given):
            yield InvalidValue.at("/status", "status goes with bulk_upload_id: both or neither.")


def _unique(flags: list[AddressFlag]) -> list[AddressFlag]:
    if len(set(flags)) < len(flags):
        raise InvalidValue("including_flags names a flag twice.")
    return flags


class BatchDecision(DecisionDetails):
    """The same decision on many registrations."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "selection": {"bulk_upload_id": "019b2f6e-7000-7b1a-8c44-1f2e3d4c5b6a", "status": "submitted"},
                    "action": "approve",
                    "including_flags": ["operator_prefix_mismatch"],
                }
            ]
        }
    )

    selection: Selection
    including_flags: Annotated[
        list[AddressFlag],
        Field(
            max_length=len(AddressFlag),
            description="Of approve and reinstate: flags whose cases are granted too; a case with two needs both",
            json_schema_extra={"uniqueItems": True},
        ),
        domain_validator(_unique),
    ] = Field(default=[])
    dry_run: Annotated[bool, Field(strict=True, description="Tell what the batch would do, and change nothing")] = False

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        """Yield the errors of a single decision, and of flags that are named although the action grants nothing."""
        return chain(super().cross_field_errors(given), rules.flags_without_grant(given))


class ReviewDecision(Resource):
    """A decision that was made."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "019b2f6e-7100-7b1a-8c44-1f2e3d4c5b6a",
                    "batch_id": "019b2f6e-7101-7b1a-8c44-1f2e3d4c5b6a",
                    "registration_id": REGISTRATION_ID,
                    **DECISION,
                    "legal_basis": None,
                    "expires_at": None,
                    "grace_days": None,
                    "officer": "019b2f6e-5e10-7a11-8b22-3c4d5e6f7a8b",
                    "decided_at": "2026-11-21T11:00:00.000000Z",
                    "effective_at": None,
                    "in_effect_at": "2026-11-21T11:00:00.000000Z",
                    "cancelled_at": None,
                    "cancelled_by": None,
                    "voided_at": None,
                }
            ]
        },
    )

    id: UUID
    batch_id: UUID
    registration_id: UUID
    action: Action
    reason_codes: Sequence[ReasonCode]
    note: str | None
    legal_basis: str | None
    expires_at: Timestamp | None
    grace_days: int | None
    officer: UUID
    decided_at: Timestamp
    effective_at: Annotated[Timestamp | None, Field(description="When it was to take effect, if it was announced")]
    in_effect_at: Annotated[Timestamp | None, Field(description="When it took effect")]
    cancelled_at: Annotated[Timestamp | None, Field(description="When an officer cancelled it or put it off")]
    cancelled_by: UUID | None
    voided_at: Annotated[Timestamp | None, Field(description="When it became void, because the grant had ended before")]


ReviewDecisionPage = Page[ReviewDecision]


class BatchCounts(Resource):
    """Numbers of registrations selected, decided and refused."""

    selected: int
    decided: int
    refused: int


class FlaggedCounts(Resource):
    """Numbers of cases by flag; a batch refuses them as `flagged` unless `including_flags` names their flags."""

    outside_country: int
    operator_prefix_mismatch: int


class RefusedItem(Resource):
    """A registration that could not be decided, and the reason."""

    registration_id: UUID
    problem: Problem


class BatchOutcome(Resource):
    """Result of a batch decision."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "batch_id": "019b2f6e-7101-7b1a-8c44-1f2e3d4c5b6a",
                    "dry_run": False,
                    "counts": {"selected": 180, "decided": 180, "refused": 0},
                    "statuses": {"submitted": 170, "in_review": 10},
                    "flagged": {"outside_country": 0, "operator_prefix_mismatch": 3},
                    "reasons": {},
                    "refused": [],
                }
            ]
        }
    )

    batch_id: Annotated[UUID | None, Field(description="Null in a dry run, which makes no decisions")]
    dry_run: bool
    counts: BatchCounts
    statuses: Annotated[dict[str, int], Field(description="Selected registrations by the status that they had")]
    flagged: Annotated[FlaggedCounts, Field(description="Of the cases that this `approve` or `reinstate` could grant")]
    reasons: Annotated[dict[str, int], Field(description="Refused registrations by the code of the problem")]
    refused: Sequence[RefusedItem]


class ReviewDecisionsQuery(PageQuery):
    """Filters and page of the list of decisions."""

    registration_id: UUID | None = None
    action: AnyOf[Action] = None
    officer: UUID | None = None
    batch_id: UUID | None = None
    decided_from: Annotated[Instant | None, Field(description="Decided at this time or later")] = None
    decided_before: Annotated[Instant | None, Field(description="Decided before this time")] = None


class ReasonCodeDescription(Resource):
    """A reason code with a hint for the submitter."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"code": "document_missing", "hint": "Send the document that the note names."}]}
    )

    code: ReasonCode
    hint: str


ReasonCodePage = Page[ReasonCodeDescription]
