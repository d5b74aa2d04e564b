"""Rows as the JSON of their resource, written by PostgreSQL: nothing is decoded only to be encoded again."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Integer, Select, Text, bindparam, cast, func, literal_column, null, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import DeclarativeBase

from app.core.database.base import INSTANT
from app.core.database.pagination import PageQuery, decode_cursor, encode_cursor
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction

# As ``schemas.Timestamp`` writes it (RFC 3339).
RFC_3339: ColumnElement[str] = literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'""")
UTC: ColumnElement[str] = literal_column("'UTC'")


def fields_of(
    resource: type[BaseModel],
    entity: type[DeclarativeBase],
    hidden: Collection[str] = (),
    instead: Mapping[str, ColumnElement[Any]] | None = None,
) -> Select[tuple[Any, ...]]:
    """The fields of ``resource`` from the columns of ``entity`` that are called the same, or from those given instead.

    Those ``hidden`` are null.
    """
    given = {**{name: getattr(entity, name) for name in resource.model_fields}, **(instead or {})}
    return select(
        *((cast(null(), Text) if name in hidden else _written(each)).label(name) for name, each in given.items())
    )


def _written(column: Any) -> ColumnElement[Any]:
    is_instant = isinstance(column.type, type(INSTANT))
    return func.to_char(func.timezone(UTC, column), RFC_3339) if is_instant else column


def documents(fields: Select[tuple[Any, ...]]) -> Select[tuple[Any, int, str]]:
    """``(id, version, JSON)`` of each row of ``fields``, in its order."""
    row = fields.subquery("document")
    return select(row.c.id, row.c.version, cast(func.row_to_json(row.table_valued()), Text).label("document"))


def page_of(fields: Select[tuple[Any, ...]], key: Any, *, begins: bool) -> Statement:
    """A page of ``fields`` by its ``key``, which is ``id``: the first when it ``begins``, else one after another.

    For ``fetch_page_of``, which knows its parameters.
    """
    rows = fields if begins else fields.where(key > bindparam("after"))
    most: ColumnElement[int] = bindparam("most", type_=Integer)
    page = documents(rows.order_by(key).limit(most + 1)).subquery("page")
    items, ids = (func.array_agg(aggregate_order_by(each, page.c.id)) for each in (page.c.document, page.c.id))
    return Statement(select(items, ids[most]))


async def fetch_page_of(
    tx: Transaction, page: Statement, query: PageQuery, *, list_name: str
) -> tuple[Sequence[str], str | None]:
    """The JSON of each row of a page, and the cursor of the next or None; filters are parameters of their names."""
    given: dict[str, Any] = {**query.filters(), "most": query.limit}
    if query.cursor is not None:
        given["after"] = UUID(decode_cursor(tx.keyring, list_name, query.cursor))
    ((found, last),) = await tx.fetch(page, **given)
    items = found or []  # of no rows, an aggregate is null
    if len(items) <= query.limit:
        return items, None
    return items[: query.limit], encode_cursor(tx.keyring, list_name, last)
