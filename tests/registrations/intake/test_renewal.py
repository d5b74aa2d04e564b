"""The case that a row replaces is the newest grant of its line, unless its successor exists."""

from uuid import UUID

import pytest

from app.registrations.intake.renewal import find_grant, is_to_be_replaced
from app.registrations.lines import NamedCase


def case(number: int, status: str, replaces: int | None = None, replaced_by: int | None = None) -> NamedCase:
    others = (None if each is None else UUID(int=each) for each in (replaces, replaced_by))
    return NamedCase(UUID(int=number), "R", status, *others)


@pytest.mark.parametrize(
    ("cases", "number"),
    [
        ([], None),
        ([case(1, "submitted")], 1),
        ([case(1, "expired")], 1),
        ([case(1, "approved", None, 2), case(2, "submitted", 1)], 1),
        ([case(1, "approved"), case(2, "rejected", 1)], 1),
        ([case(1, "approved"), case(2, "withdrawn", 1)], 1),
        ([case(1, "superseded", None, 2), case(2, "approved", 1)], 2),
        ([case(1, "superseded", None, 2), case(2, "lapsed", 1, 3), case(3, "in_review", 2)], 2),
        ([case(1, "superseded", None, 2), case(2, "revoked", 1)], 2),
    ],
)
def test_the_newest_grant_of_a_line_is_found(cases: list[NamedCase], number: int | None) -> None:
    for listed in (cases, cases[::-1]):
        found = find_grant(listed)
        assert (found and found.id.int) == number


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ([], True),
        ([case(3, "approved", 2)], True),
        ([case(2, "submitted", 1)], False),
        ([case(2, "information_requested", 1)], False),
        ([case(2, "approved", 1)], False),
        ([case(2, "superseded", 1, 3), case(3, "approved", 2)], False),
        ([case(2, "rejected", 1)], True),
        ([case(2, "withdrawn", 1)], True),
        ([case(2, "rejected", 1), case(3, "submitted", 1)], False),
        ([case(2, "submitted", 1), case(3, "withdrawn", 1)], False),
    ],
)
def test_a_case_is_replaced_by_a_row_once(own: list[NamedCase], expected: bool) -> None:
    assert is_to_be_replaced(case(1, "approved"), own) is expected
