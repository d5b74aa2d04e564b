"""Proofs as they are served, from the recorded hashes: a few dozen rows, however long the log."""

from collections.abc import Sequence

from app.audit import store, tree
from app.audit.entry import disclosures, entry_of, is_erased
from app.audit.errors import NotInTree
from app.audit.schemas import Checkpoint, Consistency, ConsistencyQuery, Inclusion, InclusionQuery
from app.audit.tree import Node, Stretch
from app.core.database.transaction import Transaction
from app.core.errors import Invalid, InvalidValue
from app.core.principal import Principal
from app.events import store as events


async def inclusion(tx: Transaction, principal: Principal, query: InclusionQuery) -> Inclusion:
    """The proof of an event that is the caller's business. Raises ``NotFound``, ``NotInTree``."""
    # in this order: what is erased between the two has its commitment still
    leaf = await store.leaf_of_event(tx, query.event_id)
    event = await events.get(tx, principal, query.event_id)
    if leaf is None:
        raise NotInTree("The event is recorded and waits for its leaf.")
    checkpoint = await store.checkpoint_of(tx, query.size)
    if checkpoint.size <= leaf.position:
        raise NotInTree(f"The event is at position {leaf.position}, beyond a tree of {checkpoint.size} leaves.")
    entry = entry_of(event, leaf.position, leaf.salt, leaf.erasable)
    leaf_hash = tree.leaf_hash(entry)
    is_whole = True
    if is_erased(event) and leaf.erasable is None:  # it may have been made of the value that was erased
        node = Node(0, leaf.position)
        made = leaf_hash
        leaf_hash = (await store.hashes(tx, [node]))[node]
        is_whole = leaf_hash == made
    shown = {*events.restricted_fields(principal, event), "erasable"} if is_whole else set()
    return Inclusion(
        event_id=event.id,
        position=leaf.position,
        leaf_hash=leaf_hash.hex(),
        entry=entry.decode() if is_whole else None,
        disclosed={name: each for name, each in disclosures(event, leaf.salt, leaf.erasable).items() if name in shown},
        path=await _proof(tx, tree.inclusion_path(leaf.position, checkpoint.size)),
        checkpoint=Checkpoint.model_validate(checkpoint),
    )


async def consistency(tx: Transaction, query: ConsistencyQuery) -> Consistency:
    """The proof that one tree begins with another. Raises ``NotFound``, and ``Invalid`` when it is the smaller."""
    second = await store.checkpoint_of(tx, query.second)
    if query.first > second.size:
        wrong = f"The second tree has only {second.size} leaves."
        raise Invalid.of([InvalidValue.at("/query/first", wrong)])
    first = await store.checkpoint_of(tx, query.first)
    return Consistency(
        first=Checkpoint.model_validate(first),
        second=Checkpoint.model_validate(second),
        path=await _proof(tx, tree.consistency_path(first.size, second.size)),
    )


async def _proof(tx: Transaction, path: Sequence[Stretch]) -> list[str]:
    hashes = await store.hashes(tx, tree.nodes_for(path))
    return [each.hex() for each in tree.proof(path, hashes)]
