"""Going through the log again from its first event, and comparing it with what was kept of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from joserfc.jwk import KeySet

from app.audit import checkpoint
from app.audit.entry import Erasable, is_erased, leaf_of
from app.audit.errors import Difference
from app.audit.tree import Frontier, Node
from app.events.models import Event
from app.events.store import RecordedEvent


@dataclass(frozen=True, slots=True)
class KeptLeaf:
    """What was kept of an event when it got its leaf."""

    event_id: UUID
    salt: bytes
    erasable: Erasable | None = None


@dataclass(frozen=True, slots=True)
class KeptCheckpoint:
    """What was kept of the tree at a size."""

    root: bytes
    signed_at: datetime
    signed: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What was kept of the log on to ``end``: leaves by position, hashes by subtree, checkpoints by size."""

    end: int
    leaves: Mapping[int, KeptLeaf]
    hashes: Mapping[Node, bytes]
    checkpoints: Mapping[int, KeptCheckpoint]


@dataclass(slots=True)
class Erased:
    """The events that say that something of them was erased: ``proven`` those whose leaves can still be made again.

    Of the others, ``taken_on_trust``, the recorded leaf was taken as it is. What is left of them must be what their
    erasure recorded.
    """

    proven: list[UUID] = field(default_factory=list)
    taken_on_trust: list[UUID] = field(default_factory=list)


def replay(frontier: Frontier, events: Sequence[Event | RecordedEvent], kept: Kept, keys: KeySet) -> Erased:
    """Grow ``frontier`` by the next ``events`` of the log. Raises ``Difference`` at the first that was not kept so."""
    erased = Erased()
    for event in events:
        size = frontier.size
        leaf = _leaf(event, size, kept.leaves.get(size))
        if is_erased(event):
            recorded = kept.hashes.get(Node(0, size))
            can_be_made = recorded is None or leaf == recorded or kept.leaves[size].erasable is not None
            (erased.proven if can_be_made else erased.taken_on_trust).append(event.id)
            leaf = leaf if can_be_made else recorded or leaf
        for node, hash_ in frontier.append(leaf):
            if kept.hashes.get(node) != hash_:
                what = f"the subtree of {1 << node.level} leaves that ends with" if node.level else "the leaf of"
                raise Difference(f"Position {size}: {what} event {event.id} is not what was recorded.")
        if frontier.size in kept.checkpoints:
            _compare(frontier, kept.checkpoints[frontier.size], keys)
    if frontier.size < kept.end:
        raise Difference(f"Position {frontier.size}: the log ends here, the tree at {kept.end}.")
    return erased


def _leaf(event: Event | RecordedEvent, position: int, leaf: KeptLeaf | None) -> bytes:
    if leaf is None:
        raise Difference(f"Position {position}: the leaf of event {event.id} is gone.")
    if leaf.event_id != event.id:
        raise Difference(f"Position {position}: the log goes on with event {event.id}, the tree with {leaf.event_id}.")
    try:
        return leaf_of(event, position, leaf.salt, leaf.erasable)
    except (ValueError, TypeError, AttributeError) as wrong:  # details that are no object, or numbers beyond JSON's
        raise Difference(f"Position {position}: event {event.id} has no canonical form: {wrong}") from wrong


def _compare(frontier: Frontier, kept: KeptCheckpoint, keys: KeySet) -> None:
    checkpoint.check(kept.signed, frontier.size, kept.root, kept.signed_at, keys)
    if kept.root != frontier.root():
        raise Difference(f"The log up to position {frontier.size - 1} does not have the root that was signed.")
