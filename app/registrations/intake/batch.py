"""Items as the register takes them in: column by column, with what of judging them needs nobody else's. Pure work."""

from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import NamedTuple
from uuid import UUID
from zlib import crc32

from pydantic_core import from_json, to_json
from uuid_utils import uuid7

from app.core.database.batches import column_text, values_at, values_of
from app.core.validation.networks import Network, span
from app.operators.rules import PrefixTable
from app.registrations.rules import Flag, RegistrationRequest, block_of, overlapping_items

# Locks of one transaction have a fixed number, however many networks and references its batch names.
LOCK_STRIPES = 256


class Stripes(NamedTuple):
    """The locks that the networks and the references of items wait for, by number."""

    networks: frozenset[int]
    references: frozenset[int]

    @classmethod
    def of(cls, networks: Iterable[Network], references: Iterable[str]) -> "Stripes":
        """The locks of networks, of which two that overlap have one in common, and of references."""
        return cls(
            frozenset(block_of(each) % LOCK_STRIPES for each in networks),
            frozenset(crc32(each.encode()) % LOCK_STRIPES for each in references),
        )

    @classmethod
    def of_items(cls, items: Sequence[RegistrationRequest]) -> "Stripes":
        """The locks of all networks and references of items."""
        spans = (span(network) for each in items for network in each.networks)
        return cls.of(spans, (each.reference for each in items if each.reference))

    def of_partner(self, partner_id: UUID) -> frozenset[int]:
        """All together. A reference has another lock at each partner: to wait tells nothing of others' references."""
        return self.networks.union((each + partner_id.int) % LOCK_STRIPES for each in self.references)


class Batch(NamedTuple):
    """Items in the form in which they are sent to the database and from a process to another.

    ``columns`` and ``listed`` hold the texts of ``orm.column_text``: of the new cases, one an item, and of their
    networks. ``applicants`` has for each item the number of its applicant among the batch's. ``overlapping_items`` are
    the items that share addresses with another of the batch, ``unknown_operators`` those whose operator does not exist,
    ``stripes`` the locks of its networks and references.
    """

    columns: dict[str, str]
    listed: dict[str, str]
    applicants: Sequence[int]
    tracks: Sequence[str]
    overlapping_items: frozenset[int]
    unknown_operators: frozenset[int]
    stripes: Stripes

    @classmethod
    def of(cls, items: Sequence[RegistrationRequest], applicants: Sequence[int], atlas: PrefixTable) -> "Batch":
        """Items, the number of each one's applicant, and where networks lie."""
        ids = [str(uuid7()) for _ in items]
        spans = [[span(network) for network in each.networks] for each in items]
        kept = {name: column_text([getattr(each, name) for each in items]) for name in _KEPT}
        made = {
            "id": column_text(ids),
            "applicant": column_text(map(str, applicants)),
            "networks": column_text(to_json(each.networks).decode() for each in items),
            "flags": column_text(
                _flags(each.operator, listed, atlas) for each, listed in zip(items, spans, strict=True)
            ),
        }
        return cls(
            columns=kept | made,
            listed=networks_listed(zip(ids, (each.networks for each in items), strict=True)),
            applicants=applicants,
            tracks=[each.track for each in items],
            overlapping_items=frozenset(
                overlapping_items((network, i) for i, listed in enumerate(spans) for network in listed)
            ),
            unknown_operators=frozenset(i for i, each in enumerate(items) if not atlas.knows(each.operator)),
            stripes=Stripes.of(chain.from_iterable(spans), (each.reference for each in items if each.reference)),
        )

    def ids(self, places: Iterable[int]) -> list[UUID]:
        """The ids that the items at these places get if they become cases."""
        return [UUID(each) for each in values_at(self.columns["id"], places)]

    def references(self) -> list[str | None]:
        """The submitter's own key of each item."""
        return values_of(self.columns["reference"])

    def flags(self, places: Iterable[int]) -> list[list[str]]:
        """What is to be looked at in the items at these places, as far as their addresses tell."""
        found = values_at(self.columns["flags"], places)
        return [each.strip("{}").split(",") if each != _NO_FLAGS else [] for each in found]

    def places(self) -> list[tuple[int, int]]:
        """Of each network that is listed, the item and the position in it."""
        item, found = -1, []
        for position in map(int, values_of(self.listed["position"])):
            item += position == 0
            found.append((item, position))
        return found

    def items(self, places: Collection[int], ids: Sequence[UUID]) -> list[RegistrationRequest]:
        """The items at these places as they were; ``ids`` are those of their applicants."""
        columns = {name: values_at(self.columns[name], places) for name in _KEPT}
        networks = map(from_json, values_at(self.columns["networks"], places))
        return [
            RegistrationRequest(applicant_id=id_, networks=listed, **dict(zip(_KEPT, cells, strict=True)))
            for id_, listed, *cells in zip(ids, networks, *columns.values(), strict=True)
        ]


_KEPT = ("track", "purpose", "protocol", "operator", "subscriber_id", "reference", "description")
_NO_FLAGS = "{}"


def _flags(operator: str, networks: Iterable[Network], atlas: PrefixTable) -> str:
    told = set()
    for network in networks:
        if not atlas.is_in_country(network):
            told.add(Flag.OUTSIDE_COUNTRY.value)
        if not atlas.is_announced_by(operator, network):
            told.add(Flag.OPERATOR_PREFIX_MISMATCH.value)
    return f"{{{','.join(sorted(told, reverse=True))}}}" if told else _NO_FLAGS


def networks_listed(networks: Iterable[tuple[str, Sequence[str]]]) -> dict[str, str]:
    """Cases' networks, each with its case and position, as the columns of ``intake.put_networks``."""
    rows = [(id_, str(position), network) for id_, listed in networks for position, network in enumerate(listed)]
    return {
        name: column_text(row[i] for row in rows) for i, name in enumerate(("registration_id", "position", "network"))
    }
