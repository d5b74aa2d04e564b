"""Every SQL statement about operators and address allocations."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, Text, delete, insert, select, true
from sqlalchemy.dialects.postgresql import CIDR
from sqlalchemy.orm import InstrumentedAttribute

from app.core.compiled import Compiled
from app.core.db import ReadSession, WriteSession
from app.core.orm import Rows, column_text, columnar, looked_up, recordset
from app.operators.models import CountryPrefix, Operator, OperatorPrefix
from app.operators.rules import Atlas

# Up to so many networks are looked up one by one; for more, all prefixes are read once.
FEW = 8


async def all_operators(session: ReadSession) -> Sequence[Operator]:
    """Every operator, by code."""
    return (await session.scalars(select(Operator).order_by(Operator.code))).all()


_CODES = Compiled(select(Operator.code))
_ALLOCATIONS = select(CountryPrefix.prefix)
_ANNOUNCEMENTS = select(OperatorPrefix.operator, OperatorPrefix.prefix)

_ALL_ALLOCATIONS, _ALL_ANNOUNCEMENTS = Compiled(_ALLOCATIONS), Compiled(_ANNOUNCEMENTS)


def _around(everywhere: Rows, prefix: InstrumentedAttribute[str]) -> Rows:
    asked = columnar({"network": CIDR}).subquery("asked")
    around = looked_up(everywhere.where(prefix.op(">>=")(asked.c.network)), "around")
    return select(*around.c).select_from(asked).join(around, true())


_ALLOCATIONS_AROUND = Compiled(_around(_ALLOCATIONS, CountryPrefix.prefix))
_ANNOUNCEMENTS_AROUND = Compiled(_around(_ANNOUNCEMENTS, OperatorPrefix.prefix))


async def known_codes(session: ReadSession) -> set[str]:
    """The codes of all operators."""
    return {code for (code,) in await session.fetch(_CODES, {})}


async def atlas(session: ReadSession, networks: Sequence[str] | None = None) -> Atlas:
    """What there is around a few networks, or all of it (None, or many): it is small."""
    if networks is not None and len(networks) <= FEW:
        asked = {"network": column_text(networks)}
        allocations = await session.fetch(_ALLOCATIONS_AROUND, asked)
        announcements = await session.fetch(_ANNOUNCEMENTS_AROUND, asked)
    else:
        allocations = await session.fetch(_ALL_ALLOCATIONS, {})
        announcements = await session.fetch(_ALL_ANNOUNCEMENTS, {})
    return Atlas([prefix for (prefix,) in allocations], [(operator, prefix) for operator, prefix in announcements])


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
