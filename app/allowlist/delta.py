"""What changed from one serial to another, and the deltas that are kept for readers to catch up by."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import islice

from typing_extensions import TypedDict

CHANGES_ALWAYS_KEPT = 10_000
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

    @property
    def changes(self) -> int:
        """How many networks came and went."""
        return len(self.added) + len(self.removed)


def changes_worth_keeping(count: int) -> int:
    """How many changes are kept beside a list of ``count`` networks: more would be larger than the list itself.

    RFC 8182 bounds what it keeps for RPKI repositories the same way.
    """
    return max(count, CHANGES_ALWAYS_KEPT)


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
    """The newest deltas, in order without a gap: the last ``most``, as long as together they are worth keeping."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._deltas: deque[Delta] = deque()
        self._changes = 0

    def append(self, delta: Delta, count: int) -> None:
        """Keep the next delta, which leads to a list of ``count`` networks; a gap starts the log anew."""
        if self._deltas and self._deltas[-1].serial + 1 != delta.serial:
            self._deltas.clear()
            self._changes = 0
        self._deltas.append(delta)
        self._changes += delta.changes
        while len(self._deltas) > self._most or self._changes > changes_worth_keeping(count):
            self._changes -= self._deltas.popleft().changes

    def __iter__(self) -> Iterator[Delta]:
        return iter(self._deltas)

    def newest_first(self) -> Iterator[Delta]:
        """The deltas, the last one first."""
        return reversed(self._deltas)

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
        return list(islice(self._deltas, at + 1, None))

    def of(self, serial: int) -> Delta | None:
        """The delta of one serial, if it is kept."""
        if not self._deltas or not self._deltas[0].serial <= serial <= self._deltas[-1].serial:
            return None
        return self._deltas[serial - self._deltas[0].serial]
