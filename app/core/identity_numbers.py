"""The form of a CNIC, the number that the state gives a person, wherever it is looked for."""

import re
import unicodedata

CNIC = re.compile(r"[0-9]{5}-[0-9]{7}-[0-9]")
MASK = "*****-*******-*"
# As people write one: groups of 5, 7 and 1 digits, or all 13 in a row. The first digit of an issued number is its
# province's, 1 to 9; in a row of 13 that begins with 0, or after the + of a telephone number, there is none.
_GAP = r"(?: {0,2}[-./\\_\u00b7\u2010-\u2015\u2027\u2212\u30fb]{1,2} {0,2}| {1,3})"
# A random identifier in hexadecimal digits (of 96, 128, 160 or 256 bits) holds 13 decimal ones now and then.
_IDENTIFIER = r"(?<![0-9A-Za-z])(?=[0-9]*[A-Fa-f])(?:[0-9A-Fa-f]{64}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{32}|[0-9A-Fa-f]{24})"
_WITHIN = re.compile(
    rf"(?P<identifier>{_IDENTIFIER}(?![0-9A-Za-z]))"
    rf"|(?<![0-9])(?:[0-9]{{5}}{_GAP}[0-9]{{7}}{_GAP}[0-9](?![0-9])"
    rf"|(?:(?<!\+)[1-9][0-9]{{12}}|[0-9]{{5}}{_GAP}[0-9]{{8}}|[0-9]{{12}}{_GAP}[0-9])(?!-?[0-9]))"
)
_NO_CHARACTERS = ("Cf", "Me", "Mn")


def holds_cnic(text: str) -> bool:
    """Tell whether something in ``text`` may be a CNIC, in digits and separators of any script."""
    return any(not found["identifier"] for found in _WITHIN.finditer(_in_ascii_digits(text)))


def mask_cnics(text: str) -> str:
    """``text`` with what may be a CNIC made unreadable."""
    if not holds_cnic(text):
        return text
    return _WITHIN.sub(lambda found: found["identifier"] or MASK, _in_ascii_digits(text))


def _in_ascii_digits(text: str) -> str:
    """``text`` in compatibility form (NFKC), its digits in ASCII, without marks on them and invisible characters."""
    if text.isascii():
        return text
    bare = (each for each in unicodedata.normalize("NFKC", text) if unicodedata.category(each) not in _NO_CHARACTERS)
    return "".join(str(unicodedata.decimal(each, each)) for each in bare)
