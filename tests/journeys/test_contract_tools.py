"""Prism has nothing to report of any operation, and newman runs the collection that Postman makes of openapi.json."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import schemathesis
from schemathesis import Case
from schemathesis.core.transport import Response

from app.allowlist.formats import FORMATS
from app.partners.rules import PartnerKind
from tests.journeys.test_openapi import OPERATIONS, document, login_of, made, values_by_operation
from tests.support import cases, example_calls, processes, random_walks
from tests.support.example_calls import Operation
from tests.support.service import Caller, Service

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "openapi.json"
SCRIPTS = ROOT / "contract" / "node_modules" / ".bin"
OPTIONS = "folderStrategy=Tags,parametersResolution=Example,enableOptionalParameters=false"
VIOLATIONS = "sl-violations"  # Prism's header field
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not (shutil.which("node") and (SCRIPTS / "prism").exists()), reason="needs Node.js and `make contract`"
    ),
]


@pytest.fixture
def prism(url: str) -> Iterator[str]:
    """The URL of Prism as a validating proxy of the service."""
    port = processes.free_port()
    command = [SCRIPTS / "prism", "proxy", DOCUMENT, url, "--port", str(port)]
    with subprocess.Popen(
        [str(each) for each in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            proxy = f"http://127.0.0.1:{port}"
            processes.wait_until_live(proxy, process)
            yield proxy
        finally:
            process.terminate()


class ReportedCalls(random_walks.Calls):
    """Calls through Prism, with what it reports of each."""

    reported: dict[str, list[str]]

    def note(self, case: Case[Operation], response: Response) -> None:
        """Record the outcome, and Prism's report."""
        super().note(case, response)
        if VIOLATIONS in response.headers:
            self.reported[example_calls.name_of(case.operation)] = response.headers[VIOLATIONS]


async def tokens_of(url: str, *callers: Caller) -> dict[Caller, str]:
    """Return a token of each caller from a process of the service, whose issuer is another than the tests' own."""
    async with httpx.AsyncClient(base_url=url) as http:
        answers = {each: await http.post("/oauth/token", data=login_of(each)) for each in callers}
    return {each: answer.json()["access_token"] for each, answer in answers.items()}


async def test_prism_reports_nothing_of_a_journey(service: Service, prism: str) -> None:
    reported = []

    async def keep(answer: httpx.Response) -> None:
        if VIOLATIONS in answer.headers:
            reported.append((answer.request.method, answer.request.url.path, answer.headers[VIOLATIONS]))

    await service.http.aclose()
    service.http = httpx.AsyncClient(base_url=prism, timeout=60, event_hooks={"response": [keep]})
    pseb, officer = await service.caller("pseb"), await service.officer()
    nayatel = await service.caller("nayatel", PartnerKind.OPERATOR, operator="nayatel")
    case, _ = await cases.approved(pseb, officer), await cases.approved(pseb, officer)

    async def is_allowed(*, allowed: bool) -> bool:
        address = case["networks"][0].partition("/")[0]
        check = await nayatel.get(f"/v1/allowlist/check?address={address}")
        return check.status_code == 200 and check.json()["allowed"] is allowed

    await processes.until(partial(is_allowed, allowed=True))
    for form in FORMATS:
        assert (await nayatel.get(f"/v1/allowlist?format={form}")).status_code == 200, form
    revoked = await cases.decide(officer, case, "revoke", reason_codes=["misuse"], legal_basis="Order 12/2026")
    assert revoked.status_code == 201
    await processes.until(partial(is_allowed, allowed=False))
    assert (await cases.decide(officer, case, "approve")).status_code == 412
    assert (await nayatel.get("/v1/partners")).status_code == 403
    assert (await pseb.get(f"/v1/registrations/{uuid4()}")).status_code == 404
    assert (await pseb.get(f"/v1/registrations/{case['id']}/history")).status_code == 200
    assert reported == []
    assert (await pseb.post("/v1/applicants", json={"kind": "company"})).status_code == 422
    ((_, _, told),) = reported  # it does look
    assert "legal_name" in told


async def test_prism_reports_nothing_of_the_example_call_of_every_operation(
    service: Service, url: str, prism: str, pseb: Caller, nayatel: Caller, admin: Caller
) -> None:
    ids = {**await made(service, pseb, admin), "if-match": "*"}
    own = await values_by_operation(service, pseb, admin)
    tokens = await tokens_of(url, pseb, nayatel, admin)

    def token_for(operation: Operation) -> str | None:
        caller = example_calls.caller_of(operation.definition.raw, pseb, nayatel, admin)
        return tokens[caller] if caller else None

    calls = ReportedCalls(token_for, lambda name: {**ids, **own.get(name, {})}, [])
    calls.reported = {}
    await asyncio.to_thread(calls.make_example_calls, schemathesis.openapi.from_url(f"{prism}/openapi.json"))
    assert calls.reported == {}
    assert calls.refused == {}
    assert len(calls.answered) == len(OPERATIONS)


def requests_of(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give each request of a collection, whatever folder it is in."""
    for item in items:
        if "request" in item:
            yield item
        else:
            yield from requests_of(item["item"])


def run(script: str, *options: object) -> None:
    """Run a script of the packages, which must succeed."""
    command = [str(each) for each in (SCRIPTS / script, *options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def fill_in(item: dict[str, Any], known: dict[str, Any], token: str | None) -> None:
    """Fill in a request as a person does in Postman: ids of resources that exist, the tag, and a token."""
    request = item["request"]
    url = request["url"]
    for each in (*url.get("variable", ()), *url.get("query", ()), *request.get("header", ())):
        each["value"] = str(known.get(each["key"], each["value"]))
    body = request.get("body", {})
    if body.get("mode") == "urlencoded":
        for each in body["urlencoded"]:
            each.update(
                {"value": known["body"][each["key"]], "disabled": False} if each["key"] in known["body"] else {}
            )
    elif body.get("options", {}).get("raw", {}).get("language") == "json":
        sent = known["body"] if "body" in known else example_calls.replaced(json.loads(body["raw"]), known)
        body["raw"] = json.dumps(sent)
    request["auth"] = {"type": "bearer", "bearer": [{"key": "token", "value": token}]} if token else {"type": "noauth"}


async def test_newman_runs_each_request_of_the_collection_made_from_the_document(
    service: Service, url: str, pseb: Caller, nayatel: Caller, admin: Caller, tmp_path: Path
) -> None:
    collection, report = tmp_path / "collection.json", tmp_path / "report.json"
    await asyncio.to_thread(run, "openapi2postmanv2", "-s", DOCUMENT, "-o", collection, "-O", OPTIONS)
    content = json.loads(collection.read_text())
    assert [each["key"] for each in content["variable"]] == ["baseUrl"]
    content["variable"][0]["value"] = url
    ids = {**await made(service, pseb, admin), "if-match": "*"}
    own = await values_by_operation(service, pseb, admin)
    tokens = await tokens_of(url, pseb, nayatel, admin)
    found = list(requests_of(content["item"]))
    assert len(found) == len(OPERATIONS)
    for item in found:
        path = "/".join(
            ["", *(f"{{{part[1:]}}}" if part[0] == ":" else part for part in item["request"]["url"]["path"])]
        )
        described = document["paths"][path][item["request"]["method"].lower()]
        caller = example_calls.caller_of(described, pseb, nayatel, admin)
        fill_in(item, {**ids, **own.get(described["operationId"], {})}, tokens[caller] if caller else None)
    collection.write_text(json.dumps(content))
    reporter = ["--reporters", "json", "--reporter-json-export", report]
    await asyncio.to_thread(run, "newman", "run", collection, *reporter)
    executions = json.loads(report.read_text())["run"]["executions"]
    answers = {each["item"]["name"]: each["response"]["code"] for each in executions}
    assert {name: code for name, code in answers.items() if not 200 <= code < 300} == {}
    assert len(executions) == len(OPERATIONS)
