"""What can go wrong with the tree over the log."""

from app.core.errors import Conflict


class NotInTree(Conflict):
    """The event is recorded and has no leaf in the tree that was asked for."""

    code = "not_in_tree"
    title = "The event is not in this tree yet"
    mend = "An event gets its leaf within seconds. Ask again in a moment, and without size or with a newer one."


class Difference(Exception):
    """The log, the tree and the checkpoints do not say the same; the text names the first place."""
