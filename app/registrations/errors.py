"""What can go wrong with a registration."""

from app.core.errors import Conflict, Invalid


class NetworkOverlap(Invalid):
    """The network overlaps another of the same registration, or one of the same applicant at the same partner."""

    code = "network_overlap"
    title = "The network overlaps one that the applicant already has here"
    mend = "Leave out what is registered already. To change a registration, correct or withdraw that one."


class ReferenceDuplicate(Invalid):
    """The reference stands for another registration."""

    code = "reference_duplicate"
    title = "The reference is used for another registration"
    mend = "Give each registration a reference of its own. The same content again is accepted as unchanged."


class IllegalTransition(Conflict):
    """The case is not in a status from which this can be done."""

    code = "illegal_transition"
    title = "Not possible in the present status"
    mend = "Read the registration: its status says what can be done next. docs/lifecycle.md has the picture."


class ClaimedByAnother(Conflict):
    """Another officer has the case."""

    code = "claimed_by_another"
    title = "Another officer has claimed the case"
    mend = "Ask the officer to give it back, end the claim with DELETE .../claim?reason=, or decide another."
