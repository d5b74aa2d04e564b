"""Batches: items to be submitted together, with all that is known of them without the register. Pure work."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID
from zlib import crc32

from uuid_utils import uuid7

from app.applicants.store import Identity
from app.core.validation.choices import normal_choice
from app.core.validation.networks import Network, parse_canonical
from app.operators.rules import PrefixTable
from app.registrations.rules import AcceptedNetworks, Flag, RegistrationRequest, block_of, overlapping_items

# A transaction takes at most this many locks, however many networks and references its batch has.
LOCK_NUMBERS = 256
_OUTSIDE_COUNTRY, _PREFIX_MISMATCH = Flag.OUTSIDE_COUNTRY.value, Flag.OPERATOR_PREFIX_MISMATCH.value


class Locks(NamedTuple):
    """Numbers of the advisory locks for networks, and for references."""

    networks: frozenset[int] = frozenset()
    references: frozenset[int] = frozenset()

    @classmethod
    def of(cls, networks: Iterable[Network], references: Iterable[str | None]) -> "Locks":
        """Return the locks of networks and references. Networks that overlap have a lock in common."""
        return cls(
            frozenset(block_of(network) % LOCK_NUMBERS for network in networks),
            frozenset(crc32(reference.encode()) % LOCK_NUMBERS for reference in references if reference),
        )

    @classmethod
    def of_items(cls, items: Sequence[RegistrationRequest]) -> "Locks":
        """Return the locks of all networks and references of items."""
        return cls.of((parse_canonical(network) for item in items for network in item.networks), _references(items))

    def numbers(self, partner_id: UUID) -> frozenset[int]:
        """Return all numbers. A reference has another lock at each partner, so that waiting tells nothing of others."""
        return self.networks.union((number + partner_id.int) % LOCK_NUMBERS for number in self.references)


@dataclass(frozen=True, slots=True)
class Batch:
    """Items of one partner that are submitted together; the other sequences have one value per item.

    ``ids`` are the ids of the cases that items may become, as texts. ``overlapping_items`` are the positions of items
    that share addresses with another item. ``unknown_operators`` are those of items whose operator does not exist, each
    with the code that it writes otherwise, or None. ``locks`` are
    still to be taken. ``applicants`` are the partner's own, None where there is no such applicant; they count, and not
    the ``applicant_id`` of an item. ``accepted`` are the networks that a dry run has accepted before this batch.
    """

    items: Sequence[RegistrationRequest]
    ids: Sequence[str]
    flags: Sequence[Sequence[str]]
    overlapping_items: frozenset[int]
    unknown_operators: Mapping[int, str | None]
    locks: Locks
    applicants: Sequence[Identity | None]
    bulk_upload_id: UUID | None = None
    accepted: AcceptedNetworks | None = None

    @classmethod
    def of(cls, items: Sequence[RegistrationRequest], prefixes: PrefixTable) -> "Batch":
        """Make a batch whose applicants are still to be set."""
        networks = [[parse_canonical(network) for network in item.networks] for item in items]
        each = [(network, i) for i, listed in enumerate(networks) for network in listed]
        return cls(
            items=items,
            ids=[str(uuid7()) for _ in items],
            flags=[_flags(item.operator, listed, prefixes) for item, listed in zip(items, networks, strict=True)],
            overlapping_items=frozenset(overlapping_items(each)),
            unknown_operators=_unknown_operators(items, prefixes),
            locks=Locks.of((network for network, _ in each), _references(items)),
            applicants=[None] * len(items),
        )

    def at(self, places: Sequence[int]) -> "Batch":
        """Return the batch of the items at these positions, which ascend."""
        if len(places) == len(self.items):
            return self
        new_place = {place: i for i, place in enumerate(places)}
        return replace(
            self,
            items=[self.items[place] for place in places],
            ids=[self.ids[place] for place in places],
            flags=[self.flags[place] for place in places],
            overlapping_items=frozenset(new_place[place] for place in self.overlapping_items & new_place.keys()),
            unknown_operators={new_place[i]: meant for i, meant in self.unknown_operators.items() if i in new_place},
            applicants=[self.applicants[place] for place in places],
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle items column by column: as tuples they take four times as long."""
        columns = tuple(zip(*self.items, strict=True))
        known = (self.ids, self.flags, self.overlapping_items, self.unknown_operators, self.locks)
        return _unpickle, (columns, *known, self.applicants, self.bulk_upload_id, self.accepted)


def _unknown_operators(items: Sequence[RegistrationRequest], prefixes: PrefixTable) -> dict[int, str | None]:
    unknown = [(i, item.operator) for i, item in enumerate(items) if not prefixes.knows(item.operator)]
    codes = frozenset(prefixes.operators) if unknown else frozenset[str]()
    return {i: code if (code := normal_choice(text, codes)) in codes else None for i, text in unknown}


def _unpickle(columns: Sequence[Sequence[Any]], *rest: Any) -> Batch:
    return Batch([*map(RegistrationRequest._make, zip(*columns, strict=True))], *rest)


def _references(items: Iterable[RegistrationRequest]) -> Iterable[str | None]:
    return (item.reference for item in items)


def _flags(operator: str, networks: Iterable[Network], prefixes: PrefixTable) -> Sequence[str]:
    flags = set()
    for network in networks:
        if not prefixes.is_in_country(network):
            flags.add(_OUTSIDE_COUNTRY)
        if not prefixes.is_announced_by(operator, network):
            flags.add(_PREFIX_MISMATCH)
    return tuple(sorted(flags, reverse=True))
