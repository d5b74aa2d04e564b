"""Verifies the whole log against the tree, its checkpoints and a copy kept elsewhere, for ``audit verify``."""

import asyncio
from typing import NamedTuple

from app.audit import checkpoint, store, tree
from app.audit.entry import event_leaf_hash
from app.audit.erasure import ERASURE, hashes_after_erasure
from app.audit.errors import VerificationFailed
from app.audit.replay import ErasedEvents, replay
from app.audit.schemas import Checkpoint
from app.audit.tree import Frontier
from app.core.database.transaction import Transaction
from app.events import store as events
from app.partners import store as partners

BATCH = 5_000


class VerificationResult(NamedTuple):
    """The verified tree, the number of erased events, and of those ``on_trust``, whose leaf cannot be computed."""

    tree: Frontier
    erased: int
    on_trust: int


async def verify(tx: Transaction, copy: Checkpoint | None = None, batch: int = BATCH) -> VerificationResult:
    """Recompute every leaf from its event, in the order of the log, with ``batch`` events in memory.

    ``copy`` is an earlier checkpoint that was kept elsewhere. Raises ``VerificationFailed`` at the first place where
    log, leaves, nodes, checkpoints or ``copy`` are inconsistent, or where an erased event has no event of its erasure.
    """
    keys = await partners.every_public_key(tx)
    size = await _checked_size(tx)
    if copy:
        checkpoint.check(copy.signed, copy.size, bytes.fromhex(copy.root), copy.signed_at, keys)
        if copy.size > size:
            raise VerificationFailed(f"The copy is of {copy.size} leaves, and the tree has only {size}.")
    frontier, last = Frontier(), None
    erased = on_trust = 0
    while frontier.size < size:
        until = copy.size if copy and frontier.size < copy.size else size
        end = min(frontier.size + batch, until)
        # leaves first: events that are erased in between still match the commitments of the older leaves
        recorded = await store.recorded_tree(tx, frontier.size, end)
        settled = await events.read_settled(tx, after=last, limit=end - frontier.size)
        found = await asyncio.to_thread(replay, frontier, settled, recorded, keys)
        await _check_erasures(tx, found)
        erased += len(found.verified) + len(found.on_trust)
        on_trust += len(found.on_trust)
        if copy and frontier.size == copy.size and frontier.root().hex() != copy.root:
            raise VerificationFailed(f"The first {copy.size} events of the log are not those that the copy covers.")
        last = settled[-1].id
    await _check_signing_key(tx)
    return VerificationResult(frontier, erased, on_trust)


async def _check_erasures(tx: Transaction, erased: ErasedEvents) -> None:
    """Raise ``VerificationFailed`` for the first erased event whose erasure is not recorded, or recorded otherwise."""
    found = await store.events_with_leaves(tx, [*erased.verified, *erased.on_trust])
    subjects = [event.subject_id for event, _ in found if event.subject_id]
    erasures = await events.of_subjects(tx, ERASURE, subjects) if subjects else []
    hashes = hashes_after_erasure(erasures)
    erased_subjects = {each.subject_id for each in erasures}
    on_trust = set(erased.on_trust)
    for event, leaf in found:
        if event.subject_id not in erased_subjects:
            raise VerificationFailed(f"Event {event.id} is marked as erased, and no event records its erasure.")
        if event.id in on_trust and hashes.get(str(event.id)) != event_leaf_hash(event, leaf.position, leaf.salt).hex():
            raise VerificationFailed(f"What is left of event {event.id} is not what its erasure recorded.")


async def _check_signing_key(tx: Transaction) -> None:
    """Raise ``VerificationFailed`` when a revoked key signed the newest checkpoint, which covers all earlier ones."""
    newest = await store.newest_checkpoint(tx)
    if newest and checkpoint.key_id(newest.signed) in await partners.revoked_keys(tx):
        raise VerificationFailed(
            "The newest checkpoint is signed by a revoked key. A running worker signs it again at once."
        )


async def _checked_size(tx: Transaction) -> int:
    """Return the size of the tree. Raises ``VerificationFailed`` when leaves or nodes are not as many as it has."""
    size, leaves, nodes = await store.count_rows(tx)
    if (leaves, nodes) != (size, tree.node_count(size)):
        raise VerificationFailed(
            f"The newest checkpoint is of {size} leaves with {tree.node_count(size)} complete subtrees; "
            f"{leaves} leaves and {nodes} subtrees are recorded."
        )
    return size
