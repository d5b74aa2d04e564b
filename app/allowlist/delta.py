"""What changed from one serial to another, and the deltas that are kept for readers to catch up by."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from typing_extensions import TypedDict

EMPTY_DIGEST = sha256(b"").hexdigest()  # of the list before the first publication


class Removal(TypedDict):
    """A network that left the list, and why."""

    network: str
    reason: str


@dataclass(frozen=True, eq=False)
class Delta:
    """The change of one publication; ``digest`` is the list's after it, ``previous_digest`` the one before it."""

    serial: int
    published_at: datetime
    added: Sequence[str]
    removed: Sequence[Removal]
    digest: str
    previous_digest: str | None = None


def net(deltas: Iterable[Delta]) -> tuple[list[str], list[Removal]]:
    """Several publications' changes as one: what came and went again in between does not show."""
    added: dict[str, None] = {}
    removed: dict[str, Removal] = {}
    for delta in deltas:
        for removal in delta.removed:
            if removal["network"] in added:
                del added[removal["network"]]
            else:
                removed[removal["network"]] = removal
        for network in delta.added:
            if removed.pop(network, None) is None:
                added[network] = None
    return list(added), list(removed.values())


class DeltaLog:
    """The newest deltas, in order without a gap: the last ``most`` and all younger than ``youngest_days``."""

    def __init__(self, most: int, youngest_days: int) -> None:
        self._most = most
        self._age = timedelta(days=youngest_days)
        self._deltas: deque[Delta] = deque()

    def append(self, delta: Delta) -> None:
        """Keep the next delta; a gap starts the log anew."""
        if self._deltas and self._deltas[-1].serial + 1 != delta.serial:
            self._deltas.clear()
        self._deltas.append(delta)
        while len(self._deltas) > self._most and self._deltas[0].published_at < delta.published_at - self._age:
            self._deltas.popleft()

    def __iter__(self) -> Iterator[Delta]:
        return iter(self._deltas)

    def since(self, serial: int, digest: str | None = None) -> list[Delta] | None:
        """The deltas after ``serial``; None when not all of them are kept, or it was never published.

        With a ``digest``, also None when the list at ``serial`` had another.
        """
        if not self._deltas or not self._deltas[0].serial - 1 <= serial <= self._deltas[-1].serial:
            return None
        at = serial - self._deltas[0].serial
        found = self._deltas[at].digest if at >= 0 else self._deltas[0].previous_digest
        if digest is not None and digest != (found or EMPTY_DIGEST):
            return None
        return list(self._deltas)[at + 1 :]

    def of(self, serial: int) -> Delta | None:
        """The delta of one serial, if it is kept."""
        found = self.since(serial - 1)
        return found[0] if found else None
