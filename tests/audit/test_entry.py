"""An entry is the same bytes for ever: canonical JSON by RFC 8785, whoever writes it."""

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from app.audit.entry import canonical

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**80])
def test_a_number_that_json_cannot_carry_is_refused(number: int) -> None:
    with pytest.raises(rfc8785.IntegerDomainError):
        canonical({"number": number})


@given(VALUES)
def test_every_value_is_written_as_the_standards_own_library_writes_it(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]  # JSON, by its strategy


def test_names_are_in_the_standards_order_and_control_characters_in_its_spelling() -> None:
    assert canonical({"\u20ac": 1, "\U0001f600": 2, "\ufb33": 3, "a": "\x01\n\x7f/"}) == (
        '{"a":"\\u0001\\n\x7f/","\u20ac":1,"\U0001f600":2,"\ufb33":3}'.encode()
    )
