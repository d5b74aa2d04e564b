"""Newline-delimited JSON becomes rows: each line an object with the names of the columns."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from app.bulk_uploads.errors import NdjsonMalformed
from app.bulk_uploads.readers.rows import MOST_CELLS, Lines, Row
from app.bulk_uploads.rules import COLUMNS, has_surrogate
from app.core.errors import FieldError, InvalidValue

Pairs = list[tuple[str, Any]]
NETWORKS = "networks"


class _Unsaid(ValueError):
    """A number that JSON does not have, such as NaN."""


def _refuse_constant(name: str) -> None:
    raise _Unsaid(f"{name} is not JSON")


# numbers stay as they were written, and an object's repeated names are seen
DECODER = json.JSONDecoder(object_pairs_hook=tuple, parse_int=str, parse_float=str, parse_constant=_refuse_constant)


def ndjson_rows(parts: Iterable[bytes], line: int | None = None) -> Iterator[Row]:
    """The columns as a header, then a row for every line that is not blank; of a later part, its rows from ``line`` on.

    Raises ``NdjsonMalformed`` with the line where the stream stops being objects.
    """
    lines = Lines(parts, NdjsonMalformed, line)
    if line is None:
        yield Row(0, 0, 0, COLUMNS)
    for text in lines:
        if text.strip():
            yield _row(lines, _pairs(text, lines.lines))


def _pairs(line: str, number: int) -> Pairs:
    try:
        found = DECODER.decode(line)
    except RecursionError:
        raise NdjsonMalformed(f"Line {number} is nested too deeply.") from None
    except json.JSONDecodeError as wrong:
        raise NdjsonMalformed(f"Line {number} is not JSON: {wrong.msg} at character {wrong.colno}.") from None
    except _Unsaid as wrong:
        raise NdjsonMalformed(f"Line {number} is not JSON: {wrong}.") from None
    if not isinstance(found, tuple):
        raise NdjsonMalformed(f"Line {number} is not an object.")
    return list(found)


def _row(lines: Lines, pairs: Pairs) -> Row:
    if len(pairs) > MOST_CELLS:
        said = f"The object has {len(pairs)} names; there are {len(COLUMNS)} columns."
        return Row(lines.lines, lines.lines, lines.bytes, [""] * len(COLUMNS), [InvalidValue.at("", said)])
    cells: dict[str, str] = {}
    errors: list[FieldError] = []
    for name, value in pairs:
        if name not in COLUMNS:
            shown = repr(name[:60])  # escapes what no problem can hold
            errors.append(InvalidValue.at(f"/{shown[1:-1].replace('/', '~1')}", f"There is no column {shown}."))
        elif name in cells:
            errors.append(InvalidValue.at(f"/{name}", "The name is there twice."))
        else:
            cells[name], wrong = _cell(name, value)
            errors += wrong
    return Row(lines.lines, lines.lines, lines.bytes, [cells.get(name, "") for name in COLUMNS], errors)


def _cell(name: str, value: Any) -> tuple[str, Sequence[FieldError]]:
    """A value as the text that a CSV cell would have."""
    if value is None:
        return "", ()
    if isinstance(value, str):
        return _as_sent(value), ()
    if name == NETWORKS and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return _as_sent(" ".join(value)), ()
    wanted = "a text or a list of texts" if name == NETWORKS else "a text"
    return "", [InvalidValue.at(f"/{name}", f"The value is not {wanted}.")]


def _as_sent(text: str) -> str:
    """A text with a lone surrogate that was escaped, as the bytes that it would be: it can be exported again."""
    if text.isascii() or not has_surrogate(text):
        return text
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
