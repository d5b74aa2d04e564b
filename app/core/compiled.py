"""Statements compiled once, for the driver itself: what SQLAlchemy does around a call costs several times the call."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from app.core.tenancy import acting

DIALECT = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own lacks it


class Compiled:
    """A statement as the driver takes it; ``bindparam`` stands for what differs from call to call."""

    def __init__(self, statement: Executable) -> None:
        self._statement: Any = statement
        compiled = statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined]  # every one has it
        self.sql = str(compiled)
        self._names: list[str] = list(compiled.positiontup or ())
        self._values = dict(compiled.params)

    @cached_property
    def acting(self) -> "Compiled":
        """``tenancy.acting`` of it, which must be a query."""
        return Compiled(acting(self._statement))

    def arguments(self, given: Mapping[str, Any]) -> list[Any]:
        """The values of its parameters, in order."""
        values = {**self._values, **given}
        return [values[name] for name in self._names]
