"""Every SQL statement about the Merkle tree and its checkpoints."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    LargeBinary,
    SmallInteger,
    Uuid,
    and_,
    cast,
    func,
    insert,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from app.audit import tree
from app.audit.entry import SALT_BYTES, ErasableCommitment
from app.audit.models import Checkpoint, Leaf, TreeNode
from app.audit.replay import RecordedCheckpoint, RecordedLeaf, RecordedTree
from app.audit.tree import HASH_BYTES, Node, NodeRun
from app.core.database.batches import any_of, json_rows, lateral_lookup
from app.core.database.transaction import Transaction
from app.core.errors import NotFound
from app.events.models import Event
from app.events.store import RecordedEvent

# Stands for NULL among concatenated salts and commitments; none of them is all zeros.
NO_VALUE = bytes(SALT_BYTES)
_SEQUENCING_LOCK = func.hashtext("audit-sequencer")


async def try_lock_sequencing(tx: Transaction) -> bool:
    """Take the advisory lock of the sequencer until the transaction ends; False when another transaction has it."""
    return bool(await tx.scalar(select(func.pg_try_advisory_xact_lock(_SEQUENCING_LOCK))))


async def lock_sequencing(tx: Transaction) -> None:
    """Take the advisory lock of the sequencer until the transaction ends, and wait for it."""
    await tx.execute(select(func.pg_advisory_xact_lock(_SEQUENCING_LOCK)))


async def newest_checkpoint(tx: Transaction) -> Checkpoint | None:
    """Return the newest checkpoint; None before the first."""
    found: Checkpoint | None = await tx.scalar(select(Checkpoint).order_by(Checkpoint.size.desc()).limit(1))
    return found


async def newest_signed(tx: Transaction) -> str | None:
    """Return the JWS of the newest checkpoint; None before the first."""
    newest = select(Checkpoint.signed).order_by(Checkpoint.size.desc()).limit(1)
    signed: str | None = await tx.scalar(newest)
    return signed


async def get_checkpoint(tx: Transaction, size: int | None) -> Checkpoint:
    """Return the checkpoint of a size (None: the newest). Raises ``NotFound``."""
    found = await newest_checkpoint(tx) if size is None else await tx.get(Checkpoint, size)
    if found is None:
        raise NotFound("There is no checkpoint of this size. GET /v1/audit/checkpoint returns the newest.")
    return found


async def find_leaf(tx: Transaction, event_id: UUID) -> Leaf | None:
    """Return the leaf of an event; None when it has none yet."""
    found: Leaf | None = await tx.scalar(select(Leaf).where(Leaf.event_id == event_id))
    return found


async def last_event_id(tx: Transaction, size: int) -> UUID | None:
    """Return the id of the event of the last leaf of a tree of this size."""
    found: UUID | None = await tx.scalar(select(Leaf.event_id).where(Leaf.position == size - 1))
    return found


async def node_hashes(tx: Transaction, nodes: Iterable[Node]) -> dict[Node, bytes]:
    """Return the recorded hashes of these nodes, without those that are not recorded."""
    kinds = {"level": SmallInteger, "position": BigInteger}
    wanted = json_rows("wanted", kinds, [node._asdict() for node in nodes])
    same = and_(TreeNode.level == wanted.c.level, TreeNode.position == wanted.c.position)
    recorded = lateral_lookup(select(TreeNode.hash).where(same), "recorded")
    columns = (wanted.c.level, wanted.c.position, recorded.c.hash)
    found = await tx.execute(select(*columns).select_from(wanted).join(recorded, true()))
    return {Node(level, position): hash_ for level, position, hash_ in found}


async def recorded_tree(tx: Transaction, begin: int, end: int) -> RecordedTree:
    """Return the recorded leaves from ``begin`` to before ``end``, with the nodes and checkpoints they complete."""
    leaves = select(Leaf.position, Leaf.event_id, Leaf.salt, Leaf.erasable_salt, Leaf.erasable_commitment).where(
        Leaf.position >= begin, Leaf.position < end
    )
    checkpoints = select(Checkpoint).where(Checkpoint.size > begin, Checkpoint.size <= end)
    return RecordedTree(
        end=end,
        leaves={
            position: RecordedLeaf(event_id, salt, ErasableCommitment(own_salt, commitment) if commitment else None)
            for position, event_id, salt, own_salt, commitment in await tx.execute(leaves)
        },
        hashes=await node_hashes(tx, tree.completed_nodes(begin, end)),
        checkpoints={
            each.size: RecordedCheckpoint(each.root, each.signed_at, each.signed)
            for each in await tx.scalars(checkpoints)
        },
    )


async def count_rows(tx: Transaction) -> tuple[int, int, int]:
    """Return the size of the newest checkpoint, the number of leaves and of nodes, as of one moment."""
    counts = (select(func.count()).select_from(kind).scalar_subquery() for kind in (Leaf, TreeNode))
    newest = select(func.coalesce(func.max(Checkpoint.size), 0)).scalar_subquery()
    size, leaves, nodes = (await tx.execute(select(newest, *counts))).one()
    return size, leaves, nodes


async def insert_leaves(tx: Transaction, begin: int, leaves: Sequence[RecordedLeaf], runs: Sequence[NodeRun]) -> None:
    """Insert new leaves, from the position ``begin`` on, and the nodes that they complete.

    Salts and hashes are sent concatenated and PostgreSQL splits them: the driver would take longer to encode one
    parameter each than the sequencer takes to compute them.
    """
    event_ids = literal([each.event_id for each in leaves], ARRAY(Uuid))
    leaf = func.unnest(event_ids).table_valued("event_id", with_ordinality="number", name="leaf").render_derived()
    columns = {
        "salt": [each.salt for each in leaves],
        "erasable_salt": [(each.erasable and each.erasable.salt) or NO_VALUE for each in leaves],
        "erasable_commitment": [each.erasable.commitment if each.erasable else NO_VALUE for each in leaves],
    }
    concatenated = [literal(b"".join(each), LargeBinary) for each in columns.values()]
    no_value = literal(NO_VALUE, LargeBinary)
    values = [func.nullif(_piece_of(each, leaf.c.number, SALT_BYTES), no_value) for each in concatenated]
    position = literal(begin, BigInteger) + leaf.c.number - 1
    rows = select(position, leaf.c.event_id, *values)
    await tx.execute(insert(Leaf).from_select(["position", "event_id", *columns], rows))
    await _insert_nodes(tx, runs)


async def _insert_nodes(tx: Transaction, runs: Sequence[NodeRun]) -> None:
    kinds = {"level": SmallInteger, "first": BigInteger, "count": BigInteger, "hashes": LargeBinary}
    rows = [{**each._asdict(), "count": len(each.hashes), "hashes": b"".join(each.hashes)} for each in runs]
    run = json_rows("run", kinds, rows)
    number = func.generate_series(1, run.c.count).column_valued("number", joins_implicitly=True)
    nodes = select(run.c.level, run.c.first + number - 1, _piece_of(run.c.hashes, number, HASH_BYTES))
    await tx.execute(insert(TreeNode).from_select(["level", "position", "hash"], nodes))


def _piece_of(pieces: ColumnElement[bytes], number: ColumnElement[int], length: int) -> ColumnElement[bytes]:
    """Return the piece of this number, from 1, of concatenated pieces that are ``length`` bytes each."""
    return func.substring(pieces, cast((number - 1) * length + 1, Integer), length)


async def leaves_by_event(tx: Transaction, event_ids: Collection[UUID]) -> dict[UUID, Leaf]:
    """Return the leaves of these events, by event; those without a leaf are missing."""
    statement = select(Leaf).where(any_of(Leaf.event_id, event_ids)).execution_options(populate_existing=True)
    return {each.event_id: each for each in await tx.scalars(statement)}


async def events_with_leaves(tx: Transaction, event_ids: Collection[UUID]) -> list[tuple[RecordedEvent, Leaf]]:
    """Return these events with their leaves, as of one moment."""
    if not event_ids:
        return []
    columns = [Event.__table__.c[name] for name in RecordedEvent._fields]
    statement = select(Leaf, *columns).join(Event, Event.id == Leaf.event_id).where(any_of(Leaf.event_id, event_ids))
    found = await tx.execute(statement.execution_options(populate_existing=True))
    return [(RecordedEvent._make(event), leaf) for leaf, *event in found]


async def delete_salts(tx: Transaction, event_ids: Collection[UUID]) -> None:
    """Delete the salts of the commitments to the erasable details of events."""
    deleted = update(Leaf).where(any_of(Leaf.event_id, event_ids)).values(erasable_salt=None)
    await tx.execute(deleted.execution_options(synchronize_session=False))


async def replace_salts(tx: Transaction, salts: Mapping[UUID, bytes]) -> None:
    """Replace the salts of these events' leaves."""
    rows = [{"event_id": event_id, "salt": salt} for event_id, salt in salts.items()]
    given = json_rows("given", {"event_id": Uuid, "salt": LargeBinary}, rows)
    replaced = update(Leaf).where(Leaf.event_id == given.c.event_id).values(salt=given.c.salt)
    await tx.execute(replaced.execution_options(synchronize_session=False))


async def save_checkpoint(tx: Transaction, checkpoint: Checkpoint) -> None:
    """Insert a checkpoint, or replace the signature of that of its size: another key signs now."""
    row = {name: getattr(checkpoint, name) for name in ("size", "root", "signed_at", "signed")}
    statement = upsert(Checkpoint).values(row)
    again = {name: statement.excluded[name] for name in ("signed_at", "signed")}
    await tx.execute(statement.on_conflict_do_update(index_elements=[Checkpoint.size], set_=again))
