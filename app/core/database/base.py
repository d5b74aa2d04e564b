"""The declarative base, how constraints are named, and a batch of rows as a table of one statement."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

import orjson
from sqlalchemy import (
    BigInteger,
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
    bindparam,
    cast,
    column,
    func,
    literal,
    literal_column,
    select,
    text,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Mapped, MappedColumn, mapped_column
from sqlalchemy.sql.selectable import LateralFromClause
from sqlalchemy.types import TypeEngine, UserDefinedType
from uuid_utils.compat import uuid7

INSTANT = TIMESTAMP(timezone=True)
# Parameters of a statement that inserts from a select are its own, and not rows to insert.
AS_IT_IS = {"dml_strategy": "raw"}
# A statement whose rows one domain names and another takes, so that they need not leave the database between.
Rows = Select[*tuple[Any, ...]]
# A UUIDv7 (RFC 9562, 5.7) made by the database: milliseconds, then what gen_random_uuid() gives, marked as version 7.
TIME_ORDERED_UUID: ColumnElement[UUID] = literal_column(
    "encode(overlay(set_bit(set_bit(uuid_send(gen_random_uuid()), 52, 1), 53, 1) placing substring("
    "int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 'hex')::uuid",
    Uuid(),
)


# What begins a value in a column's text, and what stands for none: no text that is kept holds such characters.
_BEGIN, _NULL = "\x1f", "\x1e"
LARGEST_INTEGER = 2**31 - 1
_SQL_BEGIN, _SQL_NULL = literal_column("E'\\x1f'", Text), literal_column("E'\\x1e'", Text)


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


Columns = Mapping[str, TypeEngine[Any] | type[TypeEngine[Any]]]


def recordset(name: str, columns: Columns, rows: Sequence[Mapping[str, Any]]) -> TableValuedAlias:
    """``rows`` as a table of one statement, whatever their number: one JSON parameter, typed by ``columns``.

    A key that a row lacks is NULL. Values are what JSON can say, or bytes; PostgreSQL reads them as the column's type.
    """
    return _typed(name, columns, literal(rows_text(rows), Text))


def records(name: str, columns: Columns) -> TableValuedAlias:
    """``recordset`` for a statement that is made once: the rows are the parameter ``name``, a ``rows_text``."""
    return _typed(name, columns, bindparam(name, type_=Text))


def rows_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as the one text that ``records`` takes apart."""
    return orjson.dumps(rows, default=_text_of).decode()


def _typed(name: str, columns: Columns, document: ColumnElement[str]) -> TableValuedAlias:
    return (
        func.json_to_recordset(cast(document, JSON))
        .table_valued(*(column(key, kind) for key, kind in columns.items()), name=name)
        .render_derived(name=name, with_types=True)
    )


def _text_of(value: Any) -> str:
    if isinstance(value, UUID):  # a driver's own kind of one
        return str(value)
    if isinstance(value, bytes):  # as PostgreSQL writes bytea
        return f"\\x{value.hex()}"
    raise TypeError(f"{type(value).__name__} is nothing that JSON can say")


def column_text(values: Iterable[str | None]) -> str:
    """A column of many rows as the one text that ``columnar`` takes apart; no value holds U+001E or U+001F."""
    listed = [_NULL if value is None else value for value in values]
    text_ = _BEGIN.join(["", *listed])
    if text_.count(_BEGIN) != len(listed):
        raise ValueError("a value holds U+001F")
    return text_


def cells_of(text_: str) -> list[Any]:
    """The values, texts or None, that a ``column_text`` was made of."""
    return [None if value == _NULL else value for value in text_.split(_BEGIN)[1:]]


def cells_at(text_: str, places: Iterable[int]) -> list[Any]:
    """Those of ``cells_of`` at some ``places``, 0 for the first."""
    values = text_.split(_BEGIN)
    return [None if values[place + 1] == _NULL else values[place + 1] for place in places]


def columnar(columns: Columns, prefix: str = "") -> Rows:
    """A statement of rows that come as a ``column_text`` a column, with their ``place``: 0 for the first.

    The texts are parameters of the columns' names after ``prefix``, so that it is made once. PostgreSQL takes a row
    apart at a third of what ``recordset`` costs it, and Python has nothing to do for it.
    """
    given = (
        func.unnest(*(_array_of(bindparam(f"{prefix}{key}", type_=Text)) for key in columns))
        .table_valued(*(column(key, Text) for key in columns), with_ordinality="place", name=f"{prefix}texts")
        .render_derived()
    )
    typed = (cast(given.c[key], kind).label(key) for key, kind in columns.items())
    return select(*typed, type_coerce(given.c.place - 1, BigInteger).label("place"))


def _array_of(joined: ColumnElement[str]) -> ColumnElement[Any]:
    split = func.string_to_array(joined, _SQL_BEGIN, _SQL_NULL, type_=ARRAY(Text))
    return split[2:LARGEST_INTEGER]  # the first is what stands before all values


def is_among(column_: ColumnElement[Any] | InstrumentedAttribute[Any], name: str) -> ColumnElement[bool]:
    """``among`` for a statement that is made once: the values are the parameter ``name``, a list."""
    return column_ == any_(bindparam(name, type_=ARRAY(column_.type)))


def among(column_: ColumnElement[Any] | InstrumentedAttribute[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """Whether a column is one of ``values``, whatever their number: one array parameter."""
    return column_ == any_(literal(list(values), ARRAY(column_.type)))


def looked_up(statement: Select[*tuple[Any, ...]], name: str) -> LateralFromClause:
    """A statement as a look-up of its own for each row of what it is joined to.

    ``OFFSET 0`` keeps the planner from merging the two: on tables that have just grown and were not analysed
    yet, it would compare every network with every other instead of asking the index for each.
    """
    return statement.offset(0).lateral(name)
