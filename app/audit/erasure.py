"""Erasure from the append-only log: deletes values and their salts, and leaves the leaf hashes as they are."""

import os
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from app.audit import store
from app.audit.entry import SALT_BYTES, event_leaf_hash
from app.audit.models import Leaf
from app.core.database.transaction import Transaction
from app.events import store as events
from app.events.store import RecordedEvent

# The event that records an erasure from the other events of its subject.
ERASURE = "registration.erased"


class Erasure(NamedTuple):
    """The values erased from a subject's events, and the details of the event that records it."""

    values: list[dict[str, Any]]
    details: dict[str, Any]


async def erase(tx: Transaction, subject_ids: Collection[UUID]) -> dict[UUID, Erasure]:
    """Erase the erasable details of these subjects' events; returns the erasures by subject.

    A leaf with a commitment to them can still be computed from the commitment, whose salt is deleted. An older leaf
    hashed the values themselves and cannot be computed any more. It gets another salt, so that nobody can guess values
    by its hash, and the hash of the event as it is now goes into ``details``. The sequencer waits until the transaction
    ends, so that it makes no leaf of values that are being erased.
    """
    await store.lock_sequencing(tx)
    found = await events.with_erasable(tx, subject_ids)
    if not found:
        return {}
    leaves = await store.leaves_by_event(tx, [event.id for event in found])
    await events.erase(tx, [event.id for event in found])
    await store.delete_salts(tx, list(leaves))
    new_salts = {event.id: os.urandom(SALT_BYTES) for event in found if _lacks_commitment(leaves.get(event.id))}
    if new_salts:
        await store.replace_salts(tx, new_salts)
    erased: dict[UUID, Erasure] = {}
    for event in found:
        assert event.subject_id is not None
        erasure = erased.setdefault(event.subject_id, Erasure([], {}))
        erasure.values.append(events.erasable_details(event.details))
        if event.id in new_salts:
            hash_ = _hash_after_erasure(event, leaves[event.id].position, new_salts[event.id])
            erasure.details.setdefault("leaves", {})[str(event.id)] = hash_
    return erased


def _lacks_commitment(leaf: Leaf | None) -> bool:
    return leaf is not None and leaf.erasable is None


def _hash_after_erasure(event: RecordedEvent, position: int, salt: bytes) -> str:
    left = event._replace(details=events.without_erasable(event.details))
    return event_leaf_hash(left, position, salt).hex()


def hashes_after_erasure(erasures: Collection[RecordedEvent]) -> Mapping[str, str]:
    """Return the hashes that ``erase`` put into the details of these events, in hex, by the id of the erased event."""
    found = [each.details.get("leaves") for each in erasures if isinstance(each.details, dict)]
    return {id_: hash_ for leaves in found if isinstance(leaves, dict) for id_, hash_ in leaves.items()}
