"""Characters and words in texts from spreadsheets: blanks, dashes, digits, invisible characters, and placeholders.

Invisible characters are those of Unicode's property Default_Ignorable_Code_Point, without the joiners, selectors and
signs that a text needs.
"""

import re
import unicodedata

from app.core.validation.damage import damage

# All dashes of Unicode (Pd), the minus sign, the hyphen bullet and the en dash of small forms.
DASHES = (
    "-\u058a\u05be\u1400\u1806\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u301c\u3030"
    "\u30a0\ufe31\ufe32\ufe58\ufe63\uff0d"
)
LINE_BREAKS = "\n\r\x0b\x0c\x85\u2028\u2029"
BLANKS = " \t\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u202f\u205f\u3000"
# Direction marks, embeddings, overrides and isolates (UAX 9).
BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_JOINERS = "\u200c\u200d"
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_NO_WIDTH = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u2065\u206a-\u206f\u2800\u3164\ufeff\uffa0"
    "\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
_ARABIC = (
    "\u0620-\u065f\u066e-\u06d3\u06d5-\u06dc\u06df-\u06e8\u06ea-\u06ef\u06fa-\u06ff\u0750-\u077f\u0870-\u088e"
    "\u0897-\u08e1\u08e3-\u08ff\ufb50-\ufdff\ufe70-\ufefc"
)
# A variation selector has a meaning after a symbol or an ideograph (UTS 37, UTS 51).
_SELECTABLE = "\u00a9\u00ae\u203c-\u2bff\u3030-\u9fff\uf900-\ufaff\U0001f000-\U0003ffff"
_INVISIBLE = re.compile(f"[{BIDI}{_NO_WIDTH}][{_SELECTORS}]*|(?<![{_SELECTABLE}])[{_SELECTORS}]+")
# Urdu needs a joiner between two letters, and no more than one.
_LONE_JOINER = re.compile(f"(?<![{_ARABIC}])[{_JOINERS}]|[{_JOINERS}](?![{_JOINERS}]*[{_ARABIC}])")
# What comes along when a number is copied from a page or a spreadsheet.
_EDGES = f"{BLANKS}{LINE_BREAKS}{_JOINERS}\u00ad\u180e\u200b\u2060\ufeff"
_RUN_OF_BLANKS = re.compile(f"[{BLANKS}{LINE_BREAKS}]+")
_RUN_WITH_BREAK = re.compile(f"[{BLANKS}]*[\t{LINE_BREAKS}][{BLANKS}{LINE_BREAKS}]*")
# ="0300" keeps a spreadsheet from reading a number; a leading quote does the same inside it.
_QUOTED = re.compile(r'=?\s*["\u201c\u201d](.*)["\u201c\u201d]', re.DOTALL)
_TEXT_PREFIXES = ("'", "\u2018", "\u2019")
_TEXT_STARTS = (*_TEXT_PREFIXES, "=", '"', "\u201c", "\u201d")
_PUNCTUATION = {
    **dict.fromkeys(map(ord, DASHES), "-"),
    **dict.fromkeys(map(ord, LINE_BREAKS), "\n"),
    **dict.fromkeys(map(ord, BLANKS), " "),
    **dict.fromkeys(map(ord, "\u066b\u06d4\u3002\uff61\u2024\ufe52"), "."),
    **dict.fromkeys(map(ord, "\u060c\u3001\uff64\ufe50"), ","),
    **dict.fromkeys(map(ord, "\u061b\ufe54"), ";"),
    **dict.fromkeys(map(ord, "\u2044\u2215"), "/"),
}
# Texts of spreadsheets and data frames in place of a value; a text without a letter or digit is one too.
_PLACEHOLDER = re.compile(
    r"#(?:n/a|n/v|nv|na|ref!|div/0!|value!|name\?|num!|null!|spill!|calc!|field!|blocked!|connect!|unknown!|busy!|error!"
    r"|external!|python!|timeout!|getting_data|n/a n/a)|err:[0-9]{3}"
    r"|[-+]?nan(?:\(ind\))?|[-+]?1\.#(?:ind|qnan)|<?(?:na|nat|null|none)>?|[\[(](?:blank|empty|null|none)[\])]"
    r"|nil|undefined|\\n|\[object object\]|loading\.\.\.|n[./\\]a\.?|n / a|not (?:applicable|available)|tbd"
    r"|[^\w\ufffd]+|_+",
    re.IGNORECASE,
)
# Most texts, found fast.
_SURELY_GIVEN = re.compile(r"(?!err:)[a-z0-9][ -~]*?[1-9][ -~]*", re.IGNORECASE)
_ZERO = re.compile(r"[-+]?[0\u0660\u06f0\uff10]+(?:[.,\u066b]0+)?")
_LOST_LETTERS = re.compile(r"\?{3,}|\A[?\s]+\Z")
# A spreadsheet shows a long number so, and a file saved from it keeps no other digits.
_SCIENTIFIC = re.compile(r"[-+]?[0-9](?:[.,][0-9]+)?E\+[0-9]{1,3}", re.IGNORECASE)


class _Ascii(dict[int, str | int]):
    """Translation of digits and full-width characters to ASCII, one character to one."""

    def __missing__(self, code: int) -> str | int:
        if 0xFF01 <= code <= 0xFF5E:
            return chr(code - 0xFEE0)
        return str(unicodedata.decimal(chr(code), "")) or code


_ASCII = _Ascii(_PUNCTUATION)


def in_ascii(text: str) -> str:
    """Write digits of any script, dashes, blanks, line breaks and separators in ASCII; the length stays."""
    return text.translate(_ASCII)


def trim(text: str) -> str:
    """Take blanks, line breaks and characters without width off both ends."""
    return text.strip(_EDGES)


def unwrap(text: str) -> str:
    """Take off the ends of a number what a spreadsheet needs to keep it a text: ``="..."`` or a leading quote."""
    text = trim(text)
    while text.startswith(_TEXT_STARTS):
        if text.startswith(_TEXT_PREFIXES):
            text = trim(text[1:])
        elif found := _QUOTED.fullmatch(text):
            text = trim(found[1])
        else:
            break
    return text


def one_line(text: str) -> str:
    """Write each run of blanks and line breaks as one blank, with none at the ends."""
    return _RUN_OF_BLANKS.sub(" ", text).strip(" ")


def without_line_breaks(text: str) -> str:
    """Write each line break or tab, with the blanks around it, as one blank; other blanks stay but at the ends."""
    return _RUN_WITH_BREAK.sub(" ", text).strip(" \xa0")


def visible(text: str) -> str:
    """Take out invisible characters; a joiner between two letters of the Arabic script stays."""
    if text.isascii():
        return text
    return _LONE_JOINER.sub("", _INVISIBLE.sub("", text))


def hidden_character(text: str) -> str | None:
    """Name the first character that ``visible`` takes out, with its code point and position from 0."""
    if text.isascii():
        return None
    found_each = (pattern.search(text) for pattern in (_INVISIBLE, _LONE_JOINER))
    found = min(filter(None, found_each), key=re.Match.start, default=None)
    if not found:
        return None
    name = unicodedata.name(found[0][0], "no name").lower()
    return f"the invisible character U+{ord(found[0][0]):04X} ({name}) at position {found.start()}"


def normal_name(text: str) -> str:
    """Write a name in one line with single blanks, without invisible characters and out of ``="..."``.

    A damaged text stays for its error.
    """
    if (_is_plain(text) and not text.startswith("=")) or damage(text):
        return text
    name = one_line(visible(text))
    while name.startswith("=") and (found := _QUOTED.fullmatch(name)):
        name = one_line(found[1])
    return name


def normal_code(text: str) -> str:
    """Write a reference or another number of a partner in one line, out of ``="..."``."""
    if text.isascii() and text.isprintable() and text[:1] not in {"=", " "} and text[-1:] != " ":
        return text
    text = without_line_breaks(text)
    found = _QUOTED.fullmatch(text) if text.startswith("=") else None
    return found[1].strip(" ") if found else text


def normal_number(text: str) -> str:
    """Write a number that is free text in one line with single blanks, without a spreadsheet's ``="..."`` or quote."""
    if _is_plain(text) and not text.startswith(_TEXT_STARTS):
        return text
    return one_line(unwrap(text) if text.strip(_EDGES).startswith(_TEXT_STARTS) else text)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and "  " not in text and text == text.strip(" ")


def is_placeholder(text: str, *, zero: bool = False) -> bool:
    """True for a text that stands for no value, as ``#N/A``, ``nan``, ``NULL`` or ``-``; with ``zero`` also for 0."""
    if _SURELY_GIVEN.fullmatch(text):
        return False
    bare = one_line(visible(text))
    return bool(_PLACEHOLDER.fullmatch(bare) or (zero and _ZERO.fullmatch(bare)))


def has_lost_letters(text: str) -> bool:
    """True when question marks stand for letters that the encoding of a file did not have."""
    return "??" in text and _LOST_LETTERS.search(text) is not None


def has_lost_digits(text: str) -> bool:
    """True for a number as ``3.52E+12``, whose digits a spreadsheet did not save."""
    return "+" in text and _SCIENTIFIC.fullmatch(unwrap(in_ascii(text))) is not None
