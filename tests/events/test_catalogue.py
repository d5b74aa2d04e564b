"""The catalogue of events agrees with what is recorded, with its documentation, and with what webhooks accept."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.errors import InvalidValue
from app.events import catalogue
from app.events.schemas import Event, described_types
from app.reviews.rules import PARTICIPLES
from tests.support import cases
from tests.support.events import wait_for_event
from tests.support.service import Caller, Service

ROOT = Path(__file__).parents[2]
SUBJECTS = {name.partition(".")[0] for name in catalogue.NAMES}
TYPE = re.compile(r"[a-z_]+\.[a-z_]+")
REMARK = r"\*"
RECORDING = ("NewEvent", "insert_events", "_record")
BY_CODE = {*(f"registration.{each}" for each in PARTICIPLES.values())}
BY_CODE |= {f"client_change.{verb}" for verb in ("asked", "confirmed", "withdrawn")}


def recorded_types() -> Iterator[str]:
    """Yield the types in the service's code: in calls that record, and every text that begins with a subject."""
    for file in (ROOT / "app").rglob("*.py"):
        if file.name == "catalogue.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in RECORDING:
                yield from (found for each in node.args if (found := type_in(each)))
            elif (found := type_in(node)) and found.partition(".")[0] in SUBJECTS:
                yield found


def type_in(node: ast.AST) -> str | None:
    """Return the text of a node when it has the form of a type of event."""
    text = node.value if isinstance(node, ast.Constant) else None
    return text if isinstance(text, str) and TYPE.fullmatch(text) else None


def documented() -> str:
    """Return the table of the documentation."""
    head = "| type | for | an event of it | `details` |\n|---|---|---|---|\n"
    return head + "".join(_line(each) for each in catalogue.CATALOGUE)


def _line(described: catalogue.EventType) -> str:
    fields = [f"`{each.name}`{REMARK * each.is_remark}{'?' * each.is_optional}" for each in described.details]
    readers, details = ", ".join(described.seen_by), ", ".join(fields)
    return f"| `{described.name}` | {readers} | {described.description} | {details} |\n"


@pytest.mark.parametrize(
    "pattern",
    ["", "*.*", "registration", "registration.", ".approved", "a.b.c", "Registration.x", "registration.ap*", "* ",
     "case.*", "registration.aproved", "registration.approved_later", "ayesha@example.com", "r" * 10_000],
)  # fmt: skip
def test_a_pattern_that_no_type_matches_is_refused_without_repeating_it(pattern: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        catalogue.check_pattern(pattern)
    assert "GET /v1/events/types" in refused.value.detail
    assert f" {pattern} " not in refused.value.detail


def test_a_misspelt_type_is_answered_with_the_nearest() -> None:
    for pattern, meant in (("registration.aproved", "registration.approved"), ("registrations.*", "registration.*")):
        with pytest.raises(InvalidValue, match=re.escape(meant)):
            catalogue.check_pattern(pattern)


def test_wildcards_stand_for_all_types_of_a_subject_or_for_all() -> None:
    assert set(catalogue.names_of("*")) == set(catalogue.NAMES)
    assert set(catalogue.names_of("client.*")) == {name for name in catalogue.NAMES if name.startswith("client.")}
    assert catalogue.names_of("client.created") == ("client.created",)
    for pattern in catalogue.PATTERNS:
        assert catalogue.check_pattern(pattern) == pattern


def test_every_type_that_the_service_records_is_in_the_catalogue_and_no_other() -> None:
    assert len(set(catalogue.NAMES)) == len(catalogue.NAMES)
    assert BY_CODE | set(recorded_types()) == set(catalogue.NAMES)


def test_the_documentation_has_the_types_of_the_catalogue() -> None:
    text = (ROOT / "docs/events.md").read_text()
    assert documented() in text, f"docs/events.md should have this table:\n\n{documented()}"


async def test_the_types_are_listed_with_their_readers_details_and_an_example(service: Service, pseb: Caller) -> None:
    narrow = await service.token(pseb.credentials, "registrations:read")
    refused = await service.http.get("/v1/events/types", headers={"Authorization": f"Bearer {narrow}"})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    page = (await pseb.get("/v1/events/types")).json()
    assert page["next_cursor"] is None
    listed = {each["type"]: each for each in page["items"]}
    assert tuple(listed) == catalogue.NAMES
    approved = listed["registration.approved"]
    assert approved["seen_by"] == ["partner", "operator", "regulator"]
    details = {each["name"]: each for each in approved["details"]}
    assert {"status", "networks", "reference", "operator", "reason_codes", "note", "expires_at"} <= details.keys()
    assert details["note"]["is_remark"]
    assert approved["example"]["details"].keys() == details.keys()
    for each in described_types():
        assert Event.model_validate(each.example).type == each.type


async def test_webhooks_take_types_of_the_catalogue_and_wildcards_that_match_some(pseb: Caller) -> None:
    body = {"url": "https://receiver.example/hook", "event_types": ["registration.aproved", "registration.*", "case.*"]}
    answer = await pseb.post("/v1/webhooks", json=body)
    assert cases.codes(answer) == {"/event_types/0": "invalid_value", "/event_types/2": "invalid_value"}
    assert "registration.approved" in answer.json()["errors"][0]["detail"]


async def test_events_carry_what_the_catalogue_says(pseb: Caller, nayatel: Caller, officer: Caller) -> None:
    case = await cases.submitted(pseb, reference="one")
    path, any_ = f"/v1/registrations/{case['id']}", {"If-Match": "*"}
    assert (await officer.post(f"{path}/claim", headers=any_)).status_code == 200
    assert (await officer.delete(f"{path}/claim", headers=any_)).status_code == 200
    verdict = {"reason_codes": ["document_missing"], "note": "The lease"}
    for action in ("request_information", "approve"):
        given = verdict if action == "request_information" else {}
        body = {"registration_id": case["id"], "action": action, **given}
        assert (await officer.post("/v1/review-decisions", json=body, headers=any_)).status_code == 201
        if action == "request_information":
            await pseb.patch(path, json={"purpose": "banking"}, headers=any_)
            await pseb.post(f"{path}/submit", headers=any_)
    described = {each.name: each for each in catalogue.CATALOGUE}
    remarks = {"note", "legal_basis"}
    for caller in (pseb, nayatel, officer):
        told = await wait_for_event(caller, "registration.approved")
        of_case = [each for each in told if each["subject_id"] == case["id"]]
        assert len(of_case) == 7
        for event in told:
            assert event["type"] == event["name"]
            fields = described[event["type"]].details
            shown = {each.name for each in fields} - (remarks if caller is nayatel else set())
            assert event["details"].keys() <= shown, event
            assert {each.name for each in fields if not each.is_optional and each.name in shown} <= set(
                event["details"]
            )
        content = {"networks": case["networks"], "reference": "one", "operator": "nayatel"}
        assert all(event["details"].items() >= content.items() for event in of_case)


async def test_the_reason_of_an_ended_claim_names_the_operator_to_the_regulator_alone(
    service: Service, pseb: Caller, nayatel: Caller, officer: Caller
) -> None:
    other = await service.caller("pta", client="other")
    case = await cases.submitted(pseb)
    path, any_ = f"/v1/registrations/{case['id']}", {"If-Match": "*"}
    await officer.post(f"{path}/claim", headers=any_)
    assert (await other.delete(f"{path}/claim?reason=Leave", headers=any_)).status_code == 200
    name = "registration.claim_ended"
    (ended,) = [each for each in await wait_for_event(officer, name) if each["type"] == name]
    assert ended["details"].items() >= {"networks": case["networks"], "operator": "nayatel", "reason": "Leave"}.items()
    for caller in (pseb, nayatel):
        told = await wait_for_event(caller, "registration.given_back")
        assert name not in {each["type"] for each in told}
