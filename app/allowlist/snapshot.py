"""The list at one serial: immutable, sorted, searchable, and able to prove what it holds."""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from operator import itemgetter
from typing import NamedTuple
from uuid import UUID

from app.core.validation.networks import IPV6_BASE, span


class NotASnapshot(Exception):
    """What was put together is not a list in order without overlaps, or a delta does not fit it."""


@dataclass(frozen=True, slots=True)
class Held:
    """A network in the list with the serial that added it."""

    network: str
    since_serial: int


class Version(NamedTuple):
    """The identity of a published list: of one version there is one representation in each format, byte for byte.

    Session and serial do not suffice: a database that lost publications gives their serials to other lists.
    """

    session: UUID
    serial: int
    published_at: datetime | None
    digest: str


class Snapshot:
    """The networks in force at ``serial`` of ``session``, sorted by family, address, length.

    Three parallel lists, not a million objects: the first address, the text, the serial that added it. Snapshots
    that follow one another share their texts. Raises ``NotASnapshot`` when two networks overlap.
    """

    def __init__(
        self, session: UUID, serial: int, published_at: datetime | None, entries: Iterable[tuple[str, int]]
    ) -> None:
        self.session = session
        self.serial = serial
        self.published_at = published_at
        held = sorted(((span(text).first, text, since) for text, since in entries), key=itemgetter(0))
        self._firsts = [first for first, _, _ in held]
        self.networks: Sequence[str] = [text for _, text, _ in held]
        self._since = [since for _, _, since in held]
        self._refuse_overlaps(range(1, self.count))

    @property
    def count(self) -> int:
        """How many networks are in force."""
        return len(self._firsts)

    def of_family(self, family: int | None) -> Sequence[str]:
        """The networks of IPv4 (4), IPv6 (6) or both (None), in order."""
        first_ipv6 = bisect_left(self._firsts, IPV6_BASE)
        return {None: self.networks, 4: self.networks[:first_ipv6], 6: self.networks[first_ipv6:]}[family]

    @cached_property
    def canonical(self) -> bytes:
        """The canonical text: one CIDR per line, each ended by a line feed."""
        return "\n".join([*self.networks, ""]).encode("ascii")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical text, as 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical).hexdigest()

    @property
    def serials(self) -> set[int]:
        """The serials that added what is in force."""
        return set(self._since)

    @cached_property
    def version(self) -> Version:
        """Its identity."""
        return Version(self.session, self.serial, self.published_at, self.digest)

    def find(self, point: int) -> Held | None:
        """The network that holds an address (see ``networks.position``), or None."""
        at = bisect_right(self._firsts, point) - 1
        if at < 0 or span(self.networks[at]).last < point:
            return None
        return Held(self.networks[at], self._since[at])

    def replay(
        self, serial: int, published_at: datetime | None, added: Sequence[str], removed: Sequence[str]
    ) -> "Snapshot":
        """The snapshot that a delta leads to. Raises ``NotASnapshot`` when it does not fit this one.

        Its cost is that of copying the lists once, however long they are.
        """
        edits = sorted([*(self._removal(text) for text in removed), *(self._insertion(text) for text in added)])
        new = Snapshot(self.session, serial, published_at, ())
        firsts, since = new._firsts, new._since  # one of its own kind
        networks: list[str] = []
        at, fresh = 0, list[int]()
        for index, is_removal, first, text in edits:
            if is_removal and index < at:
                raise NotASnapshot(f"{text} is removed twice")
            firsts += self._firsts[at:index]
            networks += self.networks[at:index]
            since += self._since[at:index]
            at = index + is_removal
            fresh += [len(firsts), len(firsts) + 1]
            if not is_removal:
                firsts.append(first)
                networks.append(text)
                since.append(serial)
        firsts += self._firsts[at:]
        networks += self.networks[at:]
        since += self._since[at:]
        new.networks = networks
        new._refuse_overlaps(index for index in fresh if 0 < index < new.count)
        return new

    def _removal(self, text: str) -> tuple[int, bool, int, str]:
        first = span(text).first
        index = bisect_left(self._firsts, first)
        if index == self.count or self.networks[index] != text:
            raise NotASnapshot(f"{text} is removed and was not there")
        return index, True, first, text

    def _insertion(self, text: str) -> tuple[int, bool, int, str]:
        first = span(text).first
        return bisect_left(self._firsts, first), False, first, text

    def _refuse_overlaps(self, indexes: Iterable[int]) -> None:
        for index in indexes:
            before, after = self.networks[index - 1], self.networks[index]
            if self._firsts[index] <= span(before).last:
                raise NotASnapshot(f"{before} and {after} overlap")
