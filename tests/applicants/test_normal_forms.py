"""Numbers of an applicant are taken as people and spreadsheets write them, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.applicants import normal_forms, rules

SEPARATORS = st.sampled_from(["", " ", "-", " - ", "\u2013", "\u00a0", "."])
SCRIPTS = st.sampled_from(["0123456789", "٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "0123456789"])  # digits of scripts
WRAPPINGS = st.sampled_from(["{}", " {} ", "'{}", '="{}"', "\u200b{}", "{}\n", "\u00a0{}", "\ufeff{}"])


def _digits(count: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=count, max_size=count)


def _in_script(text: str, script: str) -> str:
    return text.translate(dict(zip(map(ord, "0123456789"), script, strict=True)))


@pytest.mark.parametrize(
    "text",
    [
        "0300 123456", "0300 12345678", "042-35761234", "+92 42 35761234", "021 111 222 333", "+1 202 555 0123",
        "+44 7700 900123", "00447700900123", "+971 50 123 4567", "0300-1234567 / 0301-7654321",
        "03001234567 03001234568", "03001234567, 03001234568", "0300-1234567/8", "03001234567 ext 5", "03001234567x5",
        "Ali 03001234567", "0300123456O", "tel:03001234567", "03OO1234567", "3520212345671", "1234567-8", "-", "N/A",
        "9.23E+11", "39.49.1.1", "", "0300" * 100,
    ],
)  # fmt: skip
def test_what_is_not_one_pakistani_mobile_number_has_no_normal_form(text: str) -> None:
    assert normal_forms.mobile(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "0300-1234567", "03001234567", "00923001234567", "923001234567", "+92 300 1234567", "+92-300-1234567",
        "(0300) 1234567", "3001234567", "٠٣٠٠١٢٣٤٥٦٧", "۰۳۰۰۱۲۳۴۵۶۷", '="03001234567"', "'03001234567",
        "+92 (0)300 1234567", "0300/1234567", "0300.123.4567", "0092-300-1234567", "+923001234567\u200b",
        "\u202a+92 300 1234567\u202c", "923001234567.0", "0300\u20111234567", "+92\u00a0300\u00a01234567",
    ],
)  # fmt: skip
def test_a_mobile_number_has_one_normal_form(text: str) -> None:
    assert normal_forms.mobile(text) == "+923001234567"


@given(
    st.sampled_from(["+92", "0092", "92", "0", "", "+92 (0)"]), st.tuples(_digits(2), _digits(3), _digits(4)),
    SEPARATORS, SCRIPTS, WRAPPINGS,
)  # fmt: skip
def test_every_writing_of_a_mobile_number_leads_to_the_form_that_is_accepted(
    prefix: str, groups: tuple[str, str, str], separator: str, script: str, wrapping: str
) -> None:
    written = separator.join([f"{prefix}3{groups[0]}", *groups[1:]])
    normal = normal_forms.mobile(wrapping.format(_in_script(written, script)))
    assert normal == f"+923{''.join(groups)}"
    assert rules.mobile(normal) == normal == normal_forms.mobile(normal)


@given(
    _digits(8),
    SEPARATORS.filter(lambda each: each != "."),
    SCRIPTS,
    WRAPPINGS,
    st.sampled_from(["", "NTN: ", "ntn ", "NTN#"]),
)
def test_every_writing_of_an_ntn_leads_to_the_form_that_is_accepted(
    digits: str, separator: str, script: str, wrapping: str, label: str
) -> None:
    written = f"{label}{_in_script(digits[:7] + separator + digits[7:], script)}"
    normal = normal_forms.ntn(wrapping.format(written))
    assert normal == f"{digits[:7]}-{digits[7:]}"
    assert rules.ntn(normal) == normal == normal_forms.ntn(normal)


@given(_digits(13), SEPARATORS, SCRIPTS, WRAPPINGS)
def test_every_writing_of_a_cnic_leads_to_the_form_that_is_accepted(
    digits: str, separator: str, script: str, wrapping: str
) -> None:
    groups = [digits[:5], digits[5:12], digits[12:]]
    normal = normal_forms.cnic(wrapping.format(_in_script(separator.join(groups), script)))
    assert normal == "-".join(groups)
    assert rules.cnic(normal) == normal == normal_forms.cnic(normal)


@pytest.mark.parametrize("text", ["1234567", "123456-7", "1234567-89", "3520212345671", "1.23E+07", "-", "C-1234567"])
def test_what_has_not_eight_digits_is_no_ntn(text: str) -> None:
    assert normal_forms.ntn(text) == text


@pytest.mark.parametrize("text", ["3.52E+12", "352021234567", "35202123456711", "352-021234567-1", "03001234567", "-"])
def test_what_has_not_thirteen_digits_in_their_groups_is_no_cnic(text: str) -> None:
    assert normal_forms.cnic(text) == text


@given(st.text("0123456789 -+().NTNC='\"\u2013\u200bE", max_size=24))
def test_a_normal_form_is_its_own_normal_form(text: str) -> None:
    for form in (normal_forms.mobile, normal_forms.ntn, normal_forms.cnic, normal_forms.email):
        assert form(form(text)) == form(text)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("it@indus.example.pk", "it@indus.example.pk"),
        ("\u00a0it@indus.example.pk\u200b", "it@indus.example.pk"),
        ("mailto:it@indus.example.pk", "it@indus.example.pk"),
        ("it@indus.example.pk, a@b.pk", "it@indus.example.pk, a@b.pk"),
    ],
)
def test_an_email_address_is_taken_without_what_is_not_seen_around_it(text: str, normal: str) -> None:
    assert normal_forms.email(text) == normal
