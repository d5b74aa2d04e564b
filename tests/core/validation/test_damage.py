"""Texts that a program read in a wrong encoding are found, and sound ones are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.validation.damage import damage

URDU = "\u0633\u0646\u062f\u06be \u0632\u06cc\u0646\u0628"
WINDOWS_1252 = {byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256)}


def _misread(text: str) -> str:
    return "".join(WINDOWS_1252[byte] for byte in text.encode())


@pytest.mark.parametrize(
    "text", ["Caf\u00e9 M\u00fcller Ltd", URDU, "Caf\u00e9", "\u0641", "\u00e0", "\u00ed", "\u20ac 5"]
)
def test_utf8_that_was_read_as_windows_1252_is_told_with_what_it_was(text: str) -> None:
    assert damage(_misread(text)) == (
        f"The text is damaged: UTF-8 was read as Windows-1252. It probably was {text!r}: write that, and save the file "
        'as "CSV UTF-8".'
    )


def test_utf8_that_was_read_as_windows_1256_is_told_with_what_it_was() -> None:
    assert f"UTF-8 was read as Windows-1256. It probably was {URDU!r}" in (damage(URDU.encode().decode("cp1256")) or "")


def test_a_letter_that_was_lost_is_told_by_its_place() -> None:
    assert "at position 3 it has U+FFFD" in (damage("Caf\ufffd Ltd") or "")


@pytest.mark.parametrize(
    "text",
    [
        "", "Alpha Ltd", "Caf\u00e9 M\u00fcller", URDU, "\u00c9cole", "S\u00e3o Paulo", "\u0633\u06af",
        "\u06a9\u0645\u200c\u067e\u06cc",
        "\u00c3", "\u00a9 Alpha", "\u2013", "na\u00efve \u00dcber", "\u6f22\u5b57", "\u00e0 la carte",
    ],
)  # fmt: skip
def test_a_sound_text_is_not_damaged(text: str) -> None:
    assert damage(text) is None


@given(st.text(st.characters(min_codepoint=0x620, max_codepoint=0x6FF, categories=["Lo"])))
def test_no_word_of_urdu_is_damaged(text: str) -> None:
    assert damage(text) is None


@given(st.text(min_size=1).filter(lambda text: not text.isascii()))
def test_every_text_misread_once_is_damaged(text: str) -> None:
    assert damage(_misread(text))
