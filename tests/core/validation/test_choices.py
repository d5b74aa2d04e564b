"""A choice is taken over case, blanks, dashes and underscores."""

import pytest

from app.core.validation.choices import normal_choice, suggested_choice

CHOICES = ["vpn_company", "call_centre", "it_services", "e_commerce", "ipsec", "ptcl", "nayatel"]


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("vpn_company", "vpn_company"), ("vpn_company ", "vpn_company"), ("VPN Company", "vpn_company"),
        ("vpn-company", "vpn_company"), ("IT Services", "it_services"), ("IPSec", "ipsec"), ("IP Sec", "ipsec"),
        ("PTCL", "ptcl"), ("E-Commerce", "e_commerce"), ("ecommerce", "e_commerce"),
        ("call\u2013centre", "call_centre"), ('="ptcl"', "ptcl"), ("'ptcl", "ptcl"),
        ("\u00a0Call\u200b Centre", "call_centre"), ("\uff30\uff34\uff23\uff2c", "ptcl"),
    ],
)  # fmt: skip
def test_a_choice_is_taken_as_people_write_it(text: str, choice: str) -> None:
    assert normal_choice(text, CHOICES) == choice


@pytest.mark.parametrize("text", ["Nayatel (Pvt) Ltd", "call center", "", "-", "vpn", "ptcl/nayatel", "x" * 200])
def test_a_text_of_other_letters_is_no_choice(text: str) -> None:
    assert normal_choice(text, CHOICES) == text


def test_two_choices_of_the_same_letters_are_not_told_apart() -> None:
    assert normal_choice("A B", ["a_b", "ab"]) == "A B"


@pytest.mark.parametrize(
    ("text", "choice"), [("IPSec", "ipsec"), ("call center", "call_centre"), ("03001234567", None), ("Ayesha", None)]
)
def test_a_choice_that_a_wrong_text_means_is_suggested(text: str, choice: str | None) -> None:
    assert suggested_choice(text, CHOICES) == choice
