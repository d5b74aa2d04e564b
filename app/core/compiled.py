"""Statements compiled once, for the driver itself: what SQLAlchemy does around a call costs several times the call."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from sqlalchemy import Executable, Text, bindparam, cast, func, literal, null, select, union_all
from sqlalchemy.dialects.postgresql.asyncpg import dialect

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
    def turning(self) -> "Compiled":
        """The same, a query, at whose end the transaction takes the role of the parameter ``turning_to``.

        Whose rows it meets itself is settled before it begins.
        """
        turned = func.set_config("role", bindparam("turning_to", type_=Text), literal(True))
        nothing = (cast(null(), each.type) for each in self._statement.selected_columns)
        return Compiled(union_all(self._statement, select(*nothing).where(turned.is_(None))))

    def arguments(self, given: Mapping[str, Any]) -> list[Any]:
        """The values of its parameters, in order."""
        values = {**self._values, **given}
        return [values[name] for name in self._names]
