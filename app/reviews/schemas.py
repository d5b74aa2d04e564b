"""Request and response bodies of decisions."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated, Any, Literal
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
from app.reviews import rules
from app.reviews.rules import Action, AddressFlag, ReasonCode

MAX_IDS = 50_000
REGISTRATION_ID = "019b2f6e-6f00-7b1a-8c44-1f2e3d4c5b6a"
DECISION: Examples = {
    "action": "request_information",
    "reason_codes": ["document_missing"],
    "note": "The lease of the office is missing.",
}


def _in_the_future(instant: datetime) -> datetime:
    if instant <= datetime.now(UTC):
        raise InvalidValue("expires_at must be in the future.")
    return instant


class DecisionDetails(Body):
    """An action with its reasons."""

    action: Action
    reason_codes: Annotated[list[ReasonCode], Field(max_length=12)] = Field(default=[])
    note: Annotated[Paragraph | None, Field(description="For the registrant")] = None
    legal_basis: Annotated[Line200 | None, Field(description="Needed to suspend and to revoke")] = None
    expires_at: Annotated[
        Annotated[Instant, domain_validator(_in_the_future)] | None,
        Field(description="Of an approval; absent: after 365 days"),
    ] = None

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        """Yield errors of fields that the action needs, and of an end that is not an approval's."""
        return chain(rules.missing_for_action(given), _end_without_approval(given))


def _end_without_approval(given: Mapping[str, Any]) -> Iterable[FieldError]:
    if "expires_at" in given and given.get("action") != Action.APPROVE:
        yield InvalidValue.at("/expires_at", "Only an approval has an end.")


class NewDecision(DecisionDetails):
    """A decision on one registration."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"registration_id": REGISTRATION_ID, **DECISION}]})

    registration_id: UUID


class Selection(Body):
    """Registrations by their ids, those of an upload in a status, or renewals that wait for a decision."""

    registration_ids: Annotated[list[UUID] | None, Field(min_length=1, max_length=MAX_IDS)] = None
    bulk_upload_id: UUID | None = None
    status: Annotated[Status | None, Field(description="Needed with `bulk_upload_id`")] = None
    renewals: Annotated[
        Literal["unchanged"] | None,
        Field(
            description="Only those that replace a registration of the same networks and operator: all that wait for a "
            "decision, or with `bulk_upload_id` those of the upload"
        ),
    ] = None

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        """Yield errors unless exactly one of the ways is given, and given completely."""
        if "renewals" in given and "registration_ids" in given:
            yield InvalidValue.at("/renewals", "renewals selects by itself, or goes with bulk_upload_id and status.")
        elif "renewals" in given and not {"bulk_upload_id", "status"} & given.keys():
            return
        elif ("registration_ids" in given) == ("bulk_upload_id" in given):
            yield InvalidValue.at("", "Give either registration_ids, or bulk_upload_id with status, or renewals.")
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
                    "officer": "019b2f6e-5e10-7a11-8b22-3c4d5e6f7a8b",
                    "decided_at": "2026-11-21T11:00:00.000000Z",
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
    officer: UUID
    decided_at: Timestamp


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
