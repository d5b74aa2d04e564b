"""Damage of a text by a program that read it in a wrong encoding (mojibake)."""

import re

# Windows-1252 by the WHATWG's table, where bytes without a character stand for C1 controls; a program that reads
# Latin-1 makes controls of 32 bytes.
_WINDOWS_1252 = {ord(bytes([byte]).decode("cp1252", "ignore") or chr(byte)): byte for byte in range(0x80, 0x100)} | {
    byte: byte for byte in range(0x80, 0xA0)
}
_WINDOWS_1256 = {ord(bytes([byte]).decode("cp1256")): byte for byte in range(0x80, 0x100)}
MAX_QUOTED = 60


def _sequence(table: dict[int, int], first: int, last: int) -> re.Pattern[str]:
    """Return a pattern of a first byte of UTF-8 in a range and a byte that may follow it."""
    begins = "".join(chr(code) for code, byte in table.items() if first <= byte <= last)
    follows = "".join(chr(code) for code, byte in table.items() if 0x80 <= byte <= 0xBF)
    return re.compile(f"[{re.escape(begins)}][{re.escape(follows)}]")


# Both letters of such a pair stand in real Urdu too, so a text needs three of those that begin a letter of Arabic.
_ENCODINGS = (
    ("Windows-1252", _WINDOWS_1252, _sequence(_WINDOWS_1252, 0xC2, 0xF4), 1),
    ("Windows-1256", _WINDOWS_1256, _sequence(_WINDOWS_1256, 0xD8, 0xDB), 3),
)


def damage(text: str) -> str | None:
    """Say why a text is damaged, and what it probably was; None for a sound one.

    Damaged is a text with U+FFFD, and one whose bytes in Windows-1252 or Windows-1256 are UTF-8 of more than ASCII.
    """
    if text.isascii():
        return None
    if "\ufffd" in text:
        return (
            f"The text is damaged: at position {text.index(chr(0xFFFD))} it has U+FFFD in place of a letter that was "
            'lost. Write it again, and save the file as "CSV UTF-8".'
        )
    for name, table, sequence, least in _ENCODINGS:
        if len(sequence.findall(text)) >= least and (original := _decoded(text, table)):
            return (
                f"The text is damaged: UTF-8 was read as {name}. It probably was {original[:MAX_QUOTED]!r}: write "
                'that, and save the file as "CSV UTF-8".'
            )
    return None


def _decoded(text: str, table: dict[int, int]) -> str | None:
    try:
        return bytes(code if (code := ord(each)) < 0x80 else table[code] for each in text).decode()
    except (KeyError, UnicodeDecodeError):
        return None
