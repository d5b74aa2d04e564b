"""Errors of registrations and their transitions."""

from app.core.errors import Conflict, Invalid


class NetworkOverlap(Invalid):
    """The network overlaps another of the same registration, or one of the same applicant at the same partner."""

    code = "network_overlap"
    title = "The network overlaps one that the applicant already has here"
    remedy = "Leave out networks that are registered already. To change a registration, correct or withdraw it."


class ReferenceDuplicate(Invalid):
    """The reference is used for another registration."""

    code = "reference_duplicate"
    title = "The reference is used for another registration"
    remedy = "Give each registration its own reference. The same content again is accepted as unchanged."


class IllegalTransition(Conflict):
    """The transition is not allowed from the case's status."""

    code = "illegal_transition"
    title = "Not allowed in the present status"
    remedy = "Read the registration: its status says what can be done next. docs/lifecycle.md lists the transitions."


class ClaimedByAnother(Conflict):
    """Another officer has claimed the case."""

    code = "claimed_by_another"
    title = "Another officer has claimed the case"
    remedy = "Ask the officer to give it back, end the claim with DELETE .../claim?reason=, or decide another."


class SuccessorExists(Conflict):
    """Another case is to replace the case already."""

    code = "successor_exists"
    title = "Another registration is to replace it already"
    remedy = "Wait until the other is decided, or withdraw it. replaced_by of the registration names it."
