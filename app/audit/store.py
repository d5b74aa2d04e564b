"""Every SQL statement about the tree and its checkpoints."""

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
from app.audit.entry import SALT_BYTES, Erasable
from app.audit.models import Checkpoint, Leaf, TreeNode
from app.audit.replay import Kept, KeptCheckpoint, KeptLeaf
from app.audit.tree import HASH_BYTES, Grown, Node
from app.core.database.batches import any_of, json_rows, lateral_lookup
from app.core.database.transaction import Transaction
from app.core.errors import NotFound
from app.events.models import Event
from app.events.store import RecordedEvent

# Stands for no salt and no commitment where many are side by side: none of them is all zeros.
NOTHING = bytes(SALT_BYTES)
_TURN = func.hashtext("audit-sequencer")


async def take_turn(tx: Transaction) -> bool:
    """Be the one that appends until the transaction ends; False when another is."""
    return bool(await tx.scalar(select(func.pg_try_advisory_xact_lock(_TURN))))


async def newest_checkpoint(tx: Transaction) -> Checkpoint | None:
    """The checkpoint of the whole tree, or None before the first."""
    found: Checkpoint | None = await tx.scalar(select(Checkpoint).order_by(Checkpoint.size.desc()).limit(1))
    return found


async def newest_signed(tx: Transaction) -> str | None:
    """The newest checkpoint as it was signed, or None before the first."""
    newest = select(Checkpoint.signed).order_by(Checkpoint.size.desc()).limit(1)
    signed: str | None = await tx.scalar(newest)
    return signed


async def checkpoint_of(tx: Transaction, size: int | None) -> Checkpoint:
    """The checkpoint of a size (None: the newest). Raises ``NotFound``."""
    found = await newest_checkpoint(tx) if size is None else await tx.get(Checkpoint, size)
    if found is None:
        raise NotFound("No checkpoint was signed of a tree of that size. GET /v1/audit/checkpoint has the newest.")
    return found


async def leaf_of_event(tx: Transaction, event_id: UUID) -> Leaf | None:
    """The leaf of an event, if it has one yet."""
    found: Leaf | None = await tx.scalar(select(Leaf).where(Leaf.event_id == event_id))
    return found


async def last_event(tx: Transaction, size: int) -> UUID | None:
    """The event of the last leaf of a tree of that size."""
    found: UUID | None = await tx.scalar(select(Leaf.event_id).where(Leaf.position == size - 1))
    return found


async def hashes(tx: Transaction, nodes: Iterable[Node]) -> dict[Node, bytes]:
    """The recorded hashes of complete subtrees."""
    kinds = {"level": SmallInteger, "position": BigInteger}
    wanted = json_rows("wanted", kinds, [node._asdict() for node in nodes])
    same = and_(TreeNode.level == wanted.c.level, TreeNode.position == wanted.c.position)
    kept = lateral_lookup(select(TreeNode.hash).where(same), "kept")
    columns = (wanted.c.level, wanted.c.position, kept.c.hash)
    found = await tx.execute(select(*columns).select_from(wanted).join(kept, true()))
    return {Node(level, position): hash_ for level, position, hash_ in found}


async def kept(tx: Transaction, begin: int, end: int) -> Kept:
    """What was kept of the leaves from ``begin`` to before ``end``."""
    leaves = select(Leaf.position, Leaf.event_id, Leaf.salt, Leaf.erasable_salt, Leaf.erasable_commitment).where(
        Leaf.position >= begin, Leaf.position < end
    )
    checkpoints = select(Checkpoint).where(Checkpoint.size > begin, Checkpoint.size <= end)
    return Kept(
        end=end,
        leaves={
            position: KeptLeaf(event_id, salt, Erasable(own_salt, commitment) if commitment else None)
            for position, event_id, salt, own_salt, commitment in await tx.execute(leaves)
        },
        hashes=await hashes(tx, tree.completed_between(begin, end)),
        checkpoints={
            each.size: KeptCheckpoint(each.root, each.signed_at, each.signed) for each in await tx.scalars(checkpoints)
        },
    )


async def extent(tx: Transaction) -> tuple[int, int, int]:
    """The size of the newest checkpoint, and how many leaves and subtrees there are, all at one moment."""
    counts = (select(func.count()).select_from(kind).scalar_subquery() for kind in (Leaf, TreeNode))
    newest = select(func.coalesce(func.max(Checkpoint.size), 0)).scalar_subquery()
    size, leaves, nodes = (await tx.execute(select(newest, *counts))).one()
    return size, leaves, nodes


async def append(tx: Transaction, begin: int, leaves: Sequence[KeptLeaf], grown: Sequence[Grown]) -> None:
    """Record new leaves, from the position ``begin`` on, and the subtrees that they complete.

    Salts and hashes go side by side in one value, which PostgreSQL cuts up: a value each costs the driver more than
    making them costs the sequencer.
    """
    event_ids = literal([each.event_id for each in leaves], ARRAY(Uuid))
    leaf = func.unnest(event_ids).table_valued("event_id", with_ordinality="number", name="leaf").render_derived()
    columns = {
        "salt": [each.salt for each in leaves],
        "erasable_salt": [(each.erasable and each.erasable.salt) or NOTHING for each in leaves],
        "erasable_commitment": [each.erasable.commitment if each.erasable else NOTHING for each in leaves],
    }
    pieces = [literal(b"".join(each), LargeBinary) for each in columns.values()]
    cut = [func.nullif(_cut_out(each, leaf.c.number, SALT_BYTES), literal(NOTHING, LargeBinary)) for each in pieces]
    position = literal(begin, BigInteger) + leaf.c.number - 1
    made = select(position, leaf.c.event_id, *cut)
    await tx.execute(insert(Leaf).from_select(["position", "event_id", *columns], made))

    kinds = {"level": SmallInteger, "first": BigInteger, "count": BigInteger, "hashes": LargeBinary}
    rows = [{**each._asdict(), "count": len(each.hashes), "hashes": b"".join(each.hashes)} for each in grown]
    row = json_rows("grown", kinds, rows)
    number = func.generate_series(1, row.c.count).column_valued("number", joins_implicitly=True)
    hash_ = _cut_out(row.c.hashes, number, HASH_BYTES)
    nodes = select(row.c.level, row.c.first + number - 1, hash_)
    await tx.execute(insert(TreeNode).from_select(["level", "position", "hash"], nodes))


def _cut_out(pieces: ColumnElement[bytes], number: ColumnElement[int], length: int) -> ColumnElement[bytes]:
    """The piece of this number (from 1) of pieces that are all ``length`` bytes long."""
    return func.substring(pieces, cast((number - 1) * length + 1, Integer), length)


async def wait_for_turn(tx: Transaction) -> None:
    """Be the one that appends, or changes what leaves were made of, until the transaction ends."""
    await tx.execute(select(func.pg_advisory_xact_lock(_TURN)))


async def leaves_of_events(tx: Transaction, event_ids: Collection[UUID]) -> dict[UUID, Leaf]:
    """The leaves of those of these events that have one, by event."""
    statement = select(Leaf).where(any_of(Leaf.event_id, event_ids)).execution_options(populate_existing=True)
    return {each.event_id: each for each in await tx.scalars(statement)}


async def with_leaves(tx: Transaction, event_ids: Collection[UUID]) -> list[tuple[RecordedEvent, Leaf]]:
    """These events and their leaves, as they were at one moment."""
    if not event_ids:
        return []
    columns = [Event.__table__.c[name] for name in RecordedEvent._fields]
    statement = select(Leaf, *columns).join(Event, Event.id == Leaf.event_id).where(any_of(Leaf.event_id, event_ids))
    found = await tx.execute(statement.execution_options(populate_existing=True))
    return [(RecordedEvent._make(event), leaf) for leaf, *event in found]


async def delete_salts(tx: Transaction, event_ids: Collection[UUID]) -> None:
    """Delete the salts of the commitments to what was erased of events."""
    deleted = update(Leaf).where(any_of(Leaf.event_id, event_ids)).values(erasable_salt=None)
    await tx.execute(deleted.execution_options(synchronize_session=False))


async def replace_salts(tx: Transaction, salts: Mapping[UUID, bytes]) -> None:
    """Write other salts in place of those of these events' leaves."""
    rows = [{"event_id": event_id, "salt": salt} for event_id, salt in salts.items()]
    given = json_rows("given", {"event_id": Uuid, "salt": LargeBinary}, rows)
    replaced = update(Leaf).where(Leaf.event_id == given.c.event_id).values(salt=given.c.salt)
    await tx.execute(replaced.execution_options(synchronize_session=False))


async def save(tx: Transaction, checkpoint: Checkpoint) -> None:
    """Record a checkpoint; one of the same size gives way, since another key signs now."""
    row = {name: getattr(checkpoint, name) for name in ("size", "root", "signed_at", "signed")}
    statement = upsert(Checkpoint).values(row)
    again = {name: statement.excluded[name] for name in ("signed_at", "signed")}
    await tx.execute(statement.on_conflict_do_update(index_elements=[Checkpoint.size], set_=again))
