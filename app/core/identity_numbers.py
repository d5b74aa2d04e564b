"""Detection and masking of CNICs, the identity numbers of citizens, in texts."""

import re
import unicodedata

CNIC = re.compile(r"[0-9]{5}-[0-9]{7}-[0-9]")
MASK = "*****-*******-*"
# Groups of 5, 7 and 1 digits with separators, or 13 digits. The first digit is that of a province, 1 to 9, so 13 digits
# that begin with 0, or follow the + of a telephone number, are no CNIC.
_GAP = r"(?: {0,2}[-./\\_\u00b7\u2010-\u2015\u2027\u2212\u30fb]{1,2} {0,2}| {1,3})"
# Hexadecimal identifiers of 96, 128, 160 or 256 bits may contain 13 decimal digits.
_IDENTIFIER = r"(?<![0-9A-Za-z])(?=[0-9]*[A-Fa-f])(?:[0-9A-Fa-f]{64}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{32}|[0-9A-Fa-f]{24})"
_PATTERN = re.compile(
    rf"(?P<identifier>{_IDENTIFIER}(?![0-9A-Za-z]))"
    rf"|(?<![0-9])(?:[0-9]{{5}}{_GAP}[0-9]{{7}}{_GAP}[0-9](?![0-9])"
    rf"|(?:(?<!\+)[1-9][0-9]{{12}}|[0-9]{{5}}{_GAP}[0-9]{{8}}|[0-9]{{12}}{_GAP}[0-9])(?!-?[0-9]))"
)
_IGNORED_CATEGORIES = ("Cf", "Me", "Mn")


def contains_cnic(text: str) -> bool:
    """True when a part of ``text`` may be a CNIC, in digits and separators of any script."""
    return any(not match["identifier"] for match in _PATTERN.finditer(_in_ascii_digits(text)))


def mask_cnics(text: str) -> str:
    """Mask every part of ``text`` that may be a CNIC."""
    if not contains_cnic(text):
        return text
    return _PATTERN.sub(lambda match: match["identifier"] or MASK, _in_ascii_digits(text))


def _in_ascii_digits(text: str) -> str:
    """Normalize ``text`` to NFKC with ASCII digits, without combining marks and invisible characters."""
    if text.isascii():
        return text
    bare = (
        each for each in unicodedata.normalize("NFKC", text) if unicodedata.category(each) not in _IGNORED_CATEGORIES
    )
    return "".join(str(unicodedata.decimal(each, each)) for each in bare)
