"""Deltas of the allowlist between serials, and the log of those that are kept for clients to catch up with."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import islice

from typing_extensions import TypedDict

MIN_CHANGES_KEPT = 10_000
EMPTY_DIGEST = sha256(b"").hexdigest()  # of the list before the first publication


class Removal(TypedDict):
    """A network removed from the list, and the reason."""

    network: str
    reason: str


@dataclass(frozen=True, eq=False)
class Delta:
    """The change of one publication, with the digests of the list after and before it."""

    serial: int
    published_at: datetime
    added: Sequence[str]
    removed: Sequence[Removal]
    digest: str
    previous_digest: str | None = None

    @property
    def changes(self) -> int:
        """The number of networks added and removed."""
        return len(self.added) + len(self.removed)


def max_changes_kept(count: int) -> int:
    """The number of changes to keep for a list of ``count`` networks.

    More of them would be larger than the list itself. RFC 8182 bounds the deltas of an RPKI repository in the same way.
    """
    return max(count, MIN_CHANGES_KEPT)


def merge_deltas(deltas: Iterable[Delta]) -> tuple[list[str], list[Removal]]:
    """Merge consecutive deltas into the networks added and removed by all of them together.

    A network that was added and removed again, or removed and added again, is in neither list.
    """
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
    """The newest deltas, of consecutive serials: at most ``max_deltas``, and ``max_changes_kept`` changes."""

    def __init__(self, max_deltas: int) -> None:
        self._max_deltas = max_deltas
        self._deltas: deque[Delta] = deque()
        self._changes = 0

    def append(self, delta: Delta, count: int) -> None:
        """Append the delta to a list of ``count`` networks; a gap in the serials drops all earlier deltas."""
        if self._deltas and self._deltas[-1].serial + 1 != delta.serial:
            self._deltas.clear()
            self._changes = 0
        self._deltas.append(delta)
        self._changes += delta.changes
        while len(self._deltas) > self._max_deltas or self._changes > max_changes_kept(count):
            self._changes -= self._deltas.popleft().changes

    def __iter__(self) -> Iterator[Delta]:
        return iter(self._deltas)

    def newest_first(self) -> Iterator[Delta]:
        """Iterate over the deltas in descending order of their serials."""
        return reversed(self._deltas)

    def since(self, serial: int, digest: str | None = None) -> list[Delta] | None:
        """The deltas after ``serial``; None when one of them is not kept, or ``serial`` was never published.

        With a ``digest``, also None when the list at ``serial`` had another digest.
        """
        if not self._deltas or not self._deltas[0].serial - 1 <= serial <= self._deltas[-1].serial:
            return None
        index = serial - self._deltas[0].serial
        found = self._deltas[index].digest if index >= 0 else self._deltas[0].previous_digest
        if digest is not None and digest != (found or EMPTY_DIGEST):
            return None
        return list(islice(self._deltas, index + 1, None))

    def get(self, serial: int) -> Delta | None:
        """The delta of one serial, or None when it is not kept."""
        if not self._deltas or not self._deltas[0].serial <= serial <= self._deltas[-1].serial:
            return None
        return self._deltas[serial - self._deltas[0].serial]
