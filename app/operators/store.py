"""Every SQL statement about operators and address allocations."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, Text, cast, delete, insert, null, select, true, union_all
from sqlalchemy.dialects.postgresql import CIDR
from sqlalchemy.orm import InstrumentedAttribute

from app.core.compiled import Compiled
from app.core.db import ReadSession, WriteSession
from app.core.orm import Rows, column_text, columnar, looked_up, recordset
from app.operators.models import CountryPrefix, Operator, OperatorPrefix
from app.operators.rules import Atlas

# Up to so many networks are looked up one by one; for more, all prefixes are read once.
FEW = 256


async def all_operators(session: ReadSession) -> Sequence[Operator]:
    """Every operator, by code."""
    return (await session.scalars(select(Operator).order_by(Operator.code))).all()


_NO_PREFIX, _NOBODY = cast(null(), CIDR).label("prefix"), cast(null(), Text).label("operator")
_CODES = select(Operator.code, _NO_PREFIX)
_ALLOCATIONS = select(_NOBODY, CountryPrefix.prefix)
_ANNOUNCEMENTS = select(OperatorPrefix.operator, OperatorPrefix.prefix)


def _around(everywhere: Rows, prefix: InstrumentedAttribute[str]) -> Rows:
    asked = columnar({"network": CIDR}).subquery("asked")
    around = looked_up(everywhere.where(prefix.op(">>=")(asked.c.network)), "around")
    return select(*around.c).select_from(asked).join(around, true())


_EVERYWHERE = Compiled(union_all(_CODES, _ALLOCATIONS, _ANNOUNCEMENTS))
_AROUND = Compiled(
    union_all(
        _CODES,
        _around(_ALLOCATIONS, CountryPrefix.prefix),
        _around(_ANNOUNCEMENTS, OperatorPrefix.prefix),
    )
)


async def atlas(session: ReadSession, networks: Sequence[str] | None = None) -> Atlas:
    """What there is around a few networks, or all of it (None, or many): it is small. It knows every operator."""
    if networks is not None and len(networks) <= FEW:
        found = await session.fetch(_AROUND, {"network": column_text(networks)})
    else:
        found = await session.fetch(_EVERYWHERE, {})
    return Atlas(found)


async def replace_reference(
    session: WriteSession,
    operators: Sequence[dict[str, object]],
    prefixes: Sequence[dict[str, str]],
    country: Sequence[str],
) -> None:
    """Put the given reference data in the place of what is there."""
    for table in (OperatorPrefix, CountryPrefix, Operator):
        await session.execute(delete(table))
    rows = recordset("operator", {"code": Text, "name": Text, "asn": BigInteger}, operators)
    await session.execute(insert(Operator).from_select(["code", "name", "asn"], select(*rows.c)))
    rows = recordset("announced", {"operator": Text, "prefix": CIDR}, prefixes)
    await session.execute(insert(OperatorPrefix).from_select(["operator", "prefix"], select(*rows.c)))
    rows = recordset("allocated", {"prefix": CIDR}, [{"prefix": prefix} for prefix in country])
    await session.execute(insert(CountryPrefix).from_select(["prefix"], select(*rows.c)))
