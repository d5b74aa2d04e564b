"""Column-wise validation accepts the rows that the body class accepts, with the same values."""

from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.bulk_uploads.ingestion.column_validation import ColumnValidator
from app.core.errors import FieldError, Invalid, InvalidValue
from app.core.validation.schemas import Body, Line100, validate

COLUMNS = ("note", "dishes", "name")
TEXTS = st.sampled_from(["", " ", "a", " a ", "b\x07", "x" * 101, "90001-1234567-1"])
NUMBERS = st.sampled_from(["", "\t", "1", " 2 ", "three", "4,5"])


class Order(Body):
    table: int
    name: Line100
    note: Line100 | None = None
    dishes: list[int] | None = None

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        names, notes = (str(given.get(name, name)).strip() for name in ("name", "note"))
        return [InvalidValue.at("/note", "Nothing to note.")] if names == notes else ()


def split(text: str) -> list[str]:
    return text.split(",")


def validate_row(row: Mapping[str, str]) -> list[Any] | None:
    fields = {**row, "dishes": split(row["dishes"]) if row["dishes"].strip() else None}
    try:
        order = validate(Order, {"table": 7, **fields})
    except Invalid:
        return None
    return [getattr(order, name) for name in COLUMNS]


@given(st.lists(st.fixed_dictionaries({"note": TEXTS, "dishes": NUMBERS, "name": TEXTS}), max_size=20))
def test_each_row_has_the_values_of_the_body_by_itself_or_none_when_it_is_invalid(
    rows: list[dict[str, str]],
) -> None:
    columns = {name: [row[name] for row in rows] for name in COLUMNS}
    assert list(ColumnValidator(Order, {"dishes": split}).validate(columns, {"table": 7})) == [
        validate_row(row) for row in rows
    ]
