"""Errors of decisions."""

from app.core.errors import Conflict


class Flagged(Conflict):
    """A batch would grant a case whose addresses are flagged without naming the flags."""

    code = "flagged"
    title = "The case's addresses are flagged"
    remedy = (
        "Read the case. Decide it with POST /v1/review-decisions, or send the batch again with all flags of the case "
        "in including_flags."
    )


class NoticeShortened(Conflict):
    """The decision would take effect before the one that was announced for the case."""

    code = "notice_shortened"
    title = "A notice may be put off or cancelled, never brought forward"
    remedy = (
        "Send an effective_at that is not before the notice's, or cancel the notice with POST "
        "/v1/review-decisions/{id}/cancel and decide anew."
    )


class ValidityShortened(Conflict):
    """An extension would not make the approval longer."""

    code = "validity_shortened"
    title = "The approval is valid as long already"
    remedy = "Send an expires_at later than the registration's, or leave the registration out."


class DecisionNotPending(Conflict):
    """The decision is in effect or void, so that it cannot be cancelled."""

    code = "decision_not_pending"
    title = "The decision is not announced any more"
    remedy = "Read the decision and the registration. A suspension in effect is ended by the action reinstate."
