"""What can go wrong with a decision."""

from app.core.errors import Conflict


class Flagged(Conflict):
    """A batch would grant a case whose addresses are flagged, and does not name the flags."""

    code = "flagged"
    title = "The case's addresses are flagged"
    mend = (
        "Look at the case. Decide it by itself with POST /v1/review-decisions, or send the batch again with its flags "
        "in including_flags: a case with two flags needs both."
    )
