"""Location of a network as a pure function of the operators, their prefixes and the country's allocations."""

import pytest

from app.core.validation.networks import parse_canonical
from app.operators.rules import PrefixTable

ROWS = [
    (None, "45.115.84.0/22"),
    (None, "45.115.0.0/16"),  # around the one before
    (None, "2400:1460::/32"),
    ("nayatel", "45.115.84.0/24"),
    ("nayatel", "45.115.86.0/24"),
    ("ptcl", "8.8.8.0/24"),
    ("silent", None),
]


@pytest.mark.parametrize(
    ("network", "is_in_country"),
    [
        ("45.115.84.0/24", True),
        ("45.115.255.255/32", True),
        ("45.115.0.0/16", True),
        ("45.114.0.0/15", False),  # half of it
        ("45.116.0.0/32", False),
        ("8.8.8.8/32", False),
        ("2400:1460:1::/48", True),
        ("2400:1461::/48", False),
    ],
)
def test_a_network_is_in_the_country_when_an_allocation_holds_all_of_it(network: str, is_in_country: bool) -> None:
    assert PrefixTable(ROWS).is_in_country(parse_canonical(network)) is is_in_country


@pytest.mark.parametrize(
    ("operator", "network", "is_announced"),
    [
        ("nayatel", "45.115.84.9/32", True),
        ("nayatel", "45.115.86.0/24", True),
        ("nayatel", "45.115.85.0/24", False),
        ("nayatel", "45.115.84.0/23", False),  # half of it
        ("nayatel", "8.8.8.8/32", False),
        ("ptcl", "8.8.8.8/32", True),
        ("silent", "45.115.84.9/32", False),
        ("nobody", "45.115.84.9/32", False),
    ],
)
def test_a_network_is_announced_by_an_operator_one_of_whose_prefixes_holds_all_of_it(
    operator: str, network: str, is_announced: bool
) -> None:
    assert PrefixTable(ROWS).is_announced_by(operator, parse_canonical(network)) is is_announced


def test_an_operator_is_known_whether_or_not_it_announces_anything() -> None:
    prefixes = PrefixTable(ROWS)
    assert [prefixes.knows(code) for code in ("nayatel", "ptcl", "silent", "nobody")] == [True, True, True, False]


def test_without_allocations_nothing_is_in_the_country() -> None:
    announced = PrefixTable([("nayatel", "45.115.84.0/24")])
    assert not announced.is_in_country(parse_canonical("45.115.84.0/24"))
    assert announced.is_announced_by("nayatel", parse_canonical("45.115.84.0/24"))
