"""What ``audit verify`` does: the whole log again, against the tree, its checkpoints, and a copy kept elsewhere."""

import asyncio
from typing import NamedTuple

from app.audit import checkpoint, store, tree
from app.audit.entry import leaf_of
from app.audit.erasure import ERASURE, recorded_hashes
from app.audit.errors import Difference
from app.audit.replay import Erased, replay
from app.audit.schemas import Checkpoint
from app.audit.tree import Frontier
from app.core.database.transaction import Transaction
from app.events import store as events
from app.partners import store as partners

BATCH = 5_000


class Verified(NamedTuple):
    """The tree, and of how many events something was erased; of ``on_trust`` the leaf cannot be made again."""

    tree: Frontier
    erased: int
    on_trust: int


async def verify(tx: Transaction, copy: Checkpoint | None = None, batch: int = BATCH) -> Verified:
    """Make every leaf again from its event, in the order of the log, ``batch`` in memory at a time.

    Raises ``Difference`` at the first place where log, leaves, subtrees, checkpoints or ``copy``, an earlier checkpoint
    that was kept elsewhere, do not say the same, or where something was erased and no event says so.
    """
    keys = await partners.every_public_key(tx)
    size = await _size(tx)
    if copy:
        checkpoint.check(copy.signed, copy.size, bytes.fromhex(copy.root), copy.signed_at, keys)
        if copy.size > size:
            raise Difference(f"The copy is of {copy.size} leaves, and the tree has only {size}.")
    frontier, last = Frontier(), None
    erased = on_trust = 0
    while frontier.size < size:
        until = copy.size if copy and frontier.size < copy.size else size
        end = min(frontier.size + batch, until)
        # in this order: what is erased between the two has its commitment still
        kept = await store.kept(tx, frontier.size, end)
        found = await events.read_settled(tx, after=last, limit=end - frontier.size)
        met = await asyncio.to_thread(replay, frontier, found, kept, keys)
        await _check_erasures(tx, met)
        erased += len(met.proven) + len(met.taken_on_trust)
        on_trust += len(met.taken_on_trust)
        if copy and frontier.size == copy.size and frontier.root().hex() != copy.root:
            raise Difference(f"The first {copy.size} events of the log are not those that the copy was signed of.")
        last = found[-1].id
    await _check_signer(tx)
    return Verified(frontier, erased, on_trust)


async def _check_erasures(tx: Transaction, erased: Erased) -> None:
    """See that erasures account for what was erased. Raises ``Difference`` for the first event of which none does."""
    found = await store.with_leaves(tx, [*erased.proven, *erased.taken_on_trust])
    subjects = [event.subject_id for event, _ in found if event.subject_id]
    erasures = await events.of_subjects(tx, ERASURE, subjects) if subjects else []
    hashes = recorded_hashes(erasures)
    accounted = {each.subject_id for each in erasures}
    on_trust = set(erased.taken_on_trust)
    for event, leaf in found:
        if event.subject_id not in accounted:
            raise Difference(f"Event {event.id} says that something of it was erased, and no event says so.")
        if event.id in on_trust and hashes.get(str(event.id)) != leaf_of(event, leaf.position, leaf.salt).hex():
            raise Difference(f"What is left of event {event.id} is not what its erasure recorded.")


async def _check_signer(tx: Transaction) -> None:
    """Raises ``Difference`` when the newest checkpoint, which answers for all before it, is by a revoked key."""
    newest = await store.newest_checkpoint(tx)
    if newest and checkpoint.signer_of(newest.signed) in await partners.revoked_keys(tx):
        raise Difference("The newest checkpoint is signed by a revoked key. A worker that runs signs it anew at once.")


async def _size(tx: Transaction) -> int:
    """The size of the tree. Raises ``Difference`` when there are more or fewer rows than a tree of that size has."""
    size, leaves, nodes = await store.extent(tx)
    if (leaves, nodes) != (size, tree.subtrees_of(size)):
        raise Difference(
            f"The newest checkpoint is of {size} leaves with {tree.subtrees_of(size)} complete subtrees; "
            f"{leaves} leaves and {nodes} subtrees are recorded."
        )
    return size
