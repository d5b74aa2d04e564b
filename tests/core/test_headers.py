"""A header is read as the framework reads it."""

from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from app.core.headers import first_header

NAMES = [b"accept", b"if-none-match", b"authorization"]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=5))), st.sampled_from(NAMES))
def test_the_first_of_several_counts_and_any_bytes_are_text(headers: list[tuple[bytes, bytes]], name: bytes) -> None:
    assert first_header({"headers": headers}, name) == Headers(raw=headers).get(name.decode())
