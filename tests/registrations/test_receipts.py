"""A receipt is read however people type it, found out when it is mistyped, and tells nothing of other cases."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.keyring import Keyring, WrappedKey
from app.registrations import receipts
from app.registrations.receipts import ALPHABET, MALFORMED, MAX_CASE_NUMBER

SECRET = "a-secret-of-at-least-thirty-two-characters"
CASE_ID = UUID("019b2f6e-6f00-7b1a-8c44-1f2e3d4c5b6a")
NUMBERS = st.integers(1, MAX_CASE_NUMBER)


def keyring_of(secret: str) -> Keyring:
    keyring = Keyring(secret)
    keys = keyring.first_keys().items()
    keyring.load(WrappedKey(id_, purpose, keyring.wrap(key), seals=False) for id_, (purpose, key) in enumerate(keys))
    return keyring


KEYRING = keyring_of(SECRET)
RECEIPT = receipts.receipt_of(KEYRING, CASE_ID, 7, 1)


def is_known(text: str, case_number: int = 7) -> bool:
    parsed = receipts.parse(KEYRING, text)
    is_right = receipts.is_receipt_of(KEYRING, parsed, CASE_ID, 1)
    return parsed.case_number == case_number and is_right


MALFORMED_TEXTS = {
    "nothing": "",
    "prefix": "PK-",
    "short": RECEIPT[:-1],
    "long": f"{RECEIPT}0",
    "no_such_letter": "PK-7U3KQ9-M2QXW8RT-5",
    "other_letters": "ß" * 15,
    "very_long": "0" * 10_000,
}


@pytest.mark.parametrize("text", MALFORMED_TEXTS.values(), ids=MALFORMED_TEXTS)
def test_a_malformed_text_is_the_receipt_of_no_case(text: str) -> None:
    assert receipts.parse(KEYRING, text) == MALFORMED


@given(st.text(max_size=60))
def test_no_text_makes_an_error(text: str) -> None:
    receipts.parse(KEYRING, text)


def test_each_single_wrong_character_is_found_out() -> None:
    for place, right in enumerate(RECEIPT):
        if place >= len("PK-") and right != "-":
            wrong = [RECEIPT[:place] + each + RECEIPT[place + 1 :] for each in ALPHABET if each != right]
            assert {receipts.parse(KEYRING, each) for each in wrong} == {MALFORMED}


@given(NUMBERS)
def test_each_exchange_of_neighbours_is_found_out(case_number: int) -> None:
    plain = receipts.receipt_of(KEYRING, CASE_ID, case_number, 1).replace("-", "")
    for place in range(len("PK"), len(plain) - 1):
        one, other = plain[place], plain[place + 1]
        if one != other:
            exchanged = plain[:place] + other + one + plain[place + 2 :]
            assert receipts.parse(KEYRING, exchanged) == MALFORMED


@pytest.mark.parametrize(
    "typed",
    [
        RECEIPT.lower(),
        RECEIPT.removeprefix("PK-"),
        RECEIPT.replace("-", " "),
        RECEIPT.replace("-", "\u2013"),
        f"\u200f {RECEIPT} \u200f",
        RECEIPT.replace("0", "O").replace("1", "l"),
        RECEIPT.translate({ord(str(digit)): chr(0x06F0 + digit) for digit in range(10)}),
        RECEIPT.translate({ord(str(digit)): chr(0xFF10 + digit) for digit in range(10)}),
    ],
    ids=["small", "without_prefix", "spaces", "dashes", "marks", "letters", "urdu_digits", "wide_digits"],
)
def test_a_receipt_is_read_as_people_type_it(typed: str) -> None:
    assert is_known(typed)


@given(NUMBERS)
def test_a_receipt_leads_to_its_case_and_no_other(case_number: int) -> None:
    text = receipts.receipt_of(KEYRING, CASE_ID, case_number, 1)
    assert len(text) == len("PK-7H3KQ9-M2QXW8RT-5")
    assert is_known(text, case_number)
    parsed = receipts.parse(KEYRING, text)
    assert not receipts.is_receipt_of(KEYRING, parsed, CASE_ID, 2)
    assert not receipts.is_receipt_of(KEYRING, parsed, UUID(int=1), 1)


def test_neither_the_order_of_cases_nor_their_number_shows() -> None:
    shown = [receipts.receipt_of(KEYRING, CASE_ID, number, 1)[3:9] for number in range(1, 200)]
    assert len(set(shown)) == len(shown)
    assert shown != sorted(shown)
    assert len({each[0] for each in shown}) > 20
    other = keyring_of("another-secret-of-thirty-two-characters!")
    assert receipts.receipt_of(other, CASE_ID, 7, 1) != RECEIPT
