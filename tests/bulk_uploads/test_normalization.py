"""Cells are written in normal form by column, and messages show no one's number or e-mail address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bulk_uploads import rules
from app.bulk_uploads.normalization import MAX_SHOWN, NORMAL_FORMS, mask, normalize_cell

OPERATORS = frozenset(("ptcl", "nayatel"))


def test_every_column_has_a_normal_form() -> None:
    assert {*NORMAL_FORMS, "operator"} == {*rules.COLUMNS}


@pytest.mark.parametrize(
    ("column", "given_text", "taken"),
    [
        ("reference", " F-1", "F-1"),
        ("reference", "F-900\u200b", "F-900\u200b"),
        ("track", "VPN Company", "vpn_company"),
        ("applicant_kind", "Company", "company"),
        ("legal_name", "Alpha\nSoft Ltd", "Alpha Soft Ltd"),
        ("legal_name", '="Alpha Soft Ltd"', "Alpha Soft Ltd"),
        ("legal_name", '"Alpha" Soft', '"Alpha" Soft'),
        ("email", '="it@indus.example.pk"', "it@indus.example.pk"),
        ("email", "'it@indus.example.pk", "it@indus.example.pk"),
        ("track", '="vpn_company"', "vpn_company"),
        ("ntn", "12345678", "1234567-8"),
        ("cnic", "3520212345671", "35202-1234567-1"),
        ("email", "mailto:it@indus.example.pk", "it@indus.example.pk"),
        ("mobile", "0300-1234567", "+923001234567"),
        ("pseb_number", "'000123", "000123"),
        ("purpose", "IT Services", "it_services"),
        ("protocol", "IPSec", "ipsec"),
        ("operator", "PTCL", "ptcl"),
        ("operator", "Nayatel (Pvt) Ltd", "Nayatel (Pvt) Ltd"),
        ("subscriber_id", '="0012"', "0012"),
        ("networks", "39.49.1.1,39.49.1.2", "39.49.1.1 39.49.1.2"),
        ("description", " a\nb ", " a\nb "),
        ("networks", "", ""),
    ],
)
def test_a_cell_is_taken_in_the_normal_form_of_its_column(column: str, given_text: str, taken: str) -> None:
    assert normalize_cell(column, given_text, OPERATORS) == taken


@given(st.sampled_from(rules.COLUMNS), st.text())
def test_the_normal_form_of_a_cell_is_its_own(column: str, text: str) -> None:
    normal = normalize_cell(column, text, OPERATORS)
    assert normalize_cell(column, normal, OPERATORS) == normal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0300-1234567", "****-****567"),
        ("03001234567", "********567"),
        ("+92 300 1234567", "+** *** ****567"),
        ("00923001234567", "***********567"),
        ("3001234567", "*******567"),
        ("(042) 35761234", "(***) *****234"),
        ("+44 7700 900123", "+** **** ***123"),
        ("35202-1234567-1", "*****-*****67-1"),
        ("3520212345671", "**********671"),
        ("\u06f0\u06f3\u06f0\u06f0\u06f1\u06f2\u06f3\u06f4\u06f5\u06f6\u06f7", "********\u06f5\u06f6\u06f7"),
        ("it@indus.example.pk", "i***@indus.example.pk"),
        ("call 0300-1234567 or it@indus.example.pk", "call ****-****567 or i***@indus.example.pk"),
        ("b@x.pk 03001234567", "b***@x.pk ********567"),
    ],
)
@pytest.mark.parametrize("column", ["legal_name", "networks", "ntn", "reference", "mobile"])
def test_a_number_or_email_address_is_masked_in_any_column(column: str, text: str, shown: str) -> None:
    assert mask(column, text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "39.49.1.16-39.49.1.23", "39.49.1.40 255.255.255.248", "39.49.1.59:1194", "2400:1460:1::1",
        "2400:1460:1:2:3:4:5:6",
        "1234567", "1234567-8", "PSEB-2026-000123", "NAYATEL-00001234", "3.52E+12", "N/A", "039.049.001.063",
    ],
)  # fmt: skip
def test_a_network_and_a_number_of_no_person_are_shown(text: str) -> None:
    assert mask("networks", text) == text


@pytest.mark.parametrize(
    ("column", "text", "shown"),
    [
        ("mobile", "0300 12345", "**** **345"),
        ("mobile", "300.123.45.67", "***.***.*5.67"),
        ("cnic", "352021234567", "*********567"),
        ("cnic", "3.52E+12", "3.52E+12"),
        ("email", "it.indus.example.pk", "i***"),
        ("email", "N/A", "N/A"),
        ("email", "ayesha khan@indus.example.pk", "a*** k***@indus.example.pk"),
        ("email", "ayesha,k@indus.example.pk; b@x.pk", "a***,k***@indus.example.pk; b***@x.pk"),
        ("email", "Ayesha <khan@indus.example.pk>", "A*** <k***@indus.example.pk>"),
    ],
)
def test_in_the_column_of_a_number_or_email_address_every_text_is_masked_as_one(
    column: str, text: str, shown: str
) -> None:
    assert mask(column, text) == shown


def test_a_long_text_is_cut_and_what_is_not_seen_is_written_by_its_code() -> None:
    assert mask("legal_name", "x" * 80) == "x" * (MAX_SHOWN - 1) + "…"
    assert mask("legal_name", "A\nB\u200b\u00a0C\x00") == r"A\nB\u200b\xa0C\x00"


@given(st.sampled_from(rules.COLUMNS), st.text())
def test_what_is_shown_is_short_and_printable(column: str, text: str) -> None:
    shown = mask(column, text)
    assert len(shown) <= MAX_SHOWN
    assert shown.isprintable()
