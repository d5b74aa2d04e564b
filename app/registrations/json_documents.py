"""Rows as JSON written by PostgreSQL, which responses pass on without decoding it."""

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

# RFC 3339, as ``schemas.Timestamp`` writes it.
RFC_3339: ColumnElement[str] = literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'""")
UTC: ColumnElement[str] = literal_column("'UTC'")


def select_fields(
    resource: type[BaseModel],
    entity: type[DeclarativeBase],
    hidden: Collection[str] = (),
    instead: Mapping[str, ColumnElement[Any]] | None = None,
) -> Select[tuple[Any, ...]]:
    """Select the fields of ``resource`` from the columns of ``entity`` of the same names, or from ``instead``.

    ``hidden`` fields are null.
    """
    given = instead or {}
    columns = {name: given[name] if name in given else getattr(entity, name) for name in resource.model_fields}
    return select(
        *((cast(null(), Text) if name in hidden else rfc_3339(each)).label(name) for name, each in columns.items())
    )


def rfc_3339(column: Any) -> ColumnElement[Any]:
    """Return a time as the text that responses have; another column as it is."""
    is_instant = isinstance(column.type, type(INSTANT))
    return func.to_char(func.timezone(UTC, column), RFC_3339) if is_instant else column


def select_json(fields: Select[tuple[Any, ...]]) -> Select[tuple[Any, int, str]]:
    """Select ``(id, version, JSON text)`` of each row of ``fields``, in its order."""
    row = fields.subquery("document")
    return select(row.c.id, row.c.version, cast(func.row_to_json(row.table_valued()), Text).label("document"))


def json_page(fields: Select[tuple[Any, ...]], key: Any, *, is_first: bool) -> Statement:
    """Compile a page of ``fields`` in the order of ``key``, its ``id``: the first page, or one after the key ``after``.

    It gives one row: the JSON texts of ``most`` + 1 items, and the key of the last item of the page if more follow.
    """
    rows = fields if is_first else fields.where(key > bindparam("after"))
    most: ColumnElement[int] = bindparam("most", type_=Integer)
    page = select_json(rows.order_by(key).limit(most + 1)).subquery("page")
    items, ids = (func.array_agg(aggregate_order_by(each, page.c.id)) for each in (page.c.document, page.c.id))
    return Statement(select(items, ids[most]))


async def fetch_json_page(
    tx: Transaction, page: Statement, query: PageQuery, *, list_name: str, **values: Any
) -> tuple[Sequence[str], str | None]:
    """Return the JSON texts of a ``json_page`` and the cursor of the next page or None.

    ``pagination.fetch_page`` loads entities by a statement built for the request; this list is read so often that its
    statements are compiled once, with ``values`` as parameters, and its rows come as one array of texts.
    """
    values["most"] = query.limit
    if query.cursor is not None:
        values["after"] = UUID(decode_cursor(tx.keyring, list_name, query.cursor))
    ((texts, last),) = await tx.fetch(page, **values)
    items = texts or []  # array_agg of no rows is null
    if len(items) <= query.limit:
        return items, None
    return items[: query.limit], encode_cursor(tx.keyring, list_name, last)
