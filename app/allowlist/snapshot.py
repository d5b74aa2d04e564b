"""The list at one serial: immutable, sorted, searchable, and able to prove what it holds."""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from operator import itemgetter
from uuid import UUID

from app.core.networks import IPV6_BASE, Network, span


class NotASnapshot(Exception):
    """What was put together is not a list in order without overlaps, or a delta does not fit it."""


@dataclass(frozen=True)
class Held:
    """A network in the list with the serial that added it."""

    network: Network
    since_serial: int


class Snapshot:
    """The networks in force at ``serial`` of ``session``, sorted by family, address, length.

    Raises ``NotASnapshot`` when two of them overlap.
    """

    def __init__(
        self, session: UUID, serial: int, published_at: datetime | None, entries: Iterable[tuple[str, int]]
    ) -> None:
        self.session = session
        self.serial = serial
        self.published_at = published_at
        self._held = sorted(((span(text), since) for text, since in entries), key=itemgetter(0))
        self._firsts = [network.first for network, _ in self._held]
        _refuse_overlaps(self._held)

    @property
    def count(self) -> int:
        """How many networks are in force."""
        return len(self._held)

    @cached_property
    def networks(self) -> Sequence[str]:
        """The networks as canonical CIDR text, in order."""
        return [network.text for network, _ in self._held]

    def of_family(self, family: int | None) -> Sequence[str]:
        """The networks of IPv4 (4), IPv6 (6) or both (None), in order."""
        first_ipv6 = bisect_right(self._firsts, IPV6_BASE - 1)
        return {None: self.networks, 4: self.networks[:first_ipv6], 6: self.networks[first_ipv6:]}[family]

    @cached_property
    def canonical(self) -> bytes:
        """The canonical text: one CIDR per line, each ended by a line feed."""
        return "".join(f"{text}\n" for text in self.networks).encode("ascii")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical text, as 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical).hexdigest()

    def find(self, point: int) -> Held | None:
        """The network that holds an address (see ``networks.position``), or None."""
        at = bisect_right(self._firsts, point) - 1
        if at < 0 or self._held[at][0].last < point:
            return None
        return Held(*self._held[at])

    def replay(
        self, serial: int, published_at: datetime | None, added: Sequence[str], removed: Sequence[str]
    ) -> "Snapshot":
        """The snapshot that a delta leads to. Raises ``NotASnapshot`` when it does not fit this one."""
        gone = set(removed)
        kept = [(network.text, since) for network, since in self._held if network.text not in gone]
        if len(gone) != len(removed) or len(kept) != self.count - len(gone):
            raise NotASnapshot("the delta removes what is not there, or twice")
        return Snapshot(self.session, serial, published_at, [*kept, *((text, serial) for text in added)])


def _refuse_overlaps(held: Sequence[tuple[Network, int]]) -> None:
    for (before, _), (after, _) in pairwise(held):
        if after.first <= before.last:
            raise NotASnapshot(f"{before.text} and {after.text} overlap")
