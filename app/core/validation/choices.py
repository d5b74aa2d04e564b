"""Choices as people write them: in any case, with blanks, dashes or underscores."""

import re
import unicodedata
from collections.abc import Collection
from difflib import get_close_matches
from functools import lru_cache

from app.core.validation import texts

_BETWEEN_WORDS = re.compile(r"[\s_-]+")
MAX_LENGTH = 100


def normal_choice(text: str, choices: Collection[str]) -> str:
    """Return the choice that a text is but for case, blanks, dashes and underscores, or the text itself."""
    if text in choices or len(text) > MAX_LENGTH:
        return text
    return _by_letters(frozenset(choices)).get(_letters(text), text)


def suggested_choice(text: str, choices: Collection[str]) -> str | None:
    """Return the choice that a wrong text means or resembles, or None."""
    return _suggested_choice(text[:MAX_LENGTH], frozenset(choices))


@lru_cache(maxsize=1024)
def _suggested_choice(text: str, choices: frozenset[str]) -> str | None:
    normal = normal_choice(text, choices)
    if normal in choices:
        return normal
    by_letters = _by_letters(choices)
    close = get_close_matches(_letters(text), by_letters, 1, 0.8)
    return by_letters[close[0]] if close else None


@lru_cache(maxsize=64)
def _by_letters(choices: frozenset[str]) -> dict[str, str]:
    """Return choices by their letters; two choices with the same letters are not told apart, and left out."""
    letters = [_letters(choice) for choice in choices]
    return {each: str(choice) for each, choice in zip(letters, choices, strict=True) if letters.count(each) == 1}


def _letters(text: str) -> str:
    bare = unicodedata.normalize("NFKC", texts.in_ascii(texts.visible(texts.unwrap(text))))
    return _BETWEEN_WORDS.sub("", bare).casefold()
