"""Gives each settled event its leaf, in the order of the log, and signs what the tree has become."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count

from app.audit import checkpoint, store, tree
from app.audit.entry import SALT_BYTES, committed_to, leaf_of
from app.audit.errors import Difference
from app.audit.models import Checkpoint
from app.audit.replay import KeptLeaf
from app.audit.tree import Frontier, Grown, Stretch
from app.core.database.engine import Database
from app.core.database.transaction import Transaction
from app.events import store as events
from app.events.store import RecordedEvent
from app.partners import store as partners

BATCH = 5_000


async def sequence(database: Database, issuer: str, batch: int = BATCH) -> None:
    """Append every event that has settled, ``batch`` in a transaction. Raises ``Difference`` when the tree was changed.

    While another process is at it, there is nothing to do. Killed between two batches, the next one goes on.
    """
    while await sequence_batch(database, issuer, batch) == batch:
        pass


async def sequence_batch(database: Database, issuer: str, batch: int = BATCH) -> int:
    """``sequence`` for at most ``batch`` events; gives how many."""
    async with database.transaction() as tx:
        return await _append(tx, issuer, batch) if await store.take_turn(tx) else 0


async def _append(tx: Transaction, issuer: str, batch: int) -> int:
    """Append a batch and sign the tree; without new events, sign it again when another key signs now."""
    key = await partners.signing_key(tx)
    newest = await store.newest_checkpoint(tx)
    frontier = await _frontier(tx, newest) if newest else Frontier()
    last = await store.last_event(tx, frontier.size)
    settled = await events.read_settled(tx, after=last, limit=batch)
    if not settled and (newest is None or checkpoint.signer_of(newest.signed) == key.kid):
        return 0
    begin = frontier.size
    leaves, grown = _grow(frontier, settled)
    now = datetime.now(UTC)
    signed = checkpoint.sign(issuer, frontier.size, frontier.root(), now, key)
    # only the writing gives the transaction its id, and so holds the event log back
    await store.append(tx, begin, leaves, grown)
    await store.save(tx, Checkpoint(size=frontier.size, root=frontier.root(), signed_at=now, signed=signed))
    return len(settled)


async def _frontier(tx: Transaction, newest: Checkpoint) -> Frontier:
    """The right edge of the tree as it was signed: nothing is ever built, and signed, on what was changed since."""
    checkpoint.check(newest.signed, newest.size, newest.root, newest.signed_at, await partners.every_public_key(tx))
    peaks = tree.complete_subtrees(Stretch(0, newest.size))
    hashes = await store.hashes(tx, peaks)
    frontier = Frontier(newest.size, [hashes.get(node, b"") for node in peaks])
    if frontier.root() != newest.root:
        raise Difference(f"The subtrees of the tree of {newest.size} leaves do not have the root that was signed.")
    return frontier


def _grow(frontier: Frontier, settled: Sequence[RecordedEvent]) -> tuple[list[KeptLeaf], list[Grown]]:
    leaves = [
        KeptLeaf(event.id, os.urandom(SALT_BYTES), committed_to(event, os.urandom(SALT_BYTES))) for event in settled
    ]
    entries = zip(settled, count(frontier.size), leaves)
    hashes = [leaf_of(event, position, leaf.salt, leaf.erasable) for event, position, leaf in entries]
    return leaves, frontier.extend(hashes)
