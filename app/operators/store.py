"""Every SQL statement about operators and address allocations."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, Text, delete, insert, select, true
from sqlalchemy.dialects.postgresql import CIDR

from app.core.db import ReadSession, WriteSession
from app.core.orm import looked_up, recordset
from app.operators.models import CountryPrefix, Operator, OperatorPrefix
from app.operators.rules import Atlas

# Up to so many networks are looked up one by one; for more, all prefixes are read once.
FEW = 8


async def all_operators(session: ReadSession) -> Sequence[Operator]:
    """Every operator, by code."""
    return (await session.scalars(select(Operator).order_by(Operator.code))).all()


async def known_codes(session: ReadSession) -> set[str]:
    """The codes of all operators."""
    return set(await session.scalars(select(Operator.code)))


async def atlas(session: ReadSession, networks: Sequence[str] | None = None) -> Atlas:
    """What there is around a few networks, or all of it (None, or many): it is small."""
    country, announced = CountryPrefix.prefix, (OperatorPrefix.operator, OperatorPrefix.prefix)
    allocations, announcements = select(country), select(*announced)
    if networks is not None and len(networks) <= FEW:
        asked = recordset("asked", {"network": CIDR}, [{"network": each} for each in networks])
        around = looked_up(select(country).where(country.op(">>=")(asked.c.network)), "around")
        allocations = select(around.c.prefix).select_from(asked).join(around, true())
        around = looked_up(select(*announced).where(OperatorPrefix.prefix.op(">>=")(asked.c.network)), "around")
        announcements = select(around.c.operator, around.c.prefix).select_from(asked).join(around, true())
    found = await session.execute(announcements)
    return Atlas(await session.scalars(allocations), [(operator, prefix) for operator, prefix in found])


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
