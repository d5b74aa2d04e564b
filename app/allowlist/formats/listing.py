"""Listing: the networks of a snapshot that a format writes, by the family, aggregation and part that were selected."""

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from math import ceil, sqrt
from typing import NamedTuple
from zlib import crc32

from app.allowlist.snapshot import Snapshot

NAME = "ip_registration"
MIN_MAX, MAX_MAX = 100, 4_194_304
MAX_PART = 50_000


class Selection(NamedTuple):
    """Networks of one family or of both (None), neighbours merged or not, and part ``part`` of parts of ``max``."""

    family: int | None = None
    aggregate: bool = False
    max: int | None = None
    part: int = 1

    @property
    def is_whole(self) -> bool:
        """True for a list, or a family of it, as it was published."""
        return self.max is None and not self.aggregate

    @property
    def tag(self) -> str:
        """Its text in an entity tag; empty for the whole list."""
        part = f"-max{self.max}-part{self.part}" if self.max else ""
        return f"{self.family or ''}{'-aggregate' if self.aggregate else ''}{part}"

    @property
    def query(self) -> str:
        """Its query parameters, each with ``&`` before it."""
        family = f"&family={self.family}" if self.family else ""
        return f"{family}{'&aggregate=true' if self.aggregate else ''}&max={self.max}&part={self.part}"


class Listing:
    """The selected networks of a snapshot, in order."""

    def __init__(self, snapshot: Snapshot, selection: Selection) -> None:
        self.snapshot = snapshot
        self.selection = selection
        self.families = (selection.family,) if selection.family else (4, 6)
        self.networks = snapshot.networks_of_family(selection.family)
        if selection.aggregate:
            self.networks = [each for each in snapshot.aggregated if selection.family in (None, family_of(each))]
        self.parts = 1
        if selection.max:
            parts = split(self.networks, selection.max)
            self.parts = len(parts)
            self.networks = parts[selection.part - 1] if selection.part <= self.parts else []

    @cached_property
    def _first_ipv6(self) -> int:
        return bisect_left(self.networks, 6, key=family_of)

    def of_family(self, family: int) -> Sequence[str]:
        """The selected networks of IPv4 (4) or IPv6 (6)."""
        return self.networks[: self._first_ipv6] if family == 4 else self.networks[self._first_ipv6 :]

    @property
    def title(self) -> str:
        """Name, session, serial and digest of the list, and the selection, for a comment."""
        snapshot, selection = self.snapshot, self.selection
        aggregated_ = " aggregated" if selection.aggregate else ""
        part = f" part {selection.part} of {self.parts}" if selection.max else ""
        identity = f"session {snapshot.session} serial {snapshot.serial} digest {snapshot.digest}"
        return f"{NAME} {identity}{aggregated_}{part}"

    def headers(self, name: str) -> dict[str, str]:
        """The header fields that tell the selection of a list in the format ``name``, and where its next part is."""
        selection = self.selection
        if selection.is_whole:
            return {}
        members = ["aggregated"] if selection.aggregate else []
        members += [f"part={selection.part}", f"parts={self.parts}"] if selection.max else []
        told = {"Allowlist-Selection": ", ".join(members)}
        if selection.part < self.parts:
            following = selection._replace(part=selection.part + 1)
            told["Link"] = f'<?format={name}{following.query}>; rel="next"'
        return told


def family_of(network: str) -> int:
    """4 or 6."""
    return 6 if ":" in network else 4


def split(networks: Sequence[str], most: int) -> list[list[str]]:
    """Split networks by a consistent hash into parts of at most ``most`` networks, in order.

    A network stays in its part when others come or go, so that it is in none at no time, although a firewall reads the
    parts at different serials. When there are more parts, the networks of the new ones move there, and no others
    (Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014).
    """
    # parts differ in length: the average is three standard deviations below the most
    number = ceil(len(networks) / (most - 3 * sqrt(most))) if len(networks) > most else 1
    keys = [crc32(network.encode()) for network in networks]
    while True:
        parts: list[list[str]] = [[] for _ in range(number)]
        for key, network in zip(keys, networks, strict=True):
            parts[_jump_hash(key, number)].append(network)
        if max(map(len, parts)) <= most:
            return parts
        number += ceil(number / 50)


def _jump_hash(key: int, buckets: int) -> int:
    bucket, following = 0, 0
    while following < buckets:
        bucket = following
        key = (key * 2_862_933_555_777_941_757 + 1) & 0xFFFF_FFFF_FFFF_FFFF
        following = int((bucket + 1) * (2_147_483_648 / ((key >> 33) + 1)))
    return bucket
