"""Receipts: texts that prove a case to be one's own, without an account (ADR 0032). Pure functions of keys and values.

A receipt is ``PK-7H3KQ9-M2QXW8RT-5``: the encrypted number of the case, 40 bits of a MAC over the case and the number
of the receipt, and a check character, in the alphabet of Crockford's base 32. A case has one receipt at a time.
"""

import hmac
import unicodedata
from typing import NamedTuple
from uuid import UUID

from app.core.keyring import Keyring

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PREFIX = "PK"
FIRST_RECEIPT = 1  # the receipt of a new case
MAX_CASE_NUMBER = 2**30 - 1
NO_CASE_NUMBER = 0  # of no case: the numbers begin with 1
MAX_LENGTH = 100
_NUMBER_DIGITS, _MAC_DIGITS = 6, 8
_DIGITS = _NUMBER_DIGITS + _MAC_DIGITS
_HALF = 2**15 - 1
_ROUNDS = 4
# Letters that are read as digits, which the alphabet leaves out.
_READ_AS = {"O": "0", "I": "1", "L": "1"}
_VALUE_OF = {character: value for value, character in enumerate(ALPHABET)}


class ParsedReceipt(NamedTuple):
    """A well-formed receipt: the number of a case, which may not exist, and the MAC, still to be checked."""

    case_number: int
    mac: str


MALFORMED = ParsedReceipt(NO_CASE_NUMBER, "0" * _MAC_DIGITS)


def receipt_of(keyring: Keyring, case_id: UUID, case_number: int, receipt_number: int) -> str:
    """Return the receipt of a case; ``receipt_number`` counts its receipts from 1."""
    number = _encode(_encrypt(keyring, case_number), _NUMBER_DIGITS)
    mac = _mac(keyring, case_id, receipt_number)
    return f"{PREFIX}-{number}-{mac}-{_check_character(number + mac)}"


def parse(keyring: Keyring, text: str) -> ParsedReceipt:
    """Parse a receipt as people type it: small letters, spaces, digits of any script, O for 0. Raises nothing.

    A malformed text gives ``MALFORMED``, which is the receipt of no case, so that it takes the same way as others.
    """
    characters = _characters(text[: MAX_LENGTH + 1])
    digits, check = characters[:_DIGITS], characters[_DIGITS:]
    if len(text) > MAX_LENGTH or len(check) != 1 or not set(characters) <= _VALUE_OF.keys():
        return MALFORMED
    if check != _check_character(digits):
        return MALFORMED
    return ParsedReceipt(_decrypt(keyring, _decode(digits[:_NUMBER_DIGITS])), digits[_NUMBER_DIGITS:])


def is_receipt_of(keyring: Keyring, parsed: ParsedReceipt, case_id: UUID, receipt_number: int) -> bool:
    """True for the receipt of a case that is in force; compares in constant time."""
    return hmac.compare_digest(_mac(keyring, case_id, receipt_number), parsed.mac)


def _characters(text: str) -> str:
    """Return the characters of a receipt without its prefix, separators and signs that are not seen."""
    plain = (_plain(each) for each in unicodedata.normalize("NFKC", text).upper() if each.isalnum())
    characters = "".join(plain)
    return characters.removeprefix(PREFIX) if len(characters) > _DIGITS + 1 else characters


def _plain(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    return _READ_AS.get(character, character) if digit is None else str(digit)


def _mac(keyring: Keyring, case_id: UUID, receipt_number: int) -> str:
    digest = keyring.keyed_hash("subject", f"receipt:{case_id} {receipt_number}")
    return _encode(int(digest[: _MAC_DIGITS * 5 // 4], 16), _MAC_DIGITS)


def _encrypt(keyring: Keyring, number: int) -> int:
    """Encrypt 30 bits by a Feistel network, so that receipts do not tell how many cases there are, nor their order."""
    left, right = number >> 15, number & _HALF
    for turn in range(_ROUNDS):
        left, right = right, left ^ _round(keyring, turn, right)
    return left << 15 | right


def _decrypt(keyring: Keyring, number: int) -> int:
    left, right = number >> 15, number & _HALF
    for turn in reversed(range(_ROUNDS)):
        left, right = right ^ _round(keyring, turn, left), left
    return left << 15 | right


def _round(keyring: Keyring, turn: int, half: int) -> int:
    return int(keyring.keyed_hash("subject", f"case-number:{turn} {half}")[:4], 16) & _HALF


def _encode(number: int, digits: int) -> str:
    return "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(digits)))


def _decode(characters: str) -> int:
    number = 0
    for character in characters:
        number = number << 5 | _VALUE_OF[character]
    return number


def _check_character(characters: str) -> str:
    """Return the check character by Damm's algorithm over GF(32), with x⁵ + x² + 1.

    It finds each single wrong character and each exchange of neighbours. Crockford's own has signs that chats take for
    bold and struck out.
    """
    value = 0
    for character in characters:
        value = _doubled(value ^ _VALUE_OF[character])
    return ALPHABET[value]


def _doubled(value: int) -> int:
    doubled = value << 1
    return doubled ^ 0b100101 if doubled > 31 else doubled
