"""Items merge into known records one after the other, and nothing of a refused item is taken."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.applicants.merging import (
    CLEARED,
    Change,
    Merged,
    PlannedRecords,
    Policy,
    Records,
    one_typing_difference,
    other_number,
    same_name,
)
from app.applicants.rules import Particulars
from app.core.errors import FieldError, Invalid

NTN, OTHER_NTN = "7700001-1", "7700002-2"
CNIC, OTHER_CNIC = "35202-1111111-1", "35202-2222222-2"
FIRM = Particulars("company", "Keeps Ltd", NTN, CNIC, "it@keeps.example.pk", "+923009990001", "PSEB-1", "PASHA-1")
PARTIAL = FIRM._replace(cnic=None, mobile=None, pseb_number=None, pasha_number=None)
PERSON = Particulars("individual", "Ayesha Khan", None, CNIC, "ayesha@example.com", None, None, None)


def records(*known: Particulars, planned: PlannedRecords | None = None, items: Sequence[Particulars] = ()) -> Records:
    """The records that items concern when all ``known`` are stored, as the database would tell them."""
    of_items = {item.identity[1] for item in items} if items else {each.identity[1] for each in known}
    found = {each.identity[1]: each for each in known}
    plans = planned or PlannedRecords()
    mine = {number: plans.find(number) or found.get(number) for number in of_items}
    held = Counter(number for each in known if (number := other_number(each)))
    return Records({number: each for number, each in mine.items() if each}, {*found}, held, plans)


def errors(effect: Merged | Invalid) -> list[FieldError]:
    assert isinstance(effect, Invalid)
    return list(effect.errors)


def places(effect: Merged | Invalid) -> list[tuple[str, str]]:
    return [(each.pointer, each.code) for each in errors(effect)]


def test_another_name_under_one_number_is_refused_with_both_names_and_changes_nothing() -> None:
    known = records(FIRM)
    refused = known.apply(PARTIAL._replace(legal_name="Beta Exports Ltd", email="it@beta.example.pk"), Policy.MERGE)
    assert places(refused) == [("/legal_name", "applicant_conflict")]
    (error,) = errors(refused)
    assert "'Keeps Ltd'" in error.detail
    assert "'Beta Exports Ltd'" in error.detail
    assert f"NTN {NTN}" in error.detail
    assert "typing error" not in error.detail
    assert list(known.changed()) == []


def test_a_name_that_differs_by_one_character_is_told_as_a_typing_error() -> None:
    (error,) = errors(records(FIRM).apply(PARTIAL._replace(legal_name="Keps Ltd"), Policy.MERGE))
    assert "differ by one character: probably a typing error in one of them" in error.detail


def test_a_refused_individual_is_told_of_its_cnic_without_the_number() -> None:
    (error,) = errors(records(PERSON).apply(PERSON._replace(legal_name="Bilal Ahmed"), Policy.MERGE))
    assert "The CNIC has the name 'Ayesha Khan'" in error.detail
    assert CNIC not in error.detail


@pytest.mark.parametrize("policy", Policy)
def test_a_number_of_an_applicant_of_the_other_kind_is_refused_under_every_policy(policy: Policy) -> None:
    person = PERSON._replace(ntn=OTHER_NTN)
    for item, pointer in (
        (FIRM, "/cnic"),
        (FIRM._replace(ntn=OTHER_NTN, cnic=None), "/ntn"),
        (FIRM._replace(ntn=OTHER_NTN, cnic=CNIC), "/ntn"),
    ):
        effect = records(person).apply(item, policy)
        assert places(effect)[0] == (pointer, "applicant_conflict")
        assert all(CNIC not in each.detail for each in errors(effect))
    firm = FIRM._replace(cnic=OTHER_CNIC)
    assert places(records(firm).apply(PERSON._replace(cnic=OTHER_CNIC), policy)) == [("/cnic", "applicant_conflict")]
    assert places(records(firm).apply(PERSON._replace(ntn=NTN), policy)) == [("/ntn", "applicant_conflict")]


@pytest.mark.parametrize("policy", [Policy.MERGE, Policy.RENAME])
def test_an_ntn_and_a_cnic_of_two_records_are_refused(policy: Policy) -> None:
    other = FIRM._replace(ntn=OTHER_NTN, cnic=OTHER_CNIC)
    known = records(FIRM, other)
    (error,) = errors(known.apply(FIRM._replace(cnic=OTHER_CNIC), policy))
    assert (error.pointer, error.code) == ("/cnic", "applicant_conflict")
    assert f"NTN {NTN} and the CNIC belong to two applicants" in error.detail
    assert OTHER_CNIC not in error.detail
    assert list(known.changed()) == []


def test_two_individuals_of_one_ntn_are_refused_at_the_ntn_once_both_are_known() -> None:
    first, second = PERSON._replace(ntn=NTN), PERSON._replace(cnic=OTHER_CNIC)
    refused = records(first, second).apply(second._replace(ntn=NTN), Policy.MERGE)
    assert places(refused) == [("/ntn", "applicant_conflict")]
    assert NTN in errors(refused)[0].detail
    assert OTHER_CNIC not in errors(refused)[0].detail


@pytest.mark.parametrize(
    "item", [PERSON._replace(cnic=CLEARED), FIRM._replace(ntn=CLEARED), PERSON._replace(ntn=CLEARED)]
)
def test_the_number_that_identifies_an_applicant_is_never_removed(item: Particulars) -> None:
    known = records()
    assert {code for _, code in places(known.apply(item, Policy.RENAME))} == {"invalid_value"}
    assert list(known.latest()) == []


def test_all_contradictions_of_an_item_come_at_once() -> None:
    item = FIRM._replace(legal_name="Beta", cnic=OTHER_CNIC)
    assert places(records(FIRM, FIRM._replace(ntn=OTHER_NTN, cnic=OTHER_CNIC)).apply(item, Policy.MERGE)) == [
        ("/cnic", "applicant_conflict"),
        ("/legal_name", "applicant_conflict"),
    ]


def test_a_number_given_up_in_an_earlier_row_is_free_in_the_next() -> None:
    known = records(FIRM)
    assert places(known.apply(PERSON, Policy.MERGE)) == [("/cnic", "applicant_conflict")]
    assert known.apply(PARTIAL._replace(cnic=CLEARED), Policy.MERGE) == Merged(False, (Change("cnic", CNIC, None),))
    assert known.apply(PERSON, Policy.MERGE) == Merged(True, ())
    assert places(known.apply(FIRM, Policy.MERGE)) == [("/cnic", "applicant_conflict")]


def test_a_new_company_may_have_the_cnic_of_an_owner_of_another() -> None:
    known = records(FIRM)
    second = FIRM._replace(ntn=OTHER_NTN, legal_name="Second Ltd")
    assert known.apply(second, Policy.MERGE) == Merged(True, ())
    assert known.apply(second, Policy.MERGE) == Merged(False, ())


def test_what_an_item_leaves_out_stays() -> None:
    known = records(FIRM)
    assert known.apply(PARTIAL, Policy.MERGE) == Merged(False, ())
    assert list(known.changed()) == []
    changed = known.apply(PARTIAL._replace(email="noc@keeps.example.pk"), Policy.MERGE)
    assert changed == Merged(False, (Change("email", "it@keeps.example.pk", "noc@keeps.example.pk"),))
    assert list(known.changed()) == [(NTN, FIRM, FIRM._replace(email="noc@keeps.example.pk"))]


def test_a_dash_removes_what_is_known_and_is_never_kept_as_a_value() -> None:
    known = records(FIRM)
    cleared = known.apply(PARTIAL._replace(mobile=CLEARED, pasha_number=CLEARED), Policy.MERGE)
    assert cleared == Merged(False, (Change("mobile", "+923009990001", None), Change("pasha_number", "PASHA-1", None)))
    again = known.apply(PARTIAL._replace(mobile=CLEARED, pasha_number=CLEARED), Policy.MERGE)
    assert again == Merged(False, ())
    new = records()
    assert new.apply(FIRM._replace(cnic=CLEARED, mobile=CLEARED), Policy.MERGE) == Merged(True, ())
    assert list(new.latest()) == [(NTN, FIRM._replace(cnic=None, mobile=None))]


def test_replacing_takes_all_details_of_the_item_and_no_others() -> None:
    known = records(FIRM)
    assert known.apply(PARTIAL._replace(legal_name="New Ltd", pseb_number=CLEARED), Policy.REPLACE) == Merged(
        False,
        (
            Change("legal_name", "Keeps Ltd", "New Ltd"),
            Change("cnic", CNIC, None),
            Change("mobile", "+923009990001", None),
            Change("pseb_number", "PSEB-1", CLEARED),
            Change("pasha_number", "PASHA-1", None),
        ),
    )


@pytest.mark.parametrize("name", ["KEEPS LTD", " keeps  ltd", "Keeps\u00a0Ltd", "KeepsLtd", "\uff2beeps Ltd"])
def test_a_name_that_is_equal_but_for_case_blanks_and_compatibility_is_no_change_unless_renamed(name: str) -> None:
    item = PARTIAL._replace(legal_name=name)
    assert records(FIRM).apply(item, Policy.MERGE) == Merged(False, ())
    renamed = records(FIRM).apply(item, Policy.RENAME)
    assert renamed == Merged(False, (Change("legal_name", "Keeps Ltd", name),))


def test_renaming_takes_another_name_as_a_change() -> None:
    known = records(FIRM)
    renamed = known.apply(PARTIAL._replace(legal_name="Beta Exports Ltd"), Policy.RENAME)
    assert renamed == Merged(False, (Change("legal_name", "Keeps Ltd", "Beta Exports Ltd"),))
    assert places(known.apply(FIRM, Policy.MERGE)) == [("/legal_name", "applicant_conflict")]


@pytest.mark.parametrize(
    ("one", "other", "differs_by_one"),
    [
        ("Alpha", "Alpha", False),
        ("Alpha", "ALPHA ", False),
        ("Alpha", "Alph", True),
        ("Alpha", "Alphaa", True),
        ("Alpha", "Alpja", True),
        ("Alpha", "Aplha", True),
        ("Alpha", "lAPHA", True),
        ("Alpha", "Ahpla", False),
        ("Alpha", "Alpjaa", False),
        ("Alpha", "Beta", False),
        ("aab", "ab", True),
        ("abab", "baab", True),
        ("", "", False),
        ("ab", "", False),
        ("Alpha Bank", "AlphaBamk", True),
    ],
)
def test_one_typing_difference_is_one_character_more_less_other_or_swapped(
    one: str, other: str, differs_by_one: bool
) -> None:
    assert one_typing_difference(one, other) == differs_by_one
    assert one_typing_difference(other, one) == differs_by_one


def edited(text: str) -> set[str]:
    """Every text that one typing difference over two letters makes of ``text``."""
    places_ = range(len(text))
    inserted = {text[:i] + letter + text[i:] for i in range(len(text) + 1) for letter in "ab"}
    replaced = {text[:i] + letter + text[i + 1 :] for i in places_ for letter in "ab"}
    deleted = {text[:i] + text[i + 1 :] for i in places_}
    swapped = {text[:i] + text[i + 1] + text[i] + text[i + 2 :] for i in places_[:-1]}
    return (inserted | replaced | deleted | swapped) - {text}


@given(st.text("ab", max_size=7), st.text("ab", max_size=7))
def test_one_typing_difference_is_found_exactly(one: str, other: str) -> None:
    assert one_typing_difference(one, other) == (other in edited(one))


@given(st.text(), st.text())
def test_a_name_is_the_same_as_its_own_case_and_blanks(name: str, other: str) -> None:
    assert same_name(name, f" {name} ")
    assert same_name(name, other) == same_name(other, name)


NTNS, CNICS, OPTIONAL = (NTN, OTHER_NTN), (CNIC, OTHER_CNIC), st.sampled_from([None, CLEARED, "+923001234567"])
NAMES = st.sampled_from(["Keeps Ltd", "KEEPS LTD", "Keps Ltd", "Beta"])
EMAILS = st.sampled_from(["a@example.pk", "b@example.pk"])
COMPANIES = st.builds(
    Particulars,
    st.just("company"), NAMES, st.sampled_from(NTNS), st.sampled_from([*CNICS, CLEARED, None]), EMAILS, OPTIONAL,
    OPTIONAL, st.none(),
)  # fmt: skip
PERSONS = st.builds(
    Particulars,
    st.just("individual"), NAMES, st.sampled_from([*NTNS, None]), st.sampled_from([*CNICS, CLEARED]), EMAILS, OPTIONAL,
    st.none(), OPTIONAL,
)  # fmt: skip


def told(effect: Merged | Invalid) -> object:
    return [(each.pointer, each.detail) for each in effect.errors] if isinstance(effect, Invalid) else effect


def recorded(
    items: Sequence[Particulars], policy: Policy, chunk: int, *, before: Sequence[Particulars], dry_run: bool
) -> tuple[list[object], dict[str, Particulars]]:
    """The effects of items in chunks, of which a dry run stores none, and the records that are left."""
    stored = {each.identity[1]: each for each in before}
    planned, effects = PlannedRecords(), list[object]()
    for start in range(0, len(items), chunk):
        given_ = items[start : start + chunk]
        known = records(*stored.values(), planned=planned, items=given_)
        effects += [told(known.apply(each, policy)) for each in given_]
        if dry_run:
            planned.keep(known)
            planned.forget()
            planned.keep(known)
        else:
            stored |= {number: latest for number, _, latest in known.changed()}
    numbers = {*stored, *(each.identity[1] for each in items)}
    return effects, {each: left for each in numbers if (left := planned.find(each) or stored.get(each))}


@given(
    st.lists(COMPANIES | PERSONS, max_size=12),
    st.lists(COMPANIES | PERSONS, max_size=3),
    st.sampled_from(Policy),
    st.integers(1, 5),
)
def test_chunks_and_dry_runs_tell_the_same_as_the_whole_file(
    items: list[Particulars], earlier: list[Particulars], policy: Policy, chunk: int
) -> None:
    if policy == Policy.REPLACE:
        items = [each for each in items if CLEARED not in each]
    _, before = recorded(earlier, Policy.RENAME, 1_000, before=[], dry_run=False)
    whole = recorded(items, policy, 1_000, before=[*before.values()], dry_run=False)
    for dry_run in (False, True):
        assert recorded(items, policy, chunk, before=[*before.values()], dry_run=dry_run) == whole


@given(st.lists(COMPANIES | PERSONS, max_size=8), st.sampled_from([Policy.MERGE, Policy.RENAME]))
def test_an_accepted_item_changes_nothing_when_it_comes_again(items: list[Particulars], policy: Policy) -> None:
    known = records()
    for item in items:
        if not isinstance(known.apply(item, policy), Invalid):
            assert known.apply(item, policy) == Merged(False, ())
            assert CLEARED not in dict(known.latest())[item.identity[1]]
