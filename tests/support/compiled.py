"""SQL that is compiled once per process of tests, although each test has an engine of its own."""

from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.util import LRUCache

MAX_STATEMENTS = 5_000


def share_statement_cache() -> None:
    """Let all engines of this process have one cache of compiled statements in place of one each.

    SQLAlchemy keeps compiled statements by dialect, and every engine has an object of its own for that. They compile
    alike, since ``Database`` makes all engines with the same options and a run has one server.
    """
    compiled = LRUCache[object, object](MAX_STATEMENTS)
    PGDialect_asyncpg.__eq__ = lambda self, other: type(self) is type(other)  # type: ignore[method-assign]  # the cache's key
    PGDialect_asyncpg.__hash__ = lambda self: hash(type(self))  # type: ignore[method-assign]  # the cache's key

    @event.listens_for(Engine, "engine_connect")
    def use(connection: Connection) -> None:
        connection.execution_options(compiled_cache=compiled)
