"""Snapshot: the immutable list at one serial, sorted, searchable and verifiable by its digest."""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from operator import itemgetter
from typing import NamedTuple
from uuid import UUID

from app.core.validation.networks import IPV6_BASE, Network, parse_canonical


class InvalidSnapshot(Exception):
    """Networks overlap, a delta does not apply to a list, or a list does not have its published digest."""


@dataclass(frozen=True, slots=True)
class ListedNetwork:
    """A network on the list, and the serial that added it."""

    network: str
    since_serial: int


class Version(NamedTuple):
    """Identity of a published list: two lists of one version are the same bytes in every format.

    Session and serial do not suffice: a database that lost publications assigns their serials to other lists.
    """

    session: UUID
    serial: int
    published_at: datetime | None
    digest: str


class Snapshot:
    """The networks in force at ``serial`` of ``session``, sorted by family, address and prefix length.

    ``entries`` are pairs of a network and the serial that added it. They are kept as three parallel lists rather than
    a million objects: first address, text, serial. Successive snapshots share the texts. Raises ``InvalidSnapshot``
    when two networks overlap.
    """

    def __init__(
        self, session: UUID, serial: int, published_at: datetime | None, entries: Iterable[tuple[str, int]]
    ) -> None:
        self.session = session
        self.serial = serial
        self.published_at = published_at
        rows = sorted(((parse_canonical(text).first, text, added) for text, added in entries), key=itemgetter(0))
        self._firsts = [first for first, _, _ in rows]
        self.networks: Sequence[str] = [text for _, text, _ in rows]
        self._added = [added for _, _, added in rows]
        self._check_overlaps(range(1, self.count))

    @property
    def count(self) -> int:
        """The number of networks in force."""
        return len(self._firsts)

    def networks_of_family(self, family: int | None) -> Sequence[str]:
        """The networks of IPv4 (4), IPv6 (6) or both (None), in order."""
        first_ipv6 = bisect_left(self._firsts, IPV6_BASE)
        return {None: self.networks, 4: self.networks[:first_ipv6], 6: self.networks[first_ipv6:]}[family]

    @cached_property
    def canonical(self) -> bytes:
        """The canonical text: one CIDR per line, each terminated by a line feed."""
        return "\n".join([*self.networks, ""]).encode("ascii")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical text, as 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical).hexdigest()

    @cached_property
    def aggregated(self) -> Sequence[str]:
        """The fewest networks of exactly the same addresses, in order: two halves of a network are merged into it."""
        merged: list[Network] = []
        for text in self.networks:
            added = parse_canonical(text)
            while merged and (both := _merge(merged[-1], added)):
                merged.pop()
                added = both
            merged.append(added)
        return [network.text for network in merged]

    @property
    def added_serials(self) -> set[int]:
        """The serials that added the networks in force."""
        return set(self._added)

    @cached_property
    def version(self) -> Version:
        """The identity of the list."""
        return Version(self.session, self.serial, self.published_at, self.digest)

    def find(self, point: int) -> ListedNetwork | None:
        """The network that contains an address, given as ``networks.position``, or None."""
        index = bisect_right(self._firsts, point) - 1
        if index < 0 or parse_canonical(self.networks[index]).last < point:
            return None
        return ListedNetwork(self.networks[index], self._added[index])

    def apply_delta(
        self, serial: int, published_at: datetime | None, added: Sequence[str], removed: Sequence[str]
    ) -> "Snapshot":
        """The snapshot after a delta. Raises ``InvalidSnapshot`` when the delta does not apply to this one.

        The lists are copied once, whatever the size of the delta.
        """
        edits = sorted([*(self._removal(text) for text in removed), *(self._insertion(text) for text in added)])
        new = Snapshot(self.session, serial, published_at, ())
        firsts, serials = new._firsts, new._added
        networks: list[str] = []
        position, changed = 0, list[int]()
        for index, is_removal, first, text in edits:
            if is_removal and index < position:
                raise InvalidSnapshot(f"{text} is removed twice")
            firsts += self._firsts[position:index]
            networks += self.networks[position:index]
            serials += self._added[position:index]
            position = index + is_removal
            changed += [len(firsts), len(firsts) + 1]
            if not is_removal:
                firsts.append(first)
                networks.append(text)
                serials.append(serial)
        firsts += self._firsts[position:]
        networks += self.networks[position:]
        serials += self._added[position:]
        new.networks = networks
        new._check_overlaps(index for index in changed if 0 < index < new.count)
        return new

    def _removal(self, text: str) -> tuple[int, bool, int, str]:
        first = parse_canonical(text).first
        index = bisect_left(self._firsts, first)
        if index == self.count or self.networks[index] != text:
            raise InvalidSnapshot(f"{text} is removed but not on the list")
        return index, True, first, text

    def _insertion(self, text: str) -> tuple[int, bool, int, str]:
        first = parse_canonical(text).first
        return bisect_left(self._firsts, first), False, first, text

    def _check_overlaps(self, indexes: Iterable[int]) -> None:
        """Compare the networks at ``indexes`` with the ones before them. Raises ``InvalidSnapshot``."""
        for index in indexes:
            before, after = self.networks[index - 1], self.networks[index]
            if self._firsts[index] <= parse_canonical(before).last:
                raise InvalidSnapshot(f"{before} and {after} overlap")


def _merge(lower: Network, upper: Network) -> Network | None:
    """The network of which ``lower`` and ``upper`` are the halves, or None."""
    size = lower.last - lower.first + 1
    # IPV6_BASE is not aligned to the sizes of networks
    start = lower.first - IPV6_BASE if lower.first >= IPV6_BASE else lower.first
    if lower.last + 1 != upper.first or upper.last - upper.first + 1 != size or start % (2 * size):
        return None
    address, _, length = lower.text.partition("/")
    return Network(lower.first, upper.last, f"{address}/{int(length) - 1}")


def build_verified(version: Version, entries: Iterable[tuple[str, int]]) -> Snapshot:
    """Build the list of a version from its entries, pairs of a network and the serial that added it.

    Raises ``InvalidSnapshot`` when they are not networks, overlap, or do not have the version's digest.
    """
    try:
        snapshot = Snapshot(version.session, version.serial, version.published_at, entries)
    except (ValueError, AttributeError) as wrong:  # an entry is not a network
        raise InvalidSnapshot(str(wrong)) from wrong
    if snapshot.digest != version.digest:
        raise InvalidSnapshot(f"serial {version.serial} does not have the digest it was published with")
    return snapshot
