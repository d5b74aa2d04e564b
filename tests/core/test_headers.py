"""Header fields are read as the framework reads them, and those in several lines as one list."""

from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from app.core.headers import announces_body, field_value

NAMES = [b"accept", b"if-none-match", b"authorization"]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=5))), st.sampled_from(NAMES))
def test_a_field_in_several_lines_is_one_list_and_any_bytes_are_text(
    lines: list[tuple[bytes, bytes]], name: bytes
) -> None:
    scope = {"headers": lines}
    listed = Headers(raw=lines).getlist(name.decode())
    assert field_value(scope, name) == (", ".join(listed) if listed else None)
    assert Headers(scope=scope).get(name.decode()) == field_value(scope, name)


def test_the_fields_tell_of_a_body() -> None:
    assert not announces_body({"headers": []})
    assert not announces_body({"headers": [(b"content-length", b"0")]})
    assert announces_body({"headers": [(b"content-length", b"2")]})
    assert announces_body({"headers": [(b"transfer-encoding", b"chunked")]})
