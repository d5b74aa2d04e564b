"""Reader of newline-delimited JSON files, in which each line is an object with the columns as names."""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from app.bulk_uploads.errors import NdjsonMalformed
from app.bulk_uploads.readers.header import COLUMN_OF_FOLDED, NETWORKS, WHY, fold, fold_ignored
from app.bulk_uploads.readers.layout import Layout
from app.bulk_uploads.readers.rows import MAX_CELLS, LineReader, Position, Row
from app.bulk_uploads.rules import COLUMNS, has_surrogate
from app.core.errors import FieldError, InvalidValue

Members = list[tuple[str, Any]]
IGNORED = ""


class _InvalidNumber(ValueError):
    """A number that JSON does not have, such as NaN."""


def _refuse_constant(name: str) -> None:
    raise _InvalidNumber(f"{name} is not JSON")


# numbers stay as written, and duplicate names of an object are kept
DECODER = json.JSONDecoder(object_pairs_hook=tuple, parse_int=str, parse_float=str, parse_constant=_refuse_constant)


def read_ndjson(parts: Iterable[bytes], layout: Layout, start: Position | None = None) -> Iterator[Row]:
    """Yield the columns as a header and a row for every line that is not blank; with ``start``, rows only, from there.

    A row has the number of its line. Raises ``NdjsonMalformed`` with the line.
    """
    lines = LineReader(parts, NdjsonMalformed, start and start.line)
    ignored = frozenset((WHY, *map(fold_ignored, layout.ignored_columns)))
    if start is None:
        yield Row(0, 0, 0, 0, COLUMNS)
    for text in lines:
        if text.strip():
            yield _row(lines, _decode(text, lines.lines), ignored)


def _decode(text: str, line: int) -> Members:
    try:
        found = DECODER.decode(text)
    except RecursionError:
        raise NdjsonMalformed(f"Line {line} is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise NdjsonMalformed(f"Line {line} is not JSON from character {error.colno} on.") from None
    except _InvalidNumber as error:
        raise NdjsonMalformed(f"Line {line} is not JSON: {error}.") from None
    if not isinstance(found, tuple):
        raise NdjsonMalformed(f"Line {line} is not an object.")
    return list(found)


def _row(lines: LineReader, members: Members, ignored: frozenset[str]) -> Row:
    line = lines.lines
    if len(members) > MAX_CELLS:
        detail = f"The object has {len(members)} members; there are {len(COLUMNS)} columns."
        return Row(line, line, line, lines.bytes, [""] * len(COLUMNS), [InvalidValue.at("", detail)])
    cells: dict[str, str] = {}
    errors: list[FieldError] = []
    for written, value in members:
        name = _column_of(written, ignored)
        if name == IGNORED:
            continue
        if name is None:
            quoted = repr(written[:60])  # escapes characters that a problem cannot hold
            errors.append(InvalidValue.at(f"/{quoted[1:-1].replace('/', '~1')}", f"Unknown column {quoted}."))
        elif name in cells:
            errors.append(InvalidValue.at(f"/{name}", f"Duplicate column {name!r}."))
        else:
            cells[name], value_errors = _cell(name, value)
            errors += value_errors
    return Row(line, line, line, lines.bytes, [cells.get(name, "") for name in COLUMNS], errors)


@lru_cache(maxsize=256)
def _column_of(written: str, ignored: frozenset[str]) -> str | None:
    """Return the column that a name means, ``IGNORED``, or None for an unknown one."""
    return IGNORED if fold_ignored(written) in ignored else COLUMN_OF_FOLDED.get(fold(written))


def _cell(name: str, value: Any) -> tuple[str, Sequence[FieldError]]:
    """Convert a value to the text of a CSV cell."""
    if value is None:
        return "", ()
    if isinstance(value, str):
        return _escape_surrogates(value), ()
    if name == NETWORKS and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return _escape_surrogates(" ".join(value)), ()
    allowed = "a string or a list of strings" if name == NETWORKS else "a string or a number"
    return "", [InvalidValue.at(f"/{name}", f"The value must be {allowed}.")]


def _escape_surrogates(text: str) -> str:
    """Turn lone surrogates of JSON escapes into escaped bytes, so that the text can be exported again."""
    if text.isascii() or not has_surrogate(text):
        return text
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
