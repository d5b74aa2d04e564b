"""Bodies that come column by column are sound when each of them would be accepted, with the same values."""

from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.bulk_uploads.ingestion.column_validation import Columnwise
from app.core.errors import FieldError, Invalid, InvalidValue
from app.core.validation.schemas import Body, Line100, validated

COLUMNS = ("note", "dishes", "name")
TEXTS = st.sampled_from(["", " ", "a", " a ", "b\x07", "x" * 101, "90001-1234567-1"])
NUMBERS = st.sampled_from(["", "\t", "1", " 2 ", "three", "4,5"])


class Order(Body):
    table: int
    name: Line100
    note: Line100 | None = None
    dishes: list[int] | None = None

    @classmethod
    def across(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        names, notes = (str(given.get(name, name)).strip() for name in ("name", "note"))
        return [InvalidValue.at("/note", "Nothing to note.")] if names == notes else ()


def read(text: str) -> list[str]:
    return text.split(",")


def alone(row: Mapping[str, str]) -> list[Any] | None:
    given = {**row, "dishes": read(row["dishes"]) if row["dishes"].strip() else None}
    try:
        order = validated(Order, {"table": 7, **given})
    except Invalid:
        return None
    return [getattr(order, name) for name in COLUMNS]


@given(st.lists(st.fixed_dictionaries({"note": TEXTS, "dishes": NUMBERS, "name": TEXTS}), max_size=20))
def test_each_has_the_values_that_it_would_have_alone_or_none_when_it_would_be_refused(
    rows: list[dict[str, str]],
) -> None:
    columns = {name: [row[name] for row in rows] for name in COLUMNS}
    assert list(Columnwise(Order, {"dishes": read}).sound(columns, {"table": 7})) == [alone(row) for row in rows]
