"""What can go wrong with a decision."""

from app.core.errors import Forbidden


class SelfReview(Forbidden):
    """An officer cannot decide what the officer's own client submitted."""

    code = "self_review"
    title = "You cannot decide what you submitted yourself"
    mend = "Leave the case to another officer."
