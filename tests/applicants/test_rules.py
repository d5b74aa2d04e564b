"""Formats of an applicant's numbers and e-mail address."""

import pytest
from email_validator import validate_email
from hypothesis import given
from hypothesis import strategies as st

from app.applicants import rules
from app.applicants.errors import CnicMalformed, EmailMalformed, MobileMalformed, NtnMalformed
from app.core.errors import InvalidValue
from app.core.identity_numbers import CNIC


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("1234567890123", "Write *****-*****12-3: 13 digits"),
        (" 12345-1234567-1", "Write *****-*****67-1: 13 digits"),
        ("12345-1234567-1\n", "Write *****-*****67-1: 13 digits"),
        ("١٢٣٤٥-1234567-1", "Write *****-*****67-1: 13 digits"),
        ("12345-1234567-12", "The number has 14 digits."),
        ("12345-123456-1", "The number has 12 digits."),
        ("123-1234567-123", "Write 13 digits in groups of 5, 7 and 1"),
        ("3.52E+12", "The digits are lost: make the column Text and type the number again."),
        ("-", "'-' stands for no number"),
    ],
)
def test_a_cnic_in_any_other_form_is_refused_and_shown_by_three_digits_at_most(text: str, begins: str) -> None:
    with pytest.raises(CnicMalformed) as refused:
        rules.cnic(text)
    assert refused.value.detail.startswith(begins)
    assert "1234567" not in refused.value.detail


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("12345678", "Write 1234567-8: "),
        ("1234567\u20138", "Write 1234567-8: "),
        ("NTN: 1234567-8", "Write 1234567-8: "),
        ("1234567-8\n", "Write 1234567-8: "),
        ("1234567", "The check digit is missing: write 1234567- and the check digit. If a spreadsheet has dropped"),
        ("1234567-", "The check digit is missing"),
        ("123456-7", "There are six digits before the dash. If a leading zero was dropped, write 0123456-7."),
        ("1234567-89", "Write seven digits"),
        ("A234567-8", "Write seven digits"),
        ("1.23E+07", "The digits are lost"),
        ("#N/A", "'#N/A' stands for no number: leave it out"),
        ("0", "'0' stands for no number"),
    ],
)
def test_an_ntn_in_any_other_form_is_refused_with_the_text_to_write(text: str, begins: str) -> None:
    with pytest.raises(NtnMalformed) as refused:
        rules.ntn(text)
    assert refused.value.detail.startswith(begins)


def test_a_cnic_in_place_of_an_ntn_is_told_as_one_and_not_repeated() -> None:
    with pytest.raises(NtnMalformed) as refused:
        rules.ntn("3520212345671")
    assert refused.value.detail.startswith("13 digits are a CNIC: write it in cnic.")
    assert "12345671" not in refused.value.detail


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("03001234567", "Write +92*******567: "),
        ("00923001234567", "Write +92*******567: "),
        ("+92 3001234567", "Write +92*******567: "),
        ("+92300123456", "Write +92 and ten digits"),
        ("+9230012345678", "Write +92 and ten digits"),
        ("+924001234567", "Write +92 and ten digits"),
        ("0300-1234567 / 0301-7654321", "Write one number"),
        ("9.23E+11", "The digits are lost"),
        ("N/A", "'N/A' stands for no number"),
    ],
)
def test_a_mobile_number_in_any_other_form_is_refused_and_shown_by_three_digits(text: str, begins: str) -> None:
    with pytest.raises(MobileMalformed) as refused:
        rules.mobile(text)
    assert refused.value.detail.startswith(begins)
    assert "1234567" not in refused.value.detail.replace("+923001234567", "")


@pytest.mark.parametrize(
    "text", ["it", "it@", "@example.pk", "a b@example.pk", "it@example", "it@exa mple.pk", "a@b@c.pk"]
)
def test_an_invalid_email_address_is_refused(text: str) -> None:
    with pytest.raises(EmailMalformed):
        rules.email(text)


def test_an_email_address_over_254_characters_is_too_long_rather_than_malformed() -> None:
    longest = "a" * 242 + "@example.com"
    assert rules.email(longest) == longest
    with pytest.raises(InvalidValue):
        rules.email("a" + longest)


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("it@Example.PK", "it@example.pk"),
        ("IT@example.pk", "IT@example.pk"),
        ("it@xn--exmple-cua.pk", "it@ex\u00e4mple.pk"),
    ],
)
def test_the_normal_form_of_an_email_address_has_its_domain_in_lower_case_and_in_unicode(
    written: str, normal: str
) -> None:
    assert rules.email(written) == normal


@pytest.mark.parametrize(
    ("given", "pointers", "detail"),
    [
        ({"kind": "company"}, ["/ntn"], "A company needs ntn."),
        ({"kind": "company", "cnic": "12345-1234567-1"}, ["/ntn"], "A company needs ntn."),
        ({"kind": "individual", "ntn": "1234567-8"}, ["/cnic"], "An individual needs cnic."),
        ({"kind": "company", "ntn": "1234567-8"}, [], ""),
        ({"kind": "individual", "cnic": "12345-1234567-1"}, [], ""),
        ({"kind": "club"}, [], ""),
        ({}, [], ""),
    ],
)
def test_a_company_needs_an_ntn_and_an_individual_a_cnic(
    given: dict[str, str], pointers: list[str], detail: str
) -> None:
    errors = list(rules.missing_identity(given))
    assert [(each.pointer, each.code, each.detail) for each in errors] == [
        (pointer, "missing_field", detail) for pointer in pointers
    ]


def test_a_company_is_identified_by_its_ntn_and_an_individual_by_its_cnic() -> None:
    company = rules.Particulars("company", "Example Ltd", "1234567-8", None, "it@example.pk", None, None, None)
    assert company.identity == ("ntn", "1234567-8")
    individual = company._replace(kind="individual", ntn=None, cnic="12345-1234567-1")
    assert individual.identity == ("cnic", "12345-1234567-1")


@given(st.from_regex(CNIC, fullmatch=True, alphabet="0123456789-"))
def test_a_masked_cnic_shows_its_last_three_digits_and_nothing_else(cnic: str) -> None:
    assert rules.cnic(cnic) == cnic
    assert rules.mask_cnic(cnic) == f"*****-*****{cnic[11:13]}-{cnic[14]}"


WORD = st.text("abxn019", min_size=1, max_size=30)
JOINED = st.tuples(WORD, st.sampled_from(["", ".", "-", "--", "+", "_", "@"]), WORD).map("".join)
LAST = st.sampled_from(["pk", "com", "test", "localhost", "contest", "arpa", "x", "x1", "xn--p1ai"])


@given(st.tuples(JOINED, st.just("@"), JOINED, st.just("."), LAST).map("".join).filter(rules.PLAIN_EMAIL.fullmatch))
def test_the_fast_path_accepts_only_addresses_that_the_library_returns_unchanged(text: str) -> None:
    assert validate_email(text, check_deliverability=False).normalized == text
    assert rules.email(text) == text
