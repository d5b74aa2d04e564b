"""A record of the SQL that a block sends, by SQLAlchemy and by the driver itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import event

from app.core.database.engine import Database


@asynccontextmanager
async def record_statements(database: Database) -> AsyncIterator[list[str]]:
    """Yield the list of statements that ``database`` sends during the block."""
    await database.read_keys()  # which it does every five seconds, and now not meanwhile
    sent: list[str] = []
    heard: list[asyncpg.Connection] = []
    engine = database.engine.sync_engine

    def by_engine(_connection: Any, _cursor: Any, statement: str, _given: Any, _context: Any, many: bool) -> None:
        assert not many
        sent.append(statement)

    def by_driver(record: Any) -> None:
        if record.query.startswith(("SELECT", "WITH", "INSERT")) and "typeinfo" not in record.query:
            sent.append(record.query)

    def listen(connection: Any, *_: object) -> None:
        connection.driver_connection.add_query_logger(by_driver)
        heard.append(connection.driver_connection)

    event.listen(engine, "checkout", listen)
    event.listen(engine, "before_cursor_execute", by_engine)
    yield sent
    await asyncio.sleep(0)  # the driver tells the loop, not the one who asks
    event.remove(engine, "checkout", listen)
    event.remove(engine, "before_cursor_execute", by_engine)
    for connection in heard:
        connection.remove_query_logger(by_driver)
