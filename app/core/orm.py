"""The declarative base, how constraints are named, and a batch of rows as a table of one statement."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    TableValuedAlias,
    Text,
    Uuid,
    any_,
    cast,
    column,
    func,
    literal,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Mapped, MappedColumn, mapped_column
from sqlalchemy.sql.selectable import LateralFromClause
from sqlalchemy.types import TypeEngine, UserDefinedType
from uuid_utils.compat import uuid7

INSTANT = TIMESTAMP(timezone=True)


class Base(DeclarativeBase):
    """Every table's base; constraint names are predictable because stores map them to errors."""

    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "ck": "%(table_name)s_%(constraint_name)s_check",
        }
    )
    type_annotation_map: ClassVar = {str: Text(), datetime: INSTANT, UUID: Uuid()}


class Identified:
    """A UUIDv7 primary key (RFC 9562): it sorts by the time of its making."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7, sort_order=-10)


class Versioned:
    """A version that each change raises by one, and the times of making and last change."""

    version: Mapped[int] = mapped_column(Integer, default=1, server_default=text("1"), sort_order=90)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=91)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=92)


class XID8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The type's name in SQL."""
        return "xid8"


def sealed_column() -> MappedColumn[Any]:
    """A column whose values the keyring sealed, under the name ``table.column``."""
    return mapped_column(LargeBinary, info={"sealed": True})


def one_of(name: str, values: type[StrEnum]) -> CheckConstraint:
    """A constraint that holds the column ``name`` to the values of an enum."""
    listed = ", ".join(f"'{value.value}'" for value in values)
    return CheckConstraint(f"{name} IN ({listed})", name=name)


def recordset(
    name: str, columns: Mapping[str, TypeEngine[Any] | type[TypeEngine[Any]]], rows: Sequence[Mapping[str, Any]]
) -> TableValuedAlias:
    """``rows`` as a table of one statement, whatever their number: one JSON parameter, typed by ``columns``.

    A key that a row lacks is NULL. Values are what JSON can say, or bytes; PostgreSQL reads them as the column's type.
    """
    binary = [key for key, kind in columns.items() if kind is LargeBinary or isinstance(kind, LargeBinary)]
    if binary:
        rows = [{**row, **{key: f"\\x{row[key].hex()}" for key in binary if row.get(key) is not None}} for row in rows]
    document = cast(literal(to_json(rows).decode(), Text), JSON)
    return (
        func.json_to_recordset(document)
        .table_valued(*(column(key, kind) for key, kind in columns.items()), name=name)
        .render_derived(name=name, with_types=True)
    )


def among(column_: ColumnElement[Any] | InstrumentedAttribute[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """Whether a column is one of ``values``, whatever their number: one array parameter."""
    return column_ == any_(literal(list(values), ARRAY(column_.type)))


def looked_up(statement: Select[*tuple[Any, ...]], name: str) -> LateralFromClause:
    """A statement as a look-up of its own for each row of what it is joined to.

    ``OFFSET 0`` keeps the planner from merging the two: on tables that have just grown and were not analysed
    yet, it would compare every network with every other instead of asking the index for each.
    """
    return statement.offset(0).lateral(name)
