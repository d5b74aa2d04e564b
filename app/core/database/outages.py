"""Outages: errors of a database that is away or busy, as distinct from bugs."""

import errno

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# SQLSTATEs of transient errors: connection, login, resources, shutdown, system, serialization, deadlock, lock timeout.
TRANSIENT_STATES = ("08", "28", "3D000", "53", "57", "58", "40001", "40P01", "55P03")
READ_ONLY_STATE = "25006"
# An ``OSError`` of these is about a local disk, not about a connection, whose errors are ``NoServer``. A full disk of
# temporary files is ENOENT when Python looks for a place for its first one.
DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.ENOENT, errno.EACCES)


class NoServer(ConnectionError):
    """No server of the database's URL can be used; the text names each with the reason."""


class ReadOnlyServer(ConnectionError):
    """The server refuses every write: it is a standby, or was made read-only."""


class CommitUnconfirmed(ConnectionError):
    """The database did not confirm a commit, which it may have made or may still make; the text says why."""


def state_of(error: BaseException) -> str | None:
    """Return the SQLSTATE of an error of the driver or of SQLAlchemy, or None."""
    state = getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None)
    return None if state is None else str(state)


def message_of(error: BaseException) -> str:
    """Return the text of an error in one line, without a statement."""
    original = error.orig if isinstance(error, DBAPIError) else error
    told = str(getattr(original, "__cause__", None) or original)
    return told.strip().split("\n")[0] or type(original).__name__


def is_disk_fault(error: BaseException) -> bool:
    """True for a disk of this machine that is full or cannot be written."""
    return isinstance(error, OSError) and error.errno in DISK_FAULTS


def is_outage(error: BaseException) -> bool:
    """True for an error of a database that is down or busy: the same request may succeed later."""
    if (state := state_of(error)) is not None:
        return state.startswith(TRANSIENT_STATES)
    if isinstance(error, DBAPIError):
        # InternalError without a SQLSTATE: the driver lost its connection in the middle of a call
        return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError | InternalError)
    if is_disk_fault(error):
        return False
    return isinstance(error, PoolTimeout | OSError | asyncpg.InterfaceError | asyncpg.InternalClientError)
