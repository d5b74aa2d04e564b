"""Every SQL statement about operators and address allocations."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, CompoundSelect, Text, cast, delete, insert, null, select, true, union_all
from sqlalchemy.dialects.postgresql import CIDR
from sqlalchemy.orm import InstrumentedAttribute

from app.core.database.batches import Rows, json_rows, lateral_lookup, text_columns
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.operators.models import CountryPrefix, Operator, OperatorPrefix
from app.operators.rules import PrefixTable

# Up to so many networks are looked up one by one; for more, all prefixes are read once.
FEW = 256


async def all_operators(tx: Transaction) -> Sequence[Operator]:
    """Every operator, by code."""
    return (await tx.scalars(select(Operator).order_by(Operator.code))).all()


_NO_PREFIX, _NOBODY = cast(null(), CIDR).label("prefix"), cast(null(), Text).label("operator")
_CODES = select(Operator.code, _NO_PREFIX)
_ALLOCATIONS = select(_NOBODY, CountryPrefix.prefix)
_ANNOUNCEMENTS = select(OperatorPrefix.operator, OperatorPrefix.prefix)


def _around(everywhere: Rows, prefix: InstrumentedAttribute[str]) -> Rows:
    asked = text_columns({"network": CIDR}).subquery("asked")
    around = lateral_lookup(everywhere.where(prefix.op(">>=")(asked.c.network)), "around")
    return select(*around.c).select_from(asked).join(around, true())


_EVERYWHERE = union_all(_CODES, _ALLOCATIONS, _ANNOUNCEMENTS)
_AROUND = union_all(
    _CODES,
    _around(_ALLOCATIONS, CountryPrefix.prefix),
    _around(_ANNOUNCEMENTS, OperatorPrefix.prefix),
)
_ALL = Statement(_EVERYWHERE)


def prefix_statement(networks: Sequence[str]) -> CompoundSelect[*tuple[Any, ...]]:
    """The rows of a ``PrefixTable``: those around the networks (parameter ``network``), or all when there are many.

    Every operator is among them.
    """
    return _AROUND if len(networks) <= FEW else _EVERYWHERE


async def atlas(tx: Transaction) -> PrefixTable:
    """All that there is: it is small."""
    return PrefixTable(await tx.fetch(_ALL))


async def replace_reference(
    tx: Transaction,
    operators: Sequence[dict[str, object]],
    prefixes: Sequence[dict[str, str]],
    country: Sequence[str],
) -> None:
    """Put the given reference data in the place of what is there."""
    for table in (OperatorPrefix, CountryPrefix, Operator):
        await tx.execute(delete(table))
    rows = json_rows("operator", {"code": Text, "name": Text, "asn": BigInteger}, operators)
    await tx.execute(insert(Operator).from_select(["code", "name", "asn"], select(*rows.c)))
    rows = json_rows("announced", {"operator": Text, "prefix": CIDR}, prefixes)
    await tx.execute(insert(OperatorPrefix).from_select(["operator", "prefix"], select(*rows.c)))
    rows = json_rows("allocated", {"prefix": CIDR}, [{"prefix": prefix} for prefix in country])
    await tx.execute(insert(CountryPrefix).from_select(["prefix"], select(*rows.c)))
