"""Rows as the JSON of their resource, written by PostgreSQL: nothing is decoded only to be encoded again."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Integer, Select, Text, bindparam, cast, func, literal_column, null, select
from sqlalchemy.orm import DeclarativeBase

from app.core.db import Database
from app.core.orm import INSTANT
from app.core.pagination import PageQuery, decode_cursor, encode_cursor
from app.core.principal import Principal
from app.core.single_reads import SingleRead

# As ``schemas.Timestamp`` writes it (RFC 3339).
RFC_3339: ColumnElement[str] = literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'""")
UTC: ColumnElement[str] = literal_column("'UTC'")


def fields_of(
    resource: type[BaseModel], entity: type[DeclarativeBase], hidden: Collection[str] = ()
) -> Select[tuple[Any, ...]]:
    """The fields of ``resource`` from the columns of ``entity`` that are called the same; those ``hidden`` are null."""
    return select(
        *(
            (cast(null(), Text) if name in hidden else _written(getattr(entity, name))).label(name)
            for name in resource.model_fields
        )
    )


def _written(column: Any) -> ColumnElement[Any]:
    is_instant = isinstance(column.type, type(INSTANT))
    return func.to_char(func.timezone(UTC, column), RFC_3339) if is_instant else column


def documents(fields: Select[tuple[Any, ...]]) -> Select[tuple[Any, int, str]]:
    """``(id, version, JSON)`` of each row of ``fields``, in its order."""
    row = fields.subquery("document")
    return select(row.c.id, row.c.version, cast(func.row_to_json(row.table_valued()), Text))


def page_of(fields: Select[tuple[Any, ...]], key: Any, *, begins: bool) -> SingleRead:
    """A page of ``fields`` by its ``key``, which is ``id``: the first when it ``begins``, else one after another.

    For ``fetch_page_of``, which knows its parameters.
    """
    rows = fields if begins else fields.where(key > bindparam("after"))
    page = documents(rows.order_by(key).limit(bindparam("most", type_=Integer)))
    return SingleRead(page.order_by(page.selected_columns[0]))


async def fetch_page_of(
    database: Database, principal: Principal, page: SingleRead, query: PageQuery, *, list_name: str
) -> tuple[Sequence[str], str | None]:
    """The JSON of each row of a page, and the cursor of the next or None; filters are parameters of their names."""
    given: dict[str, Any] = {**query.filters(), "most": query.limit + 1}
    if query.cursor is not None:
        given["after"] = UUID(decode_cursor(database.keyring, list_name, query.cursor))
    found = await database.fetch(principal, page, **given)
    items = [document for _, _, document in found[: query.limit]]
    if len(found) <= query.limit:
        return items, None
    return items, encode_cursor(database.keyring, list_name, found[query.limit - 1][0])
