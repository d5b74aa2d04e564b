"""The connections of a process by what they wait for, so that one of them can be closed when there is need of room."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from prometheus_client import Counter

CLOSED = Counter("connections_closed", "Connections closed before their callers were done with them", ["reason"])
# A caller that took or sent something this short a time ago is not thought to have stopped.
TAKING_SECONDS = 0.5
SENDING_SECONDS = 0.1


class Abortable(Protocol):
    """A connection."""

    def abort(self, reason: str) -> None:
        """Close it at once, and take it out of the table."""


class ConnectionTable:
    """Connections whose callers take nothing of an answer, and those whose callers send nothing, longest first.

    It also knows the large bodies that are being sent: each once, however many connections it goes to.
    """

    def __init__(self, most_answer_bytes: int) -> None:
        self._most_answer_bytes = most_answer_bytes
        self._not_taking: dict[Abortable, float] = {}
        self._not_sending: dict[Abortable, float] = {}
        self._bodies: dict[Abortable, bytes] = {}
        self._senders: dict[int, int] = {}  # by the identity of a body, how many connections it goes to
        self._answer_bytes = 0

    def awaits_caller(self, connection: Abortable, now: float) -> None:
        """Note that the caller has something to send, and has just sent a part of it or been answered."""
        self._not_sending.pop(connection, None)
        self._not_sending[connection] = now

    def is_served(self, connection: Abortable) -> None:
        """Note that the caller has sent its request."""
        self._not_sending.pop(connection, None)

    def stops_taking(self, connection: Abortable, now: float) -> None:
        """Note that more waits to be sent than the caller takes."""
        self._not_taking[connection] = now

    def goes_on_taking(self, connection: Abortable) -> None:
        """Note that the caller has taken what waited."""
        self._not_taking.pop(connection, None)

    def remove(self, connection: Abortable) -> None:
        """Forget a connection that is closed."""
        self._not_sending.pop(connection, None)
        self._not_taking.pop(connection, None)

    def make_room(self, now: float) -> bool:
        """Close the slowest reader, or else the longest idle connection; False when there is neither."""
        for waiting, least in ((self._not_taking, TAKING_SECONDS), (self._not_sending, SENDING_SECONDS)):
            longest = next(iter(waiting), None)
            if longest is not None and now - waiting[longest] >= least:
                longest.abort("room")
                return True
        return False

    @contextmanager
    def sending(self, connection: Abortable, body: bytes) -> Iterator[None]:
        """Count a body while it is being sent; when all are too many bytes, the slowest readers are closed."""
        self._bodies[connection] = body
        self._senders[id(body)] = self._senders.get(id(body), 0) + 1
        if self._senders[id(body)] == 1:
            self._answer_bytes += len(body)
        self._bound_answers()
        try:
            yield
        finally:
            del self._bodies[connection]
            self._senders[id(body)] -= 1
            if not self._senders[id(body)]:
                del self._senders[id(body)]
                self._answer_bytes -= len(body)

    def _bound_answers(self) -> None:
        excess = self._answer_bytes - self._most_answer_bytes
        for reader in list(self._not_taking) if excess > 0 else ():
            body = self._bodies.get(reader)
            if body is not None and self._senders[id(body)] == 1:
                reader.abort("memory")
                excess -= len(body)
            if excess <= 0:
                return
