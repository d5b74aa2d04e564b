"""Number formats of a spreadsheet (ECMA-376, 18.8.30 and 18.8.31), as far as they show digits or a date."""

import operator
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

BUILT_IN_INTEGER = 1
BUILT_IN_DATES = frozenset([*range(14, 23), *range(27, 37), 45, 46, 47, *range(50, 59)])
PLACEHOLDERS = "0#?"
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "<>": operator.ne,
}  # fmt: skip
TOKEN = re.compile(
    r"""
    "(?P<quoted>[^"]*)"? | \\(?P<escaped>.?) | (?P<space>_.?) | (?P<fill>\*.?) | \[(?P<bracket>[^\]]*)\]?
    | (?P<end>;) | (?P<place>[0#?]) | (?P<scientific>e[+-]) | (?P<general>general)
    | (?P<date>am/pm|a/p|[ymdhsbge]) | (?P<other>[.,%/@]) | (?P<literal>.)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
CONDITION = re.compile(r"(<=|>=|<>|<|>|=)\s*(-?\d+(?:\.\d+)?)")
ELAPSED = re.compile(r"h+|m+|s+", re.IGNORECASE)


class Section(NamedTuple):
    """One section of a number format: its condition, and literals and placeholders when it has nothing else."""

    condition: tuple[str, float] | None
    is_date: bool
    pieces: Sequence[str]
    is_placeholder: Sequence[bool]

    def holds(self, value: float) -> bool:
        """True when the section's own condition holds for a value."""
        return self.condition is not None and COMPARE[self.condition[0]](value, self.condition[1])


class NumberFormat(NamedTuple):
    """The sections of a number format that shows a date, or digits in its own way."""

    sections: Sequence[Section]

    def choose(self, value: float) -> Section:
        """Return the section for a value."""
        sections = self.sections
        if any(each.condition for each in sections):
            return next((each for each in sections if each.holds(value)), sections[-1])
        chosen = 1 if value < 0 else 2 if value == 0 else 0
        return sections[chosen] if chosen < min(len(sections), 3) else sections[0]

    def show(self, value: int) -> str:
        """Return the digits of a whole number as the sheet shows them; plain when the format does something else."""
        section = self.choose(value)
        shown = _show_digits(section, str(abs(value)) if value else "").strip()
        if not shown:
            return str(value)
        return f"-{shown}" if value < 0 and section is self.sections[0] else shown


def parse_format(code: str) -> NumberFormat | None:
    """Return the number format of a code, or None when it shows plain numbers."""
    parts: list[list[re.Match[str]]] = [[]]
    for token in TOKEN.finditer(code):
        if token.lastgroup == "end":
            parts.append([])
        else:
            parts[-1].append(token)
    sections = [_parse_section(each) for each in parts[:4]]
    return NumberFormat(sections) if any(each.is_date or each.pieces for each in sections) else None


def find_format(number: int, codes: dict[int, str]) -> NumberFormat | None:
    """Return the number format with a number: of the workbook's own ``codes``, or built in."""
    if number in codes:
        return parse_format(codes[number])
    if number in BUILT_IN_DATES:
        return parse_format("yyyy-mm-dd")
    return parse_format("0") if number == BUILT_IN_INTEGER else None


def _parse_section(tokens: Sequence[re.Match[str]]) -> Section:
    condition, is_date, is_plain = None, False, False
    pieces: list[str] = []
    is_placeholder: list[bool] = []
    for token in tokens:
        kind, text = token.lastgroup, token[token.lastgroup or 0]
        if kind == "bracket":
            if found := CONDITION.fullmatch(text):
                condition = (found[1], float(found[2]))
            is_date = is_date or ELAPSED.fullmatch(text) is not None
            text = text[1:].partition("-")[0] if text.startswith("$") else ""
        is_date = is_date or kind == "date"
        is_plain = is_plain or kind in ("other", "scientific", "general")
        if kind != "fill" and text:
            pieces.append(" " if kind == "space" else text)
            is_placeholder.append(kind == "place")
    if is_date or is_plain or not any(is_placeholder):
        pieces, is_placeholder = [], []
    return Section(condition, is_date, pieces, is_placeholder)


def _show_digits(section: Section, digits: str) -> str:
    """Put digits in the places of a section from the right; the leftmost place takes those that are left over."""
    shown: list[str] = []
    places = sum(section.is_placeholder)
    for piece, is_placeholder in zip(reversed(section.pieces), reversed(section.is_placeholder), strict=True):
        if not is_placeholder:
            shown.append(piece)
            continue
        places -= 1
        if digits:
            shown.append(digits[-1] if places else digits)
            digits = digits[:-1]
        else:
            shown.append({"0": "0", "?": " "}.get(piece, ""))
    return "".join(reversed(shown))
