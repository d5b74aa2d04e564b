"""Recomputes the tree from the events of the log and compares it with what was recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from joserfc.jwk import KeySet

from app.audit import checkpoint
from app.audit.entry import ErasableCommitment, event_leaf_hash, is_erased
from app.audit.errors import VerificationFailed
from app.audit.tree import Frontier, Node
from app.events.models import Event
from app.events.store import RecordedEvent


@dataclass(frozen=True, slots=True)
class RecordedLeaf:
    """A leaf without its position: the event, the salt of its commitments, and the commitment to erasable details."""

    event_id: UUID
    salt: bytes
    erasable: ErasableCommitment | None = None


@dataclass(frozen=True, slots=True)
class RecordedCheckpoint:
    """A checkpoint without its size."""

    root: bytes
    signed_at: datetime
    signed: str


@dataclass(frozen=True, slots=True)
class RecordedTree:
    """A part of the recorded tree, up to ``end``: leaves by position, hashes by node, checkpoints by size."""

    end: int
    leaves: Mapping[int, RecordedLeaf]
    hashes: Mapping[Node, bytes]
    checkpoints: Mapping[int, RecordedCheckpoint]


@dataclass(slots=True)
class ErasedEvents:
    """The events that are marked as erased: ``verified`` those whose leaf hash can still be computed.

    For the others, ``on_trust``, the recorded leaf hash was used. What is left of them must have the hash that their
    erasure recorded.
    """

    verified: list[UUID] = field(default_factory=list)
    on_trust: list[UUID] = field(default_factory=list)


def replay(
    frontier: Frontier, events: Sequence[Event | RecordedEvent], recorded: RecordedTree, keys: KeySet
) -> ErasedEvents:
    """Extend ``frontier`` by the next ``events`` of the log and compare each new node and checkpoint with ``recorded``.

    Raises ``VerificationFailed`` at the first that differs.
    """
    erased = ErasedEvents()
    for event in events:
        size = frontier.size
        leaf = _compute_leaf(event, size, recorded.leaves.get(size))
        if is_erased(event):
            recorded_hash = recorded.hashes.get(Node(0, size))
            is_verifiable = recorded_hash in (None, leaf) or recorded.leaves[size].erasable is not None
            (erased.verified if is_verifiable else erased.on_trust).append(event.id)
            leaf = leaf if is_verifiable else recorded_hash or leaf
        for node, hash_ in frontier.append(leaf):
            if recorded.hashes.get(node) != hash_:
                what = f"the subtree of {1 << node.level} leaves that ends with" if node.level else "the leaf of"
                raise VerificationFailed(f"Position {size}: {what} event {event.id} is not what was recorded.")
        if frontier.size in recorded.checkpoints:
            _compare_checkpoint(frontier, recorded.checkpoints[frontier.size], keys)
    if frontier.size < recorded.end:
        raise VerificationFailed(f"Position {frontier.size}: the log ends here, the tree at {recorded.end}.")
    return erased


def _compute_leaf(event: Event | RecordedEvent, position: int, leaf: RecordedLeaf | None) -> bytes:
    if leaf is None:
        raise VerificationFailed(f"Position {position}: the leaf of event {event.id} is missing.")
    if leaf.event_id != event.id:
        raise VerificationFailed(
            f"Position {position}: the log continues with event {event.id}, the tree with {leaf.event_id}."
        )
    try:
        return event_leaf_hash(event, position, leaf.salt, leaf.erasable)
    except (ValueError, TypeError, AttributeError) as error:  # details that are no object, or too large numbers
        raise VerificationFailed(f"Position {position}: event {event.id} has no canonical form: {error}") from error


def _compare_checkpoint(frontier: Frontier, recorded: RecordedCheckpoint, keys: KeySet) -> None:
    checkpoint.check(recorded.signed, frontier.size, recorded.root, recorded.signed_at, keys)
    if recorded.root != frontier.root():
        raise VerificationFailed(f"The log up to position {frontier.size - 1} does not have the root that was signed.")
