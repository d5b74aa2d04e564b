"""What a command of an operator says when the database does not do what it asks, in two lines: what and what to do."""

from collections.abc import Mapping

from alembic.util import CommandError

from app.core.database.outages import CommitUnconfirmed, NoServer, ReadOnlyServer, is_outage, message_of, state_of
from app.core.errors import DomainError
from app.core.keyring import SealBroken

REMEDIES = {
    "42501": "Give it the right, or set OWNER_URL to a login that owns the database and may create roles.",
    "55P03": "Another transaction holds a lock (pg_stat_activity shows it). Run the command again when that has ended.",
    "42P01": "Run 'python -m app.cli migrate' first.",
    "25006": "Connect to the primary: add target_session_attrs=primary to the URL.",
    "53": "Free the resource that is named, then run the command again.",
}
REACH = "Is it running, and do DATABASE_URL and OWNER_URL name it with the right login?"
AGAIN = "Nothing of the step that failed was kept. Correct the cause and run the command again."


KINDS: Mapping[type[BaseException], tuple[str, str]] = {
    NoServer: ("The database cannot be reached: {}", REACH),
    ReadOnlyServer: ("The database takes no writes: its server is a standby, or read-only.", REMEDIES["25006"]),
    CommitUnconfirmed: ("{}", "It is not known whether the change was made. The command may be run again."),
    SealBroken: (
        "SECRET_KEY is not the one of this database.",
        "Set the one that it was set up with; after a rotation set the former as SECRET_KEY_PREVIOUS too.",
    ),
    CommandError: (
        "The database's migrations are not those of this code: {}",
        "Run the command of the version that made them.",
    ),
    DomainError: ("{}", AGAIN),
}


def describe_failure(error: BaseException) -> tuple[str, str] | None:
    """Return what is wrong and what to do, or None for an error that is a bug."""
    for kind, (what, remedy) in KINDS.items():
        if isinstance(error, kind):
            return what.format(error), remedy
    state = state_of(error)
    if state is None:
        return (f"The database did not answer: {message_of(error)}", REACH) if is_outage(error) else None
    remedy = next((text for start, text in REMEDIES.items() if state.startswith(start)), AGAIN)
    return f"The database refused: {message_of(error)}", remedy
