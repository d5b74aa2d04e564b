"""Inclusion and consistency proofs from the recorded node hashes: O(log n) rows, however long the log."""

from collections.abc import Sequence

from app.audit import store, tree
from app.audit.entry import disclosures, encode_entry, is_erased
from app.audit.errors import NotInTree
from app.audit.schemas import Checkpoint, Consistency, ConsistencyQuery, Inclusion, InclusionQuery
from app.audit.tree import LeafRange, Node
from app.core.database.transaction import Transaction
from app.core.errors import Invalid, InvalidValue
from app.core.principal import Principal
from app.events import store as events


async def prove_inclusion(tx: Transaction, principal: Principal, query: InclusionQuery) -> Inclusion:
    """Return the inclusion proof of an event that the caller may read. Raises ``NotFound``, ``NotInTree``."""
    # the leaf first: an event erased in between still matches the commitment of the older leaf
    leaf = await store.find_leaf(tx, query.event_id)
    event = await events.get(tx, principal, query.event_id)
    if leaf is None:
        raise NotInTree("The event is recorded and has no leaf yet.")
    checkpoint = await store.get_checkpoint(tx, query.size)
    if checkpoint.size <= leaf.position:
        raise NotInTree(f"The event is at position {leaf.position}, beyond a tree of {checkpoint.size} leaves.")
    entry = encode_entry(event, leaf.position, leaf.salt, leaf.erasable)
    leaf_hash = tree.leaf_hash(entry)
    is_entry_known = True
    if is_erased(event) and leaf.erasable is None:  # the leaf may be the hash of the erased details
        node = Node(0, leaf.position)
        computed = leaf_hash
        leaf_hash = (await store.node_hashes(tx, [node]))[node]
        is_entry_known = leaf_hash == computed
    readable = {*events.restricted_fields(principal, event), "erasable"} if is_entry_known else set()
    opened = disclosures(event, leaf.salt, leaf.erasable)
    return Inclusion(
        event_id=event.id,
        position=leaf.position,
        leaf_hash=leaf_hash.hex(),
        entry=entry.decode() if is_entry_known else None,
        disclosed={name: each for name, each in opened.items() if name in readable},
        path=await _proof(tx, tree.inclusion_path(leaf.position, checkpoint.size)),
        checkpoint=Checkpoint.model_validate(checkpoint),
    )


async def prove_consistency(tx: Transaction, query: ConsistencyQuery) -> Consistency:
    """Return the consistency proof of two sizes. Raises ``NotFound``, and ``Invalid`` when the second is smaller."""
    second = await store.get_checkpoint(tx, query.second)
    if query.first > second.size:
        wrong = f"The second tree has only {second.size} leaves."
        raise Invalid.of([InvalidValue.at("/query/first", wrong)])
    first = await store.get_checkpoint(tx, query.first)
    return Consistency(
        first=Checkpoint.model_validate(first),
        second=Checkpoint.model_validate(second),
        path=await _proof(tx, tree.consistency_path(first.size, second.size)),
    )


async def _proof(tx: Transaction, path: Sequence[LeafRange]) -> list[str]:
    hashes = await store.node_hashes(tx, tree.nodes_of(path))
    return [each.hex() for each in tree.proof_hashes(path, hashes)]
