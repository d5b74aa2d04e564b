"""Fields that a decision needs, and cases that an officer may decide. Pure functions of values."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from app.core.errors import DomainError, FieldError, InvalidValue, MissingField, SelfReview
from app.core.validation.schemas import format_rfc3339
from app.partners.persons import ClientUsers
from app.registrations.claims import is_claimed_by_another, own_content
from app.registrations.errors import ClaimedByAnother
from app.registrations.rules import Case, Flag, Transition, illegal_transition, next_status
from app.reviews.errors import Flagged, NoticeShortened, ValidityShortened


class Action(StrEnum):
    """A decision of an officer; each is the transition of the same name."""

    APPROVE = "approve"
    REJECT = "reject"
    REQUEST_INFORMATION = "request_information"
    SUSPEND = "suspend"
    REINSTATE = "reinstate"
    REVOKE = "revoke"
    EXTEND = "extend"


class ReasonCode(StrEnum):
    """The reason of a decision."""

    DOCUMENT_MISSING = "document_missing"
    DOCUMENT_UNREADABLE = "document_unreadable"
    OPERATOR_MISMATCH = "operator_mismatch"
    SUBSCRIBER_UNKNOWN = "subscriber_unknown"
    CERTIFICATE_EXPIRED = "certificate_expired"
    ADDRESS_SHARED = "address_shared"
    ADDRESS_REASSIGNED = "address_reassigned"
    PURPOSE_NOT_PERMITTED = "purpose_not_permitted"
    DUPLICATE = "duplicate"
    MISUSE = "misuse"
    APPLICANT_REQUEST = "applicant_request"
    OTHER = "other"


HINTS: dict[ReasonCode, str] = {
    ReasonCode.DOCUMENT_MISSING: "Send the document that the note names and submit the registration again.",
    ReasonCode.DOCUMENT_UNREADABLE: "Scan the document again, whole and legible, and submit the registration again.",
    ReasonCode.OPERATOR_MISMATCH: "The address is not the named operator's. Correct the operator or the address.",
    ReasonCode.SUBSCRIBER_UNKNOWN: "The operator does not know the subscriber id. Copy it from the operator's bill.",
    ReasonCode.CERTIFICATE_EXPIRED: "Renew the certificate and state its new number.",
    ReasonCode.ADDRESS_SHARED: "The address serves several subscribers. Ask the operator for a static one of your own.",
    ReasonCode.ADDRESS_REASSIGNED: "The operator gave the address to someone else. Register the one you have now.",
    ReasonCode.PURPOSE_NOT_PERMITTED: "The purpose does not fit the track. GET /v1/tracks says what each is for.",
    ReasonCode.DUPLICATE: "The same addresses are registered already; nothing needs to be done.",
    ReasonCode.MISUSE: "Answer the regulator's notice; its legal basis is in the decision.",
    ReasonCode.APPLICANT_REQUEST: "This was done at the applicant's request; nothing needs to be done.",
    ReasonCode.OTHER: "The note says what is wrong.",
}


class AddressFlag(StrEnum):
    """A flag of a case's addresses that a batch must name to grant the case."""

    OUTSIDE_COUNTRY = Flag.OUTSIDE_COUNTRY
    OPERATOR_PREFIX_MISMATCH = Flag.OPERATOR_PREFIX_MISMATCH


# The participle of each action, in the names of events and as the feed's removal reason.
PARTICIPLES = {
    Action.APPROVE: "approved",
    Action.REJECT: "rejected",
    Action.REQUEST_INFORMATION: "information_requested",
    Action.SUSPEND: "suspended",
    Action.REINSTATE: "reinstated",
    Action.REVOKE: "revoked",
    Action.EXTEND: "extended",
}
GRANTS = (Action.APPROVE, Action.REINSTATE)
SETS_EXPIRY = (Action.APPROVE, Action.EXTEND)
WITHDRAWS = (Action.SUSPEND, Action.REVOKE)  # and may be announced
NEEDS_NO_REASON = frozenset((*GRANTS, Action.EXTEND))
NEEDS_LEGAL_BASIS = frozenset(WITHDRAWS)
MAX_GRACE_DAYS = 60


def missing_for_action(given: Mapping[str, Any]) -> Iterable[FieldError]:
    """Yield an error for each field that the given action needs and that is absent."""
    action, reasons = given.get("action"), given.get("reason_codes")
    if action not in set(Action):
        return
    if action not in NEEDS_NO_REASON and not reasons:
        yield MissingField.at("/reason_codes", f"{action} needs at least one reason code.")
    if action in NEEDS_LEGAL_BASIS and "legal_basis" not in given:
        yield MissingField.at("/legal_basis", f"{action} needs a legal basis.")
    if action == Action.EXTEND and "expires_at" not in given:
        yield MissingField.at("/expires_at", "extend needs the new end of the approval.")
    if isinstance(reasons, list) and ReasonCode.OTHER in reasons and "note" not in given:
        yield MissingField.at("/note", "The reason 'other' needs a note.")


# Times of a decision, each with the actions that it goes with.
TIMES = {"expires_at": SETS_EXPIRY, "grace_days": (Action.APPROVE,), "effective_at": WITHDRAWS}


def times_of_other_actions(given: Mapping[str, Any]) -> Iterable[FieldError]:
    """Yield an error for each time that does not go with the given action."""
    action = given.get("action")
    if action in tuple(Action):
        for name, actions in TIMES.items():
            if name in given and action not in actions:
                yield InvalidValue.at(f"/{name}", f"{name} goes with {' and '.join(actions)}, not with {action}.")


def times_passed(times: Mapping[str, datetime | None], now: datetime) -> list[FieldError]:
    """Return an error for each time of a decision, by its field, that is not in the future."""
    return [
        InvalidValue.at(f"/{name}", f"{name} must be in the future.")
        for name, time in times.items()
        if time is not None and time <= now
    ]


def flags_without_grant(given: Mapping[str, Any]) -> Iterable[FieldError]:
    """Yield an error for flags that are named although the action grants nothing."""
    action = given.get("action")
    if "including_flags" in given and action in tuple(Action) and action not in GRANTS:
        detail = f"{action} grants nothing; including_flags goes with {' and '.join(GRANTS)}."
        yield InvalidValue.at("/including_flags", detail)


def refusal(case: Case, action: str, users: ClientUsers, now: datetime) -> DomainError | None:
    """Return why an officer may not decide a case by ``action``, or None if the officer may.

    ``users`` are the users of the case's clients as the officer's client sees them. An officer may not decide a case
    that the officer gave content, or while another officer's claim is in force.
    """
    if next_status(case.status, Transition(action)) is None:
        return illegal_transition(case.status, Transition(action))
    if own := own_content(case, users):
        return SelfReview(users.explain(own))
    if is_claimed_by_another(case, users, now):
        return ClaimedByAnother()
    return None


def untimely(
    case: Case, action: str, now: datetime, *, effective_at: datetime | None, expires_at: datetime | None
) -> DomainError | None:
    """Return why the times of a decision refuse a case: a notice brought forward, or an extension that is none."""
    announced = case.notice_effective_at
    if action in WITHDRAWS and announced is not None and (effective_at or now) < announced:
        return NoticeShortened(f"A notice to {case.notice_action} the case at {format_rfc3339(announced)} is given.")
    if action == Action.EXTEND and expires_at and case.expires_at and expires_at <= case.expires_at:
        return ValidityShortened(f"It expires at {format_rfc3339(case.expires_at)}.")
    return None


def split(
    cases: Sequence[Case], action: str, users: ClientUsers, now: datetime
) -> tuple[list[Case], dict[UUID, DomainError]]:
    """Return the cases that the officer may decide by ``action``, and the refusals of the others by id."""
    refused = {case.id: why for case in cases if (why := refusal(case, action, users, now))}
    return [case for case in cases if case.id not in refused], refused


def flags_of(case: Case) -> list[AddressFlag]:
    """Return the flags of a case that a batch must name to grant it."""
    return [flag for flag in AddressFlag if flag in case.flags]


def split_flagged(cases: Sequence[Case], including: Collection[str]) -> tuple[list[Case], dict[UUID, DomainError]]:
    """Return the cases whose flags are all in ``including``, and the refusals of the others by id."""
    refused: dict[UUID, DomainError] = {
        case.id: _flagged(flags) for case in cases if not set(flags := flags_of(case)) <= set(including)
    }
    return [case for case in cases if case.id not in refused], refused


def _flagged(flags: Sequence[AddressFlag]) -> Flagged:
    names = ", ".join(f'"{flag}"' for flag in flags)
    return Flagged(f'It is flagged {" and ".join(flags)}. To grant it in a batch, send "including_flags": [{names}].')
