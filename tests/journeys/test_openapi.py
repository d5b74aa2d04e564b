"""The served OpenAPI document says all that callers need, and the service does what it says."""

import asyncio
import json
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from app.main import create_app
from app.partners.rules import PartnerKind
from tests.support import cases, disruptions, events, example_calls, mail, postgres, processes, random_walks, uploads
from tests.support.held_changes import held_removal
from tests.support.service import Caller, Service

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
EXAMPLES = 12
PROBLEM = "application/problem+json"

document = create_app(postgres.settings_for("postgresql://unused")).openapi()
PATHS = {operation["operationId"]: path for path, item in document["paths"].items() for operation in item.values()}
OPERATIONS = [
    pytest.param(operation, id=f"{method.upper()} {path}")
    for path, item in document["paths"].items()
    for method, operation in item.items()
]


async def made(service: Service, pseb: Caller, officer: Caller) -> dict[str, str]:
    """The ids of existing resources."""
    granted = await cases.approved(pseb, officer)
    await service.publish()
    upload = await uploads.ingest(pseb, uploads.csv_of([uploads.row("A"), uploads.row("B", email="@")]))
    decision = (await officer.get(f"/v1/review-decisions?registration_id={granted['id']}")).json()["items"][0]
    other = await service.credentials("other")
    case = await cases.submitted(pseb)
    return {
        "applicant_id": case["applicant_id"],
        "registration_id": case["id"],
        "upload_id": upload["id"],
        "decision_id": decision["id"],
        "partner_id": str(other.partner_id),
        "client_id": str(other.id),
        "change_id": str(uuid4()),
        "held_id": await held_removal(service),
        "report_id": (await disruptions.sent(pseb, disruptions.body_of(cases.address())))["id"],
        "webhook_id": (await officer.post("/v1/webhooks", json={"url": "https://receiver.example/"})).json()["id"],
        "serial": "1",
        "code": "not_found",
    }


async def values_by_operation(service: Service, pseb: Caller, officer: Caller) -> dict[str, dict[str, Any]]:
    """Return the values that one operation alone needs: a case in the right status, its own body."""

    async def case_after(action: str) -> dict[str, Any]:
        case = await cases.submitted(pseb)
        if action:
            reasons = {} if action == "approve" else {"reason_codes": ["document_missing"]}
            assert (await cases.decide(officer, case, action, **reasons)).status_code == 201
        return {"registration_id": case["id"]}

    async def announced() -> dict[str, Any]:
        case = await cases.approved(pseb, officer)
        verdict = {"reason_codes": ["misuse"], "legal_basis": "Order 1", "effective_at": "2090-01-01T00:00:00Z"}
        return {"decision_id": (await cases.decide(officer, case, "suspend", **verdict)).json()["id"]}

    async def change_asked() -> dict[str, Any]:
        regulator = str(second.credentials.partner_id)
        asked = await second.post(f"/v1/partners/{regulator}/clients", json={"name": f"new-{next(numbers)}"})
        return {"partner_id": regulator, "change_id": asked.json()["id"]}

    numbers = count()
    second = await service.admin("pta-admin-2")
    claimed = await case_after("")
    claim = f"/v1/registrations/{claimed['registration_id']}/claim"
    assert (await officer.post(claim, headers={"If-Match": "*"})).status_code == 200
    feed = (await officer.get("/v1/allowlist")).json()
    unused = (await pseb.post("/v1/applicants", json=cases.individual())).json()
    with_secret = await service.credentials("with-a-secret")
    granted, receipt = await cases.with_receipt(pseb)
    with_code_case, with_code = await cases.with_receipt(pseb)
    assert (await cases.decide(officer, granted, "approve")).status_code == 201
    return {
        "ask_standing": {"receipt": receipt},
        "make_transfer_code": {"receipt": receipt},
        "ask_for_notices": {"receipt": receipt},
        "confirm_address": {"receipt": with_code, "code": await mail.code_asked_for(service, with_code_case["id"])},
        "surrender_registration": {**await case_after("approve"), "body": {}},
        "make_receipt": await case_after(""),
        "issue_token": {"body": login_of(officer)},
        "correct_registration": await case_after("request_information"),
        "hand_in_again": await case_after("request_information"),
        "withdraw_registration": await case_after(""),
        "erase_applicant": {"applicant_id": unused["id"]},
        "claim_case": await case_after(""),
        "get_certificate": await case_after("approve"),
        "give_case_back": claimed,
        "cancel_decision": await announced(),
        "get_delta": {"session": feed["session"], "since": feed["serial"]},
        "create_partner": {"name": "newcomer"},
        "get_client_change": await change_asked(),
        "confirm_client_change": await change_asked(),
        "withdraw_client_change": await change_asked(),
        "rotate_secret": {"partner_id": str(with_secret.partner_id), "client_id": str(with_secret.id)},
        **await webhook_values(pseb),
        **await disruption_values(service, pseb, officer),
        **await audit_values(pseb),
    }


async def webhook_values(caller: Caller) -> dict[str, dict[str, Any]]:
    """Return a webhook of the caller's for each operation on one, and an event to continue from."""
    (event, *_) = await events.wait_for_event(caller, "registration.submitted")
    own: dict[str, dict[str, Any]] = {}
    for name in (name for name, path in PATHS.items() if "{webhook_id}" in path):
        webhook = (await caller.post("/v1/webhooks", json={"url": f"https://{len(own)}.receiver.example/"})).json()
        own[name] = {"webhook_id": webhook["id"], "after": event["id"]}
    return own


async def disruption_values(service: Service, caller: Caller, officer: Caller) -> dict[str, dict[str, Any]]:
    """Return a report of the caller's at its operator for each operation on one, and the time of a new one."""
    operator = await service.caller("nayatel", PartnerKind.OPERATOR, operator="nayatel", client="noc")
    own: dict[str, dict[str, Any]] = {}
    for name in (name for name, path in PATHS.items() if "{report_id}" in path):
        case = await cases.approved(caller, officer)
        await service.publish()
        report = await disruptions.sent(caller, disruptions.body_of(disruptions.address_of(case)))
        assert report["status"] == "open"
        own[name] = {"report_id": report["id"]}
        if name == "reopen_report":
            await disruptions.act(operator, report, "findings", {"finding": "fixed"})
            own[name]["body"] = {}
    now = datetime.now(UTC).isoformat()
    return {**own, "report_disruption": {"observed_from": now, "observed_until": now}}


async def audit_values(caller: Caller) -> dict[str, dict[str, Any]]:
    """Return an event that has its leaf in the tree, and the size of a checkpoint."""
    (event, *_) = await events.wait_for_event(caller, "registration.submitted")

    async def has_its_leaf() -> bool:
        return (await caller.get(f"/v1/audit/inclusion?event_id={event['id']}")).status_code == 200

    await processes.until(has_its_leaf)
    size = (await caller.get("/v1/audit/checkpoint")).json()["size"]
    return {"get_inclusion": {"event_id": event["id"]}, "get_consistency": {"first": size, "second": size}}


def login_of(caller: Caller) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": caller.credentials.client_id,
        "client_secret": caller.credentials.client_secret,
    }


def exercise(url: str, login: Mapping[str, str], ids: dict[str, str], names: Collection[str] = PATHS) -> int:
    """Call operations with requests that fit their description and with others; return the number of calls."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [
        each
        for found in schema.get_all_operations()
        if example_calls.name_of(each := example_calls.readable(found)) in names
    ]
    token = schema["/oauth/token"]["POST"].Case(body=dict(login), media_type="application/x-www-form-urlencoded")
    headers = {"Authorization": f"Bearer {token.call().json()['access_token']}"}
    calls = 0
    for operation in operations:
        known = {each.name: ids[each.name] for each in operation.path_parameters}
        for mode in GenerationMode:
            calls += _call(operation, mode, known, headers)
            calls += _call(operation, mode, {}, headers) if known else 0
    return calls


def _call(
    operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode, known: dict[str, str], headers: Any
) -> int:
    calls = 0

    @given(case=operation.as_strategy(mode, path_parameters=known))
    @bounded(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    def call(case: Case[example_calls.Operation]) -> None:
        nonlocal calls
        calls += 1
        case.call_and_validate(headers=headers if case.path.startswith("/v1/") else {}, checks=CHECKS)

    with suppress(Unsatisfiable):  # what takes nothing cannot be given anything wrong
        call()
    return calls


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_no_call_gives_a_fault_or_an_answer_that_is_not_in_the_document(
    service: Service, url: str, pseb: Caller, admin: Caller
) -> None:
    ids = await made(service, pseb, admin)
    calls = await asyncio.to_thread(exercise, url, login_of(admin), ids)
    assert calls > 10 * len(OPERATIONS)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_every_operation_does_what_its_example_shows_and_its_answers_lead_on(
    service: Service, url: str, pseb: Caller, nayatel: Caller, admin: Caller
) -> None:
    ids = {**await made(service, pseb, admin), "if-match": "*"}
    own = await values_by_operation(service, pseb, admin)
    async with httpx.AsyncClient(base_url=url) as http:
        answers = {each: await http.post("/oauth/token", data=login_of(each)) for each in (pseb, nayatel, admin)}
    tokens = {each: answer.json()["access_token"] for each, answer in answers.items()}

    def token_for(operation: example_calls.Operation) -> str | None:
        caller = example_calls.caller_of(operation.definition.raw, pseb, nayatel, admin)
        return tokens[caller] if caller else None

    calls = random_walks.Calls(token_for, lambda name: {**ids, **own.get(name, {})}, CHECKS)
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    await asyncio.to_thread(calls.make_example_calls, schema)
    assert calls.refused == {}
    assert len(calls.answered) == len(OPERATIONS)
    calls.answered.clear()
    await asyncio.to_thread(random_walks.walk, schema, calls)
    assert calls.failures == []
    led_on = [name for name in calls.answered if "{" in PATHS[name]]
    assert len(led_on) > 4, calls.answered


def test_no_two_schemas_share_a_name() -> None:
    assert [name for name in document["components"]["schemas"] if "__" in name] == []


def test_the_document_that_is_kept_is_the_one_that_is_served() -> None:
    kept = json.loads((Path(__file__).parents[2] / "openapi.json").read_text(encoding="utf-8"))
    assert kept == document, "run `make openapi`"


def test_every_operation_has_a_readable_name_of_its_own() -> None:
    assert len(PATHS) == len(OPERATIONS)
    assert [name for name in PATHS if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)] == []


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    *_, kind, name = schema.get("$ref", "//").split("/")
    found: dict[str, Any] = document["components"][kind][name] if name else schema
    return found


def has_example(content: dict[str, Any]) -> bool:
    """Return whether a body, its schema, each of its fields or its listed items have an example."""
    schema = resolved(content["schema"])
    fields = [resolved(each) for each in schema.get("properties", {}).values()]
    return bool(
        {"example", "examples"} & content.keys()
        or {"example", "examples"} & schema.keys()
        or (fields and all({"example", "examples", "default", "const", "enum"} & each.keys() for each in fields))
        or resolved(schema.get("properties", {}).get("items", {}).get("items", {})).get("examples")
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_says_what_it_does_and_shows_its_bodies(operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert len(operation["description"]) > len("Says a sentence.")
    sent = operation.get("requestBody", {}).get("content", {})
    assert [kind for kind, content in sent.items() if not has_example(content)] == []
    answers = {status: each.get("content", {}) for status, each in operation["responses"].items() if status[0] == "2"}
    assert answers
    shown = [content["application/json"] for content in answers.values() if "application/json" in content]
    assert all(has_example(content) for content in shown)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_shows_each_of_its_errors_as_a_problem(operation: dict[str, Any]) -> None:
    failing = {status: resolved(each) for status, each in operation["responses"].items() if status[0] in "45"}
    if operation["operationId"] == "issue_token":  # OAuth's own errors are not problems
        failing = {status: each for status, each in failing.items() if status not in ("400", "401")}
    for status, answer in failing.items():
        content = answer["content"][PROBLEM]
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
        assert all(resolved(each)["value"]["status"] == int(status) for each in content["examples"].values())
        assert {f"`{code}`" for code in content["examples"]} == set(answer["description"].split(", "))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_names_the_errors_that_its_kind_of_request_can_meet(operation: dict[str, Any]) -> None:
    expected: set[str] = set()
    if operation.get("security"):
        expected |= {"401", "422", "429", "500", "503"}
    if any(scopes for each in operation.get("security", []) for scopes in each.values()):
        expected |= {"403"}
    if any(each["in"] == "path" for each in operation.get("parameters", [])):
        # what is kept for a while only is gone, whether it ever was or not
        expected |= {"410" if operation["operationId"] == "get_delta_of" else "404", "422"}
    if "requestBody" in operation:
        expected |= {"408", "413", "422"}
        expected |= {"415"} if operation.get("security") else set()
    if any(each["name"] == "if-match" for each in operation.get("parameters", [])):
        expected |= {"412", "428"}
    if any(each["name"] == "idempotency-key" for each in operation.get("parameters", [])):
        expected |= {"409"}
    assert expected <= operation["responses"].keys()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_takes_a_token_and_where_it_reads_the_feed_http_basic_as_well(operation: dict[str, Any]) -> None:
    ways = [(name, *scopes) for each in operation.get("security", []) for name, scopes in each.items()]
    of_firewalls = {("OAuth2", "allowlist:read"), ("OAuth2", "allowlist:confirm")}
    assert bool(of_firewalls & {*ways}) == (("HTTPBasic",) in ways)
    assert not ways or any(name == "OAuth2" for name, *_ in ways)
