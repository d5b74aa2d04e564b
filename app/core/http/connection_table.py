"""The table of open connections: finds one to close when there are too many, or too much to send."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from prometheus_client import Counter

CLOSED = Counter("connections_closed", "Connections closed by the server to enforce a limit", ["reason"])
# A connection is not closed within this time after its last progress.
READER_GRACE_SECONDS = 0.5
IDLE_GRACE_SECONDS = 0.1


class Abortable(Protocol):
    """A connection."""

    def abort(self, reason: str) -> None:
        """Close it at once, and remove it from the table."""


class ConnectionTable:
    """Slow readers, whose responses wait to be sent, and idle connections, whose requests are awaited; longest first.

    It also counts the bytes of large bodies being sent; a body that several connections share counts once.
    """

    def __init__(self, max_response_bytes: int) -> None:
        self._max_response_bytes = max_response_bytes
        self._slow_readers: dict[Abortable, float] = {}
        self._idle: dict[Abortable, float] = {}
        self._bodies: dict[Abortable, bytes] = {}
        self._senders: dict[int, int] = {}  # number of connections by the identity of a body
        self._response_bytes = 0

    def mark_idle(self, connection: Abortable, now: float) -> None:
        """Note that a request, or the rest of one, is awaited from now."""
        self._idle.pop(connection, None)
        self._idle[connection] = now

    def mark_busy(self, connection: Abortable) -> None:
        """Note that the request has arrived."""
        self._idle.pop(connection, None)

    def mark_slow_reader(self, connection: Abortable, now: float) -> None:
        """Note that the send buffer is full from now."""
        self._slow_readers[connection] = now

    def unmark_slow_reader(self, connection: Abortable) -> None:
        """Note that the send buffer has drained."""
        self._slow_readers.pop(connection, None)

    def remove(self, connection: Abortable) -> None:
        """Remove a connection that is closed."""
        self._idle.pop(connection, None)
        self._slow_readers.pop(connection, None)

    def make_room(self, now: float) -> bool:
        """Close the slowest reader or else the longest idle connection; return False when there is neither."""
        for waiting, grace in ((self._slow_readers, READER_GRACE_SECONDS), (self._idle, IDLE_GRACE_SECONDS)):
            longest = next(iter(waiting), None)
            if longest is not None and now - waiting[longest] >= grace:
                longest.abort("room")
                return True
        return False

    @contextmanager
    def sending(self, connection: Abortable, body: bytes) -> Iterator[None]:
        """Count a body while the block sends it; close the slowest readers when all bodies are too many bytes."""
        self._bodies[connection] = body
        self._senders[id(body)] = self._senders.get(id(body), 0) + 1
        if self._senders[id(body)] == 1:
            self._response_bytes += len(body)
        self._close_slow_readers()
        try:
            yield
        finally:
            del self._bodies[connection]
            self._senders[id(body)] -= 1
            if not self._senders[id(body)]:
                del self._senders[id(body)]
                self._response_bytes -= len(body)

    def _close_slow_readers(self) -> None:
        excess = self._response_bytes - self._max_response_bytes
        for reader in list(self._slow_readers) if excess > 0 else ():
            body = self._bodies.get(reader)
            if body is not None and self._senders[id(body)] == 1:
                reader.abort("memory")
                excess -= len(body)
            if excess <= 0:
                return
