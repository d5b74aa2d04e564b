"""Every SQL statement about operators and address allocations."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Integer, Text, delete, exists, insert, not_, select
from sqlalchemy.dialects.postgresql import CIDR

from app.core.db import ReadSession, WriteSession
from app.core.orm import recordset
from app.operators.models import CountryPrefix, Operator, OperatorPrefix


@dataclass(frozen=True, slots=True)
class Claim:
    """A network of item ``item`` that is said to be of ``operator``."""

    item: int
    operator: str
    network: str


async def all_operators(session: ReadSession) -> Sequence[Operator]:
    """Every operator, by code."""
    return (await session.scalars(select(Operator).order_by(Operator.code))).all()


async def known_codes(session: ReadSession) -> set[str]:
    """The codes of all operators."""
    return set(await session.scalars(select(Operator.code)))


async def misplaced(session: ReadSession, claims: Sequence[Claim]) -> tuple[set[int], set[int]]:
    """The items with a network outside the country's allocations, and those outside what the operator announces."""
    rows = [{"item": each.item, "operator": each.operator, "network": each.network} for each in claims]
    batch = recordset("claim", {"item": Integer, "operator": Text, "network": CIDR}, rows)
    in_country = exists().where(CountryPrefix.prefix.op(">>=")(batch.c.network))
    announced = exists().where(
        OperatorPrefix.operator == batch.c.operator, OperatorPrefix.prefix.op(">>=")(batch.c.network)
    )
    found = (await session.execute(select(batch.c.item, not_(in_country), not_(announced)))).all()
    return {item for item, outside, _ in found if outside}, {item for item, _, foreign in found if foreign}


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
