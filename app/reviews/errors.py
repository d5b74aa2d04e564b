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
