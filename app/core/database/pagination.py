"""Keyset pagination: signed opaque cursors that hold the last key, and ``Link`` headers (RFC 8288)."""

import base64
import binascii
import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, Select
from sqlalchemy.orm import InstrumentedAttribute

from app.core.database.batches import any_of
from app.core.database.transaction import Transaction
from app.core.errors import Invalid, InvalidValue
from app.core.keyring import Keyring
from app.core.validation.schemas import LINE, MAX_PAGE_SIZE, Query

SIGNATURE_DIGITS = 32


class PageQuery(Query):
    """Query parameters of a list; the filters of a list are fields of a subclass."""

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE, description="How many items a page holds")] = 50
    cursor: Annotated[
        str | None, LINE, Field(max_length=500, description="`next_cursor` of the page before; opaque")
    ] = None

    def filters(self) -> dict[str, Any]:
        """Return the filters that were given, by name."""
        return self.model_dump(exclude={"limit", "cursor"}, exclude_none=True)


def matching(entity: type[Any], filters: Mapping[str, Any]) -> Iterator[ColumnElement[bool]]:
    """Yield the condition of each filter: the column of its name has the value, or one of several values."""
    for name, value in filters.items():
        column, values = getattr(entity, name), value if isinstance(value, tuple) else (value,)
        yield column == values[0] if len(values) == 1 else any_of(column, values)


def _sign(keyring: Keyring, list_name: str, key: str) -> str:
    return keyring.keyed_hash("cursor", f"{list_name}\n{key}")[:SIGNATURE_DIGITS]


def encode_cursor(keyring: Keyring, list_name: str, key: object) -> str:
    """Encode the last key of a page; only the same list accepts the cursor."""
    signed = f"{_sign(keyring, list_name, str(key))}{key}"
    return base64.urlsafe_b64encode(signed.encode()).decode().rstrip("=")


def decode_cursor(keyring: Keyring, list_name: str, cursor: str) -> str:
    """Return the key in a cursor. Raises ``Invalid`` for one that was altered or made for another list."""
    try:
        signed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        signed = ""
    signature, key = signed[:SIGNATURE_DIGITS], signed[SIGNATURE_DIGITS:]
    if not hmac.compare_digest(signature.encode(), _sign(keyring, list_name, key).encode()):
        raise Invalid.of([InvalidValue.at("/query/cursor", "The cursor was not made by this list, or was altered.")])
    return key


async def fetch_page(
    tx: Transaction,
    statement: Select[Any],
    key: InstrumentedAttribute[Any],
    query: PageQuery,
    *,
    list_name: str,
    descending: bool = False,
) -> tuple[Sequence[Any], str | None]:
    """Return a page of ``statement`` in the order of its unique ``key``, and the cursor of the next page or None.

    The items are the entities in the first column; ``key`` is an attribute of that entity.
    """
    if query.cursor is not None:
        text = decode_cursor(tx.keyring, list_name, query.cursor)
        last = UUID(text) if key.type.python_type is UUID else int(text)
        statement = statement.where(key < last if descending else key > last)
    ordered = statement.order_by(key.desc() if descending else key).limit(query.limit + 1)
    rows = (await tx.execute(ordered)).scalars().all()
    items = rows[: query.limit]
    if len(rows) <= query.limit:
        return items, None
    return items, encode_cursor(tx.keyring, list_name, getattr(items[-1], key.key))


def next_link(path: str, query_items: Sequence[tuple[str, str]], next_cursor: str) -> str:
    """Return the ``Link`` header (RFC 8288) of the next page."""
    kept = [(name, value) for name, value in query_items if name not in ("cursor", "after", "from")]
    return f'<{path}?{urlencode([*kept, ("cursor", next_cursor)])}>; rel="next"'
