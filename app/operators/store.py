"""SQL of operators, their prefixes, and address allocations."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import CIDR, INET
from sqlalchemy.orm import InstrumentedAttribute

from app.core.database.batches import Rows, any_of, json_rows, lateral_lookup, text_columns
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.core.errors import Invalid
from app.operators.errors import unknown_operator
from app.operators.models import CountryPrefix, Operator, OperatorPrefix
from app.operators.rules import PrefixTable

# For more networks than this, reading all prefixes once is faster than an index lookup for each.
MAX_LOOKUPS = 256


async def list_operators(tx: Transaction) -> Sequence[Operator]:
    """All operators, by code."""
    return (await tx.scalars(select(Operator).order_by(Operator.code))).all()


_KNOWN = Statement(select(Operator.code).where(any_of(Operator.code, bindparam("codes"))))


async def check_known(tx: Transaction, codes: Collection[str], pointer: str) -> None:
    """Raise ``Invalid`` with an error at ``pointer`` for each code that no operator has."""
    known = {code for (code,) in await tx.fetch(_KNOWN, codes=list(codes))} if codes else set()
    if errors := [unknown_operator(pointer, code) for code in codes if code not in known]:
        raise Invalid.of(errors)


async def announcing(tx: Transaction, address: str) -> str | None:
    """Return the operator that announces the longest prefix of an address, or None."""
    containing = select(OperatorPrefix.operator).where(OperatorPrefix.prefix.op(">>=")(cast(address, INET)))
    longest = containing.order_by(func.masklen(OperatorPrefix.prefix).desc(), OperatorPrefix.operator).limit(1)
    found: str | None = await tx.scalar(longest)
    return found


_NO_PREFIX, _NO_OPERATOR = cast(null(), CIDR).label("prefix"), cast(null(), Text).label("operator")
_CODES = select(Operator.code, _NO_PREFIX)
_ALLOCATIONS = select(_NO_OPERATOR, CountryPrefix.prefix)
_ANNOUNCEMENTS = select(OperatorPrefix.operator, OperatorPrefix.prefix)


def _containing(rows: Rows, prefix: InstrumentedAttribute[str]) -> Rows:
    networks = text_columns({"network": CIDR}).subquery("networks")
    containing = lateral_lookup(rows.where(prefix.op(">>=")(networks.c.network)), "containing")
    return select(*containing.c).select_from(networks).join(containing, true())


_ALL_PREFIXES = union_all(_CODES, _ALLOCATIONS, _ANNOUNCEMENTS)
_CONTAINING_PREFIXES = union_all(
    _CODES,
    _containing(_ALLOCATIONS, CountryPrefix.prefix),
    _containing(_ANNOUNCEMENTS, OperatorPrefix.prefix),
)
_READ_ALL = Statement(_ALL_PREFIXES)


def prefix_statement(networks: Sequence[str]) -> CompoundSelect[*tuple[Any, ...]]:
    """The statement for the rows of a ``PrefixTable`` to look ``networks`` up in.

    It selects all operators, and the prefixes that contain the networks of the parameter ``network`` (a
    ``column_text``); for many networks, all prefixes.
    """
    return _CONTAINING_PREFIXES if len(networks) <= MAX_LOOKUPS else _ALL_PREFIXES


async def read_prefix_table(tx: Transaction) -> PrefixTable:
    """Read all operators and prefixes: a few thousand rows."""
    return PrefixTable(await tx.fetch(_READ_ALL))


async def replace_reference(
    tx: Transaction,
    operators: Sequence[dict[str, object]],
    prefixes: Sequence[dict[str, str]],
    country: Sequence[str],
) -> None:
    """Replace all operators, their prefixes, and the country's prefixes."""
    for table in (OperatorPrefix, CountryPrefix, Operator):
        await tx.execute(delete(table))
    rows = json_rows("operator", {"code": Text, "name": Text, "asn": BigInteger}, operators)
    await tx.execute(insert(Operator).from_select(["code", "name", "asn"], select(*rows.c)))
    rows = json_rows("announced", {"operator": Text, "prefix": CIDR}, prefixes)
    await tx.execute(insert(OperatorPrefix).from_select(["operator", "prefix"], select(*rows.c)))
    rows = json_rows("allocated", {"prefix": CIDR}, [{"prefix": prefix} for prefix in country])
    await tx.execute(insert(CountryPrefix).from_select(["prefix"], select(*rows.c)))
