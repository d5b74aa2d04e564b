"""Header fields of an ASGI scope."""

from collections.abc import Mapping, MutableMapping
from typing import Any


def fields_of(scope: MutableMapping[str, Any]) -> Mapping[bytes, bytes]:
    """Return the header fields by their names in lower case, read once per request.

    A field sent in several lines is one list (RFC 9110, 5.3), for the framework too. A field that is no list has no
    valid value then.
    """
    fields: dict[bytes, bytes] | None = scope.get("fields")
    if fields is None:
        lines = scope["headers"]
        fields = dict(lines)
        if len(fields) < len(lines):
            fields = _combined(lines)
            scope["headers"] = list(fields.items())
        scope["fields"] = fields
    return fields


def _combined(lines: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    values: dict[bytes, list[bytes]] = {}
    for name, value in lines:
        values.setdefault(name, []).append(value)
    return {name: b", ".join(each) for name, each in values.items()}


def field_value(scope: MutableMapping[str, Any], name: bytes) -> str | None:
    """Return the value of the header field ``name``, given in lower case, or None."""
    value = fields_of(scope).get(name)
    return None if value is None else value.decode("latin-1")


def announces_body(scope: MutableMapping[str, Any]) -> bool:
    """True when the header fields announce a body that is not empty (RFC 9112, 6.3)."""
    fields = fields_of(scope)
    return fields.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in fields
