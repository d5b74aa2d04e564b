"""SQLAlchemy statements compiled once for the driver."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql.asyncpg import dialect

DIALECT = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy does not annotate it


class Statement:
    """A compiled statement for ``Transaction.fetch``; each ``bindparam`` is one of its parameters.

    Frequent statements are module constants: compiling one costs ten times as much as running it.
    """

    def __init__(self, statement: Executable) -> None:
        compiled = statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined]  # every one has it
        self.sql = str(compiled)
        self._names: list[str] = list(compiled.positiontup or ())
        self._defaults = dict(compiled.params)

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the positional arguments for named ``values``. Raises ``KeyError`` for a parameter without a value."""
        given = {**self._defaults, **values}
        return [given[name] for name in self._names]
