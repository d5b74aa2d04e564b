"""A batch is one statement whatever its size, and its values reach PostgreSQL unchanged."""

from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Boolean, Integer, Text, Uuid, column, func, select
from sqlalchemy.dialects.postgresql import ARRAY, CIDR, JSONB
from uuid_utils.compat import uuid7

from app.core.database.base import INSTANT, one_of
from app.core.database.batches import any_of, column_text, json_rows, text_columns, values_at, values_of
from app.core.database.statement import DIALECT
from app.operators.models import CountryPrefix, Operator
from app.partners.models import Partner
from tests.support.service import Service

MANY = 50_000


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


@given(st.lists(st.text(), max_size=5))
def test_the_values_of_a_batch_are_one_parameter_and_never_part_of_the_statement(values: list[str]) -> None:
    batch = json_rows("batch", {"value": Text}, [{"value": value} for value in values])
    statement = select(batch.c.value).compile(dialect=DIALECT)
    assert len(statement.params) == 1
    again = json_rows("batch", {"value": Text}, [])
    assert str(statement) == str(select(again.c.value).compile(dialect=DIALECT))


async def test_fifty_thousand_rows_are_one_statement(service: Service) -> None:
    rows = [{"n": n, "code": f"c{n}", "network": f"10.{n >> 8}.{n & 255}.0/24"} for n in range(MANY)]
    batch = json_rows("batch", {"n": Integer, "code": Text, "network": CIDR}, rows)
    async with service.database.transaction(read_only=True) as tx:
        counted = (await tx.execute(select(func.count(), func.sum(batch.c.n), func.max(batch.c.code)))).one()
    assert tuple(counted) == (MANY, MANY * (MANY - 1) // 2, "c9999")


@pytest.mark.parametrize("values", [[], [""], [None], [None, "", "two\nlines", "سندھ", "it's \\ {a,b}", "\x1d"]])
async def test_a_column_comes_out_as_it_went_in(service: Service, values: list[str | None]) -> None:
    text = column_text(values)
    assert values_of(text) == values
    assert values_at(text, range(len(values))) == values
    statement = text_columns({"value": Text, "again": Text}, "their_")
    async with service.database.transaction(read_only=True) as tx:
        found = (await tx.execute(statement, {"their_value": text, "their_again": text})).all()
        assert [tuple(row) for row in found] == [(value, value, i) for i, value in enumerate(values)]


def test_a_value_that_holds_what_parts_the_values_is_refused() -> None:
    with pytest.raises(ValueError, match="U\\+001F"):
        column_text(["a\x1fb"])


async def test_fifty_thousand_values_are_one_parameter(service: Service) -> None:
    nobody = [uuid7() for _ in range(MANY)]
    async with service.database.transaction(read_only=True) as tx:
        every = await tx.scalar(select(func.count()).select_from(Operator))
        codes = [*(f"none-{n}" for n in range(MANY)), *(await tx.scalars(select(Operator.code))).all()]
        assert await tx.scalar(select(func.count()).where(any_of(Operator.code, codes))) == every
        assert await tx.scalar(select(func.count()).where(any_of(Operator.code, []))) == 0
        assert await tx.scalar(select(func.count()).where(any_of(Partner.id, nobody))) == 0
        prefixes = (await tx.scalars(select(CountryPrefix.prefix).limit(5))).all()
        assert await tx.scalar(select(func.count()).where(any_of(CountryPrefix.prefix, prefixes))) == 5


async def test_a_row_comes_out_as_it_went_in(service: Service) -> None:
    kinds: dict[str, Any] = {
        "id": Uuid, "text": Text, "texts": ARRAY(Text), "details": JSONB, "number": Integer, "flag": Boolean,
        "at": INSTANT, "network": CIDR,
    }  # fmt: skip
    awkward = "'; DROP TABLE events; -- \\ \" %s :x $1 \u2028 \U0001f600 ' {NULL}"
    full = {
        "id": UUID("019b2f6e-7a10-7c3e-9d55-0b8d7f3e2a11"), "text": awkward, "texts": [awkward, "", "NULL"],
        "details": {"a": [1, None, {"b": awkward}]}, "number": -1, "flag": False,
        "at": "2027-01-31T12:00:00Z", "network": "2400:1460:1::/48",
    }  # fmt: skip
    batch = json_rows("batch", kinds, [full, {"text": ""}])
    async with service.database.transaction(read_only=True) as tx:
        rows = (await tx.execute(select(*batch.c))).all()
    first = dict(rows[0]._mapping)
    assert first.pop("at").isoformat() == "2027-01-31T12:00:00+00:00"
    assert first == {key: value for key, value in full.items() if key != "at"}
    assert [value for value in rows[1] if value is not None] == [""]


async def test_an_empty_batch_is_a_table_without_rows(service: Service) -> None:
    batch = json_rows("batch", {"n": Integer}, [])
    async with service.database.transaction(read_only=True) as tx:
        assert (await tx.execute(select(batch.c.n))).all() == []


def test_a_column_is_held_to_the_values_of_its_enum() -> None:
    assert str(one_of("colour", Colour).sqltext) == "colour IN ('red', 'green')"
    assert str(any_of(column("colour", Text), ["red"]).compile(dialect=DIALECT)).count("colour") == 1
