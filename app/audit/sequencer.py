"""The sequencer: appends settled events to the tree, in the order of the log, and signs a checkpoint of it."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count

from app.audit import checkpoint, store, tree
from app.audit.entry import SALT_BYTES, commit_erasable, event_leaf_hash
from app.audit.errors import VerificationFailed
from app.audit.models import Checkpoint
from app.audit.replay import RecordedLeaf
from app.audit.tree import Frontier, LeafRange, NodeRun
from app.core.database.engine import Database
from app.core.database.transaction import Transaction
from app.events import store as events
from app.events.store import RecordedEvent
from app.partners import store as partners

BATCH = 5_000


async def sequence(database: Database, issuer: str, batch: int = BATCH) -> None:
    """Append all settled events, ``batch`` in a transaction, so that a killed sequencer continues where it was.

    Does nothing while another process sequences. Raises ``VerificationFailed`` when the recorded tree was changed.
    """
    while await sequence_batch(database, issuer, batch) == batch:
        pass


async def sequence_batch(database: Database, issuer: str, batch: int = BATCH) -> int:
    """Append at most ``batch`` events and return their number. Raises as ``sequence``."""
    async with database.transaction() as tx:
        return await _append(tx, issuer, batch) if await store.try_lock_sequencing(tx) else 0


async def _append(tx: Transaction, issuer: str, batch: int) -> int:
    """Append a batch and sign the tree; without new events, sign it again after a change of the signing key."""
    key = await partners.signing_key(tx)
    newest = await store.newest_checkpoint(tx)
    frontier = await _load_frontier(tx, newest) if newest else Frontier()
    last = await store.last_event_id(tx, frontier.size)
    settled = await events.read_settled(tx, after=last, limit=batch)
    if not settled and (newest is None or checkpoint.key_id(newest.signed) == key.kid):
        return 0
    begin = frontier.size
    leaves, nodes = _extend(frontier, settled)
    now = datetime.now(UTC)
    signed = checkpoint.sign(issuer, frontier.size, frontier.root(), now, key)
    # writes come last: the first one gives the transaction its id, and later events are not settled until it ends
    await store.insert_leaves(tx, begin, leaves, nodes)
    await store.save_checkpoint(tx, Checkpoint(size=frontier.size, root=frontier.root(), signed_at=now, signed=signed))
    return len(settled)


async def _load_frontier(tx: Transaction, newest: Checkpoint) -> Frontier:
    """Return the frontier of the newest checkpoint, verified, so that nothing is signed on top of a changed tree."""
    checkpoint.check(newest.signed, newest.size, newest.root, newest.signed_at, await partners.every_public_key(tx))
    peaks = tree.complete_subtrees(LeafRange(0, newest.size))
    hashes = await store.node_hashes(tx, peaks)
    frontier = Frontier(newest.size, [hashes.get(node, b"") for node in peaks])
    if frontier.root() != newest.root:
        raise VerificationFailed(f"The subtrees of the tree of {newest.size} leaves do not have the signed root.")
    return frontier


def _extend(frontier: Frontier, settled: Sequence[RecordedEvent]) -> tuple[list[RecordedLeaf], list[NodeRun]]:
    leaves = [
        RecordedLeaf(event.id, os.urandom(SALT_BYTES), commit_erasable(event, os.urandom(SALT_BYTES)))
        for event in settled
    ]
    entries = zip(settled, count(frontier.size), leaves)
    hashes = [event_leaf_hash(event, position, leaf.salt, leaf.erasable) for event, position, leaf in entries]
    return leaves, frontier.extend(hashes)
