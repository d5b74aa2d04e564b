"""Limits on the structure of JSON, checked over its bytes before it is parsed.

A parser holds the GIL to the end, in any thread, so its time is limited by its input.
"""

import re

from app.core.errors import Invalid, InvalidValue

MAX_VALUES = 60_000  # the largest body of an operation lists 50,000 ids
MAX_DEPTH = 32
MAX_QUOTES = 4 * MAX_VALUES
# possessive quantifiers: linear time
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_OPENING = b"[{"


def check_json(body: bytes) -> None:
    """Raise ``Invalid`` for JSON with more values or levels than any operation takes."""
    opened = body.count(b"[") + body.count(b"{")
    if opened + body.count(b",") > MAX_VALUES:
        raise _refused(f"The body has more than {MAX_VALUES} values.")
    if opened <= MAX_DEPTH:
        return
    if body.count(b'"') > MAX_QUOTES:
        raise _refused(f"The body has more than {MAX_QUOTES} quotation marks.")
    level = 0
    for bracket in _STRING.sub(b"", body).translate(None, _ALL_BUT_BRACKETS):
        level += 1 if bracket in _OPENING else -1
        if level > MAX_DEPTH:
            raise _refused(f"The body is nested deeper than {MAX_DEPTH} levels.")


def _refused(detail: str) -> Invalid:
    return Invalid.of([InvalidValue.at("", detail)])
