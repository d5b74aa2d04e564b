"""SQLAlchemy statements compiled once, as the driver takes them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql.asyncpg import dialect

DIALECT = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own lacks it


class Statement:
    """A statement compiled once, for ``Transaction.fetch``; ``bindparam`` names what differs from call to call.

    A module that asks a statement often makes it a constant: compiling it costs ten times what asking it does.
    """

    def __init__(self, statement: Executable) -> None:
        compiled = statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined]  # every one has it
        self.sql = str(compiled)
        self._names: list[str] = list(compiled.positiontup or ())
        self._defaults = dict(compiled.params)

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """The values of the statement's parameters in their order. Raises ``KeyError`` for one without a value."""
        given = {**self._defaults, **values}
        return [given[name] for name in self._names]
