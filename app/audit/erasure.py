"""Erasure in a log that is only added to: values and their salts go, and the leaves stay as they are."""

import os
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from app.audit import store
from app.audit.entry import SALT_BYTES, leaf_of
from app.audit.models import Leaf
from app.core.database.transaction import Transaction
from app.events import store as events
from app.events.store import RecordedEvent

# The event that says that something was erased of the other events of its subject.
ERASURE = "registration.erased"


class Erasure(NamedTuple):
    """What was erased of a subject's events: the values, and what their erasure has to record of their leaves."""

    values: list[dict[str, Any]]
    details: dict[str, Any]


async def erase(tx: Transaction, subject_ids: Collection[UUID]) -> dict[UUID, Erasure]:
    """Take out of the events of these subjects what can be erased; what was found of each subject.

    A leaf with a commitment to it is made again from that: its salt is deleted. An older leaf was made of the value
    itself and cannot be made again. It gets another salt, so that nobody can try values on its hash, and the hash that
    its event has from now on goes into ``details``, for an event of the log. The sequencer waits until the transaction
    ends, so that no leaf is made of what is just being erased.
    """
    await store.wait_for_turn(tx)
    found = await events.with_erasable(tx, subject_ids)
    if not found:
        return {}
    leaves = await store.leaves_of_events(tx, [each.id for each in found])
    await events.erase(tx, [each.id for each in found])
    await store.delete_salts(tx, list(leaves))
    older = {each.id: os.urandom(SALT_BYTES) for each in found if _is_of_the_value(leaves.get(each.id))}
    if older:
        await store.replace_salts(tx, older)
    erased: dict[UUID, Erasure] = {}
    for each in found:
        assert each.subject_id is not None
        of_subject = erased.setdefault(each.subject_id, Erasure([], {}))
        of_subject.values.append(events.erasable_details(each.details))
        if each.id in older:
            hash_ = hash_of_what_is_left(each, leaves[each.id].position, older[each.id])
            of_subject.details.setdefault("leaves", {})[str(each.id)] = hash_
    return erased


def _is_of_the_value(leaf: Leaf | None) -> bool:
    return leaf is not None and leaf.erasable is None


def hash_of_what_is_left(event: RecordedEvent, position: int, salt: bytes) -> str:
    """The hash in hexadecimal that the leaf of an event would have, had it been made after the erasure."""
    left = event._replace(details=events.without_erasable(event.details))
    return leaf_of(left, position, salt).hex()


def recorded_hashes(erasures: Collection[RecordedEvent]) -> Mapping[str, str]:
    """The hashes that ``erase`` gave into the details of events, by the event that each is of."""
    given = [each.details.get("leaves") for each in erasures if isinstance(each.details, dict)]
    return {id_: hash_ for leaves in given if isinstance(leaves, dict) for id_, hash_ in leaves.items()}
