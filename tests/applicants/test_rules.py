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
    "text",
    ["1234567890123", "12345-1234567-12", "12345-123456-1", " 12345-1234567-1", "12345-1234567-1\n", "١٢٣٤٥-1234567-1"],
)
def test_a_cnic_in_any_other_form_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(CnicMalformed) as refused:
        rules.cnic(text)
    assert refused.value.detail == "Write 13 digits in groups of 5, 7 and 1, with a dash between."


@pytest.mark.parametrize("text", ["12345678", "1234567-", "1234567-89", "123456-7", "1234567-8\n", "A234567-8"])
def test_an_ntn_in_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(NtnMalformed):
        rules.ntn(text)


@pytest.mark.parametrize(
    "text", ["03001234567", "+92300123456", "+9230012345678", "+924001234567", "+92 3001234567", "00923001234567"]
)
def test_a_mobile_number_in_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(MobileMalformed):
        rules.mobile(text)


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
