"""Data keys: stored in the database, wrapped by SECRET_KEY, and rotated while all processes run."""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, LargeBinary, Table, and_, func, literal, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.base import Base
from app.core.database.batches import json_rows
from app.core.database.transaction import Transaction
from app.core.keyring import FIRST_KEY_ID, ID_BYTES, KEY_BYTES, Keyring, SealBroken, WrappedKey

# A new key seals only after this time, in which every process has read the keys again.
NEW_KEY_DELAY = timedelta(seconds=10)
RETIRE_DELAY = timedelta(minutes=1)
RESEAL_BATCH = 500
SealedColumn = Column[Any]


class DataKey(Base):
    """A key that seals columns, or that keys the hashes of one purpose; nothing stored is sealed with a retired one."""

    __tablename__ = "data_keys"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    purpose: Mapped[str]
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    retired_at: Mapped[datetime | None]


async def load(connection: AsyncConnection, keyring: Keyring) -> None:
    """Load the data keys into the keyring; none from a database that was not migrated, or of another SECRET_KEY.

    A key of the last ten seconds does not seal yet, since other processes could not unseal; the first keys do.
    """
    if await connection.scalar(select(func.to_regclass("data_keys"))) is None:
        return
    first = select(func.min(DataKey.created_at)).scalar_subquery()
    is_known = or_(DataKey.created_at <= func.now() - NEW_KEY_DELAY, DataKey.created_at == first)
    seals = and_(DataKey.purpose == "seal", is_known)
    keys = await connection.execute(select(DataKey.id, DataKey.purpose, DataKey.wrapped, seals))
    try:
        keyring.load(WrappedKey(*each) for each in keys)
    except SealBroken:
        keyring.load(())


async def add_first(tx: Transaction, keyring: Keyring) -> None:
    """Create the first data keys, unless there are any; safe to call from several processes.

    The keys once derived from SECRET_KEY come first, so that values sealed and hashed with them stay readable.
    """
    await tx.execute(text("LOCK TABLE data_keys IN SHARE ROW EXCLUSIVE MODE"))
    if await tx.scalar(select(DataKey.id).limit(1)) is not None:
        return
    first = keyring.first_keys()
    tx.add(DataKey(id=FIRST_KEY_ID, purpose="seal", wrapped=keyring.wrap(first.pop("seal"))))
    for id_, (purpose, key) in enumerate(first.items(), start=FIRST_KEY_ID + 1):
        tx.add(DataKey(id=id_, purpose=purpose, wrapped=keyring.wrap(key)))
    await tx.flush()
    await rotate(tx, keyring)


async def rotate(tx: Transaction, keyring: Keyring) -> int:
    """Create a new sealing key and return its id; workers reseal older values in small transactions."""
    await tx.execute(text("LOCK TABLE data_keys IN SHARE ROW EXCLUSIVE MODE"))
    newest = await tx.scalar(select(func.max(DataKey.id)))
    key = DataKey(id=(newest or FIRST_KEY_ID) + 1, purpose="seal", wrapped=keyring.wrap(os.urandom(KEY_BYTES)))
    tx.add(key)
    await tx.flush()
    return key.id


async def rewrap(tx: Transaction, keyring: Keyring) -> None:
    """Wrap every key by SECRET_KEY that this or the previous secret unwraps. Raises ``SealBroken``."""
    for key in await tx.scalars(select(DataKey).with_for_update()):
        key.wrapped = keyring.wrap(keyring.unwrap(key.wrapped))
    await tx.flush()


def sealed_columns() -> list[SealedColumn]:
    """Return every column declared by ``base.sealed_column``."""
    return [column for table in Base.metadata.sorted_tables for column in table.columns if column.info.get("sealed")]


async def reseal(tx: Transaction, keyring: Keyring, column: SealedColumn) -> int:
    """Reseal up to 500 values of a column with the newest key; return the number found."""
    table, key = column.table, list(column.table.primary_key)
    assert isinstance(table, Table)
    assert keyring.sealing_id is not None
    name = f"{table.name}.{column.name}"
    newest = literal(keyring.sealing_id.to_bytes(ID_BYTES, "big"), LargeBinary)
    older = func.substring(column, 1, ID_BYTES) != newest
    found = await tx.execute(select(*key, column).where(older).limit(RESEAL_BATCH).with_for_update(skip_locked=True))
    rows = [
        {each.name: value for each, value in zip(key, row, strict=False)}
        | {column.name: keyring.seal(name, keyring.unseal(name, row[-1]))}
        for row in found
    ]
    if rows:
        batch = json_rows("resealed", {each.name: each.type for each in (*key, column)}, rows)
        same = [each == batch.c[each.name] for each in key]
        await tx.execute(update(table).where(*same).values({column.name: batch.c[column.name]}))
    return len(rows)


async def retire_unused(tx: Transaction, keyring: Keyring) -> Sequence[int]:
    """Retire the sealing keys before the newest once their values are resealed; return their ids.

    It waits a minute after the newest was created: a transaction may still seal with an older one.
    """
    newest = select(DataKey.created_at).where(DataKey.id == keyring.sealing_id).scalar_subquery()
    is_settled = newest <= func.now() - RETIRE_DELAY
    retired = update(DataKey).where(_older_in_use(keyring), is_settled).values(retired_at=func.now())
    return (await tx.scalars(retired.returning(DataKey.id))).all()


async def is_rotating(tx: Transaction, keyring: Keyring) -> bool:
    """True while values may be sealed with an older key."""
    return await tx.scalar(select(DataKey.id).where(_older_in_use(keyring)).limit(1)) is not None


def _older_in_use(keyring: Keyring) -> ColumnElement[bool]:
    return and_(DataKey.purpose == "seal", DataKey.id < keyring.sealing_id, DataKey.retired_at.is_(None))
