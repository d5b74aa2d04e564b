"""Errors of the audit log."""

from app.core.errors import Conflict


class NotInTree(Conflict):
    """The event is recorded and has no leaf in the requested tree."""

    code = "not_in_tree"
    title = "The event is not in this tree yet"
    remedy = "An event gets its leaf within seconds. Ask again in a moment, and without size or with a newer one."


class VerificationFailed(Exception):
    """The log, the tree and the checkpoints are inconsistent; the text names the first place."""
