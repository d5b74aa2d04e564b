"""Requirements of a decision, and the cases an officer may decide, as pure functions."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.partners.persons import UNNAMED, ClientUser, ClientUsers
from app.partners.rules import PartnerKind
from app.registrations.rules import Case, Flag, Status
from app.reviews import rules
from app.reviews.rules import Action

NOW = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
DAY, MOMENT = timedelta(days=1), timedelta(microseconds=1)
PARTNER, OFFICER, COLLEAGUE, UNNAMED_OFFICER = (UUID(int=number) for number in range(1, 5))
USERS = [
    ClientUser(PARTNER, PartnerKind.ASSOCIATION, None, is_disabled=False),
    ClientUser(OFFICER, PartnerKind.REGULATOR, "Ayesha Khan", is_disabled=False),
    ClientUser(COLLEAGUE, PartnerKind.REGULATOR, "Bilal Ahmed", is_disabled=False),
    ClientUser(UNNAMED_OFFICER, PartnerKind.REGULATOR, None, is_disabled=False),
]
SEEN_BY_OFFICER = ClientUsers(OFFICER, USERS)


def case(
    number: int = 1,
    status: str = Status.SUBMITTED,
    *,
    content_by: Sequence[UUID] = (),
    claimed_by: UUID | None = None,
    flags: Sequence[str] = (),
) -> Case:
    ends_at = NOW + timedelta(hours=1) if claimed_by else None
    return Case(UUID(int=number), 1, status, PARTNER, PARTNER, "nayatel", claimed_by, content_by, ends_at, flags)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"action": "approve"}, []),
        ({"action": "reinstate"}, []),
        ({"action": "reject"}, ["/reason_codes"]),
        ({"action": "reject", "reason_codes": []}, ["/reason_codes"]),
        ({"action": "reject", "reason_codes": ["misuse"]}, []),
        ({"action": "request_information"}, ["/reason_codes"]),
        ({"action": "suspend"}, ["/reason_codes", "/legal_basis"]),
        ({"action": "revoke"}, ["/reason_codes", "/legal_basis"]),
        ({"action": "revoke", "reason_codes": ["misuse"], "legal_basis": "Order 1"}, []),
        ({"action": "revoke", "reason_codes": ["misuse"]}, ["/legal_basis"]),
        ({"action": "reject", "reason_codes": ["misuse", "other"]}, ["/note"]),
        ({"action": "reject", "reason_codes": ["other"], "note": "The scan is empty."}, []),
        ({"action": "approve", "reason_codes": ["other"]}, ["/note"]),
        ({"action": "extend"}, ["/expires_at"]),
        ({"action": "extend", "expires_at": "2090-01-01T00:00:00Z"}, []),
        ({"action": "approve", "reason_codes": "other"}, []),  # not a list: another check refuses it
        ({"action": "close"}, []),  # the same
        ({}, []),
    ],
)
def test_an_action_needs_reasons_a_legal_basis_and_a_note_where_they_are_due(
    given: dict[str, object], missing: list[str]
) -> None:
    errors = list(rules.missing_for_action(given))
    assert [error.pointer for error in errors] == missing
    assert {error.code for error in errors} <= {"missing_field"}
    named = [str(given["action"]) if error.pointer != "/note" else "'other'" for error in errors]
    assert all(name in error.detail for name, error in zip(named, errors, strict=True))


@pytest.mark.parametrize(
    ("action", "is_refused"),
    [(action, action not in ("approve", "reinstate")) for action in Action] + [("close", False), (None, False)],
)
def test_flags_are_named_only_where_something_is_granted(action: str | None, is_refused: bool) -> None:
    given = {"action": action, "including_flags": ["outside_country"]}
    errors = list(rules.flags_without_grant(given))
    assert [(error.pointer, error.code) for error in errors] == [("/including_flags", "invalid_value")] * is_refused
    assert all(f"{action} grants nothing" in error.detail for error in errors)
    assert all("approve and reinstate" in error.detail for error in errors)
    assert list(rules.flags_without_grant({"action": action})) == []


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        ("expires_at", {"approve", "extend"}),
        ("grace_days", {"approve"}),
        ("effective_at", {"suspend", "revoke"}),
    ],
)
def test_a_time_goes_with_the_actions_that_have_it(name: str, actions: set[str]) -> None:
    for action in Action:
        errors = list(rules.times_of_other_actions({"action": action, name: "2090-01-01T00:00:00Z"}))
        assert [(error.pointer, error.code) for error in errors] == (
            [] if action in actions else [(f"/{name}", "invalid_value")]
        )
        assert all(f"not with {action}" in error.detail for error in errors)
    for given in ({"action": "close", name: 1}, {name: 1}, {"action": next(iter(actions))}):
        assert list(rules.times_of_other_actions(given)) == []


def test_a_time_that_is_now_or_was_before_is_not_in_the_future() -> None:
    times = {"expires_at": NOW, "effective_at": NOW - MOMENT}
    assert [error.pointer for error in rules.times_passed(times, NOW)] == ["/expires_at", "/effective_at"]
    assert rules.times_passed({"expires_at": NOW + MOMENT, "effective_at": None}, NOW) == []


@pytest.mark.parametrize("action", ["suspend", "revoke"])
def test_a_notice_is_put_off_but_not_shortened(action: str) -> None:
    announced = replace(case(status=Status.APPROVED), notice_action="suspend", notice_effective_at=NOW + DAY)
    for effective_at, code in (
        (None, "notice_shortened"),
        (NOW + DAY - MOMENT, "notice_shortened"),
        (NOW + DAY, None),
        (NOW + 2 * DAY, None),
    ):
        why = rules.untimely(announced, action, NOW, effective_at=effective_at, expires_at=None)
        assert (why.code if why else None) == code, effective_at
    assert rules.untimely(announced, action, NOW + DAY, effective_at=None, expires_at=None) is None
    assert rules.untimely(case(status=Status.APPROVED), action, NOW, effective_at=None, expires_at=None) is None
    assert rules.untimely(announced, "extend", NOW, effective_at=None, expires_at=NOW + 9 * DAY) is None


def test_an_extension_ends_later_than_the_approval_did() -> None:
    granted = replace(case(status=Status.APPROVED), expires_at=NOW + DAY)
    for expires_at, code in (
        (NOW + MOMENT, "validity_shortened"),
        (NOW + DAY, "validity_shortened"),
        (NOW + DAY + MOMENT, None),
    ):
        why = rules.untimely(granted, "extend", NOW, effective_at=None, expires_at=expires_at)
        assert (why.code if why else None) == code, expires_at
        assert rules.untimely(granted, "approve", NOW, effective_at=None, expires_at=expires_at) is None


def test_nothing_refuses_an_officer_a_case_that_is_open_unclaimed_and_anothers() -> None:
    assert rules.refusal(case(), Action.APPROVE, SEEN_BY_OFFICER, NOW) is None
    assert rules.refusal(case(claimed_by=OFFICER), Action.APPROVE, SEEN_BY_OFFICER, NOW) is None


def test_an_action_that_leads_nowhere_is_refused_with_the_action_and_the_status() -> None:
    refused = rules.refusal(case(status=Status.EXPIRED), Action.SUSPEND, SEEN_BY_OFFICER, NOW)
    assert refused is not None
    assert (refused.code, refused.detail) == (
        "illegal_transition",
        "This case is expired. Only a case that is approved or lapsed can be suspended.",
    )


def test_who_gave_a_case_its_content_does_not_decide_it_and_learns_when_only_a_name_is_missing() -> None:
    own = rules.refusal(case(content_by=[OFFICER]), Action.APPROVE, SEEN_BY_OFFICER, NOW)
    maybe = rules.refusal(case(content_by=[UNNAMED_OFFICER]), Action.APPROVE, SEEN_BY_OFFICER, NOW)
    assert own is not None
    assert maybe is not None
    assert own.code == maybe.code == "self_review"
    assert own.detail == own.title
    assert maybe.detail == UNNAMED
    assert rules.refusal(case(content_by=[COLLEAGUE]), Action.APPROVE, SEEN_BY_OFFICER, NOW) is None


def test_a_case_that_another_officer_has_claimed_is_refused_while_the_claim_lasts() -> None:
    claimed = case(status=Status.IN_REVIEW, claimed_by=COLLEAGUE)
    refused = rules.refusal(claimed, Action.APPROVE, SEEN_BY_OFFICER, NOW)
    assert refused is not None
    assert refused.code == "claimed_by_another"
    assert rules.refusal(claimed, Action.APPROVE, SEEN_BY_OFFICER, NOW + timedelta(hours=1)) is None


def test_of_many_cases_each_is_decided_or_refused_with_its_own_reason() -> None:
    fine, ended, own, last = case(1), case(2, Status.WITHDRAWN), case(3, content_by=[OFFICER]), case(4)
    allowed, refused = rules.split([fine, ended, own, last], Action.APPROVE, SEEN_BY_OFFICER, NOW)
    assert allowed == [fine, last]
    assert {id_: why.code for id_, why in refused.items()} == {ended.id: "illegal_transition", own.id: "self_review"}
    _, refused_later = rules.split(
        [case(claimed_by=COLLEAGUE)], Action.APPROVE, SEEN_BY_OFFICER, NOW + timedelta(minutes=59)
    )
    assert [why.code for why in refused_later.values()] == ["claimed_by_another"]


def test_a_batch_grants_a_flagged_case_only_when_it_names_each_flag_of_its_addresses() -> None:
    plain, contested = case(1), case(2, flags=[Flag.CONTESTED])
    abroad = case(3, flags=[Flag.CONTESTED, Flag.OUTSIDE_COUNTRY])
    both = case(4, flags=[Flag.OPERATOR_PREFIX_MISMATCH, Flag.OUTSIDE_COUNTRY])
    cases = [plain, contested, abroad, both]
    assert [rules.flags_of(each) for each in cases] == [
        [],
        [],
        ["outside_country"],
        ["outside_country", "operator_prefix_mismatch"],
    ]
    for named, granted in {
        (): [plain, contested],
        ("outside_country",): [plain, contested, abroad],
        ("operator_prefix_mismatch",): [plain, contested],
        ("operator_prefix_mismatch", "outside_country"): cases,
    }.items():
        allowed, refused = rules.split_flagged(cases, named)
        assert allowed == granted
        assert list(refused) == [each.id for each in cases if each not in granted]
        assert {why.code for why in refused.values()} <= {"flagged"}


def test_the_refusal_of_a_flagged_case_says_what_to_send() -> None:
    flags = [Flag.OUTSIDE_COUNTRY, Flag.OPERATOR_PREFIX_MISMATCH]
    _, refused = rules.split_flagged([case(flags=flags)], ())
    (why,) = refused.values()
    assert "outside_country and operator_prefix_mismatch" in why.detail
    assert '"including_flags": ["outside_country", "operator_prefix_mismatch"]' in why.detail
