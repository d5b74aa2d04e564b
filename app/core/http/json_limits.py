"""Limits on the structure of JSON, checked over its bytes before it is parsed.

A parser holds the interpreter's lock from the first byte to the last, in whichever thread it runs, so the time that it
takes is bounded by what it is given.
"""

import re

from app.core.errors import Invalid, InvalidValue

MOST_VALUES = 60_000  # the largest body of an operation lists 50,000 ids
DEEPEST = 32
MOST_QUOTES = 4 * MOST_VALUES
# possessive: no part of a string is looked at twice
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_OPENING = b"[{"


def check_json(body: bytes) -> None:
    """Raises ``Invalid`` for JSON of more values or more levels than any operation takes."""
    opened = body.count(b"[") + body.count(b"{")
    if opened + body.count(b",") > MOST_VALUES:
        raise _refused(f"The body has more than {MOST_VALUES} values.")
    if opened <= DEEPEST:
        return
    if body.count(b'"') > MOST_QUOTES:
        raise _refused(f"The body has more than {MOST_QUOTES} quotation marks.")
    level = 0
    for bracket in _STRING.sub(b"", body).translate(None, _ALL_BUT_BRACKETS):
        level += 1 if bracket in _OPENING else -1
        if level > DEEPEST:
            raise _refused(f"The body is nested deeper than {DEEPEST} levels.")


def _refused(detail: str) -> Invalid:
    return Invalid.of([InvalidValue.at("", detail)])
