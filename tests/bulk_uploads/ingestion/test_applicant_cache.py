"""What an upload remembers of its applicants, and when it does not rely on it."""

from uuid import uuid4

import pytest

from app.applicants.rules import Particulars
from app.applicants.store import Identity
from app.bulk_uploads.ingestion import applicant_cache
from app.bulk_uploads.ingestion.applicant_cache import ApplicantCache, particulars_of, said_of


def company(number: int, name: str = "Nayab") -> Particulars:
    return Particulars("company", name, f"{number:07}-1", None, "a@example.pk", None, None, None)


def met(*given: Particulars) -> tuple[ApplicantCache, dict[str, Identity]]:
    known = {said_of(each): Identity(uuid4(), each.kind, "".join(each.identity)) for each in given}
    acquainted = ApplicantCache()
    for said, identity in known.items():
        acquainted.remember(said, identity)
    return acquainted, known


def test_what_is_said_comes_through_as_a_text() -> None:
    assert particulars_of(said_of(company(1))) == company(1)


def test_the_same_said_again_is_known() -> None:
    acquainted, known = met(company(1), company(2))
    assert acquainted.recall([*known, said_of(company(3))]) == [*known.values(), None]


def test_what_was_said_before_the_last_is_not_known() -> None:
    acquainted, known = met(company(1), company(1, "Nayab Sons"))
    assert acquainted.recall(list(known)) == [None, None]
    assert acquainted.recall([said_of(company(1))]) == [None]
    assert acquainted.recall([said_of(company(1, "Nayab Sons"))]) == [known[said_of(company(1, "Nayab Sons"))]]


def test_nothing_is_taken_as_known_of_an_applicant_of_whom_something_else_is_said_beside_it() -> None:
    acquainted, known = met(company(1), company(2))
    new = said_of(company(1, "Nayab Sons"))
    for said in ([new, *known], [*known, new]):
        assert acquainted.recall(said) == [known[each] if each == said_of(company(2)) else None for each in said]


def test_a_fixed_number_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applicant_cache, "REMEMBERED", 3)
    acquainted, known = met(*(company(number) for number in range(5)))
    assert acquainted.recall(list(known)) == [None, None, *list(known.values())[2:]]
    acquainted.remember(said_of(company(4, "Nayab Sons")), list(known.values())[4])
    assert acquainted.recall([said_of(company(number)) for number in (2, 3)]) == list(known.values())[2:4]
