"""Clients count as used by different people only when that is certain."""

from uuid import UUID

import pytest

from app.partners.persons import UNNAMED, ClientUser, ClientUsers, are_different_people
from app.partners.rules import PartnerKind


def user(number: int, person: str | None, kind: str = PartnerKind.REGULATOR, *, disabled: bool = False) -> ClientUser:
    return ClientUser(UUID(int=number), kind, person, disabled)


@pytest.mark.parametrize(
    "other", ["Ayesha Khan", "ayesha  KHAN ", "Ayesha\u200b Khan", "\uff21yesha Khan", "Ayesha\u00a0Khan"]
)
def test_spellings_of_one_name_are_one_person(other: str) -> None:
    assert not are_different_people(user(1, "Ayesha Khan"), user(2, other))


def test_officers_are_different_people_only_with_different_persons() -> None:
    named, other, unnamed = user(1, "A"), user(2, "B"), user(3, None)
    assert are_different_people(named, other)
    assert not are_different_people(named, unnamed)
    assert not are_different_people(unnamed, user(4, None))
    assert not are_different_people(unnamed, user(4, " \u200b "))
    assert not are_different_people(named, named)


def test_an_officer_and_an_associations_client_are_different_people_unless_they_name_the_same() -> None:
    officer, association = user(1, None), user(2, None, PartnerKind.ASSOCIATION)
    assert are_different_people(officer, association)
    assert are_different_people(officer, user(2, "A", PartnerKind.ASSOCIATION))
    assert not are_different_people(user(1, "A"), user(2, "A", PartnerKind.ASSOCIATION))


def test_clients_that_may_be_the_callers_own_are_found_with_the_reason() -> None:
    me, mine, unnamed, other, nobody = user(1, "A"), user(2, "a"), user(3, None), user(4, "B"), UUID(int=9)
    users = ClientUsers(me.client_id, [me, mine, unnamed, other])
    ids = [each.client_id for each in (me, mine, unnamed, other)]
    assert users.possibly_own([*ids, nobody]) == set(ids[:3])
    assert [users.is_surely_own(each) for each in [*ids, nobody]] == [True, True, False, False, False]
    assert users.explain(ids[:2]) == ""
    assert users.explain(ids[:3]) == UNNAMED
