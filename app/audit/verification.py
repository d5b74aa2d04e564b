"""What ``audit verify`` does: the whole log again, against the tree, its checkpoints, and a copy kept elsewhere."""

import asyncio

from app.audit import checkpoint, store, tree
from app.audit.errors import Difference
from app.audit.replay import replay
from app.audit.schemas import Checkpoint
from app.audit.tree import Frontier
from app.core.db import ReadSession
from app.events import store as events
from app.partners import store as partners

BATCH = 5_000


async def verify(session: ReadSession, copy: Checkpoint | None = None, batch: int = BATCH) -> Frontier:
    """Make every leaf again from its event, in the order of the log, ``batch`` in memory at a time.

    Gives the tree. Raises ``Difference`` at the first place where log, leaves, subtrees, checkpoints or ``copy``, an
    earlier checkpoint that was kept elsewhere, do not say the same.
    """
    keys = await partners.every_public_key(session)
    size = await _size(session)
    if copy:
        checkpoint.check(copy.signed, copy.size, bytes.fromhex(copy.root), copy.signed_at, keys)
        if copy.size > size:
            raise Difference(f"The copy is of {copy.size} leaves, and the tree has only {size}.")
    frontier, last = Frontier(), None
    while frontier.size < size:
        until = copy.size if copy and frontier.size < copy.size else size
        end = min(frontier.size + batch, until)
        found = await events.settled(session, after=last, limit=end - frontier.size)
        kept = await store.kept(session, frontier.size, end)
        await asyncio.to_thread(replay, frontier, found, kept, keys)
        if copy and frontier.size == copy.size and frontier.root().hex() != copy.root:
            raise Difference(f"The first {copy.size} events of the log are not those that the copy was signed of.")
        last = found[-1].id
    await _check_signer(session)
    return frontier


async def _check_signer(session: ReadSession) -> None:
    """Raises ``Difference`` when the newest checkpoint, which answers for all before it, is by a revoked key."""
    newest = await store.newest_checkpoint(session)
    if newest and checkpoint.signer_of(newest.signed) in await partners.revoked_keys(session):
        raise Difference("The newest checkpoint is signed by a revoked key. A worker that runs signs it anew at once.")


async def _size(session: ReadSession) -> int:
    """The size of the tree. Raises ``Difference`` when there are more or fewer rows than a tree of that size has."""
    size, leaves, nodes = await store.extent(session)
    if (leaves, nodes) != (size, tree.subtrees_of(size)):
        raise Difference(
            f"The newest checkpoint is of {size} leaves with {tree.subtrees_of(size)} complete subtrees; "
            f"{leaves} leaves and {nodes} subtrees are recorded."
        )
    return size
