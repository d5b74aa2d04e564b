"""Promises of every operation of the OpenAPI document, also of those to come: nothing is ignored in silence."""

import json
import re
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.core.principal import SCOPES
from app.core.settings import Settings
from app.main import create_app
from app.partners.rules import PartnerKind
from tests.journeys.conftest import NO_SERVER
from tests.journeys.test_no_faults import known
from tests.support import cases, malformed_requests, postgres
from tests.support.malformed_requests import Operation
from tests.support.service import Caller, Service

document = create_app(postgres.settings_for("postgresql://unused")).openapi()
TYPES = ("{}", "[]", "[[]]", '{"a": []}', "[{}]", "true", "1.5")
CHOICES = {
    (operation["operationId"], parameter["name"]): parameter["schema"]["items"]
    for item in document["paths"].values()
    for method, operation in item.items()
    for parameter in operation.get("parameters", ())
    if method == "get" and parameter["in"] == "query" and parameter["schema"].get("type") == "array"
}


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Settings without rate limits, of a service that offers mail, so that all its operations are there."""
    classes = ("read", "write", "upload", "feed", "token", "failed_logins", "failed_receipts")
    limits = {f"rate_limit_{each}": 0 for each in classes}
    return postgres.settings_for(database_url, smtp_url=NO_SERVER, mail_from="noreply@register.example", **limits)


@pytest.fixture
async def caller(service: Service) -> Caller:
    """A client with every scope."""
    return await service.caller("pta", PartnerKind.REGULATOR, client="everything", scopes=sorted(SCOPES))


@pytest.fixture
async def operations(service: Service, caller: Caller, pseb: Caller, officer: Caller) -> list[Operation]:
    """Every operation with values that name existing resources."""
    login = {"client_id": caller.credentials.client_id, "client_secret": caller.credentials.client_secret}
    form = {"issue_token": {"grant_type": "client_credentials", **login}}
    found = malformed_requests.operations(document, await known(service, caller, pseb, officer), form)
    assert len(found) > 60
    return found


async def send(
    caller: Caller, operation: Operation, query: str = "", content: bytes | None = None, method: str = "", **fields: str
) -> httpx.Response:
    """Send a request as the document shows it, with a query and header fields of the test's."""
    if content is None:
        content = json.dumps(operation.example()).encode() if operation.media_type.endswith("json") else b""
    valid = {name.decode(): value.decode() for name, value in operation.fields()}
    path = operation.path(query=query.encode()).decode()
    headers = {**valid, **{name.replace("_", "-"): value for name, value in fields.items()}}
    return await caller.request(method or operation.method, path, headers=headers, content=content)


async def test_no_operation_ignores_an_unknown_parameter(caller: Caller, operations: list[Operation]) -> None:
    for operation in operations:
        answer = await send(caller, operation, "dryrun=true")
        assert answer.status_code == 422, operation
        assert cases.codes(answer)["/query/dryrun"] == "invalid_value", operation


async def test_no_operation_drops_one_of_two_values(caller: Caller, operations: list[Operation]) -> None:
    for operation in operations:
        for name in operation.named("query"):
            if (operation.described["operationId"], name) in {*CHOICES, ("upload", "ignore_columns")}:
                continue  # takes several
            value = operation.known.get(name, "1")
            required = operation.path().decode()
            again = f"{name}={value}" if re.search(rf"[?&]{name}=", required) else f"{name}={value}&{name}={value}"
            answer = await send(caller, operation, again)
            assert answer.status_code == 422, (operation, name)
            assert cases.codes(answer) == {f"/query/{name}": "invalid_value"}, (operation, name)


async def test_a_filter_that_is_a_choice_takes_several(caller: Caller, operations: list[Operation]) -> None:
    assert len(CHOICES) >= 11
    for operation in operations:
        for name in operation.named("query"):
            choice = CHOICES.get((operation.described["operationId"], name))
            if choice is not None:
                described = operation.resolved(choice)
                values = described.get("enum") or described.get("examples") or ["nayatel", "ptcl"]
                query = "&".join(f"{name}={value}" for value in values)
                assert (await send(caller, operation, query)).status_code == 200, (operation, name)
                wrong = await send(caller, operation, f"{query}&{name}=UNHEARD-OF")
                assert list(cases.codes(wrong)) == [f"/query/{name}"], (operation, name)


async def test_no_operation_ignores_a_body_that_it_does_not_take(caller: Caller, operations: list[Operation]) -> None:
    for operation in operations:
        if not operation.media_type:
            for content in (b'{"dry_run": true}', b"[]", b"x"):
                answer = await send(caller, operation, content=content)
                assert answer.status_code == 422, (operation, content)
                assert cases.codes(answer) == {"": "invalid_value"}, (operation, content)


async def test_an_empty_object_counts_as_no_body(caller: Caller, operations: list[Operation]) -> None:
    for operation in operations:
        if not operation.media_type and operation.method == "GET":
            bare = await send(caller, operation)
            for content in (b"{}", b" { }\r\n"):
                answer = await send(caller, operation, content=content)
                assert answer.status_code == bare.status_code, (operation, content)


async def test_no_operation_reads_a_body_in_a_coding_that_it_does_not_take(
    caller: Caller, operations: list[Operation]
) -> None:
    for operation in operations:
        if operation.media_type:
            answer = await send(caller, operation, content_encoding="compress")
            assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_encoding"), operation
            assert answer.headers["accept-encoding"] in ("identity", "gzip, zstd")


async def test_head_is_answered_wherever_get_is(caller: Caller, operations: list[Operation]) -> None:
    varying = {"ratelimit", "x-request-id", "date"}
    for operation in operations:
        if operation.method != "GET":
            continue
        got, head = await send(caller, operation), await send(caller, operation, method="HEAD", range="bytes=0-1")
        assert (head.status_code, head.content) == (got.status_code, b""), operation
        if operation.described["operationId"] in ("metrics", "get_manifest", "get_checkpoint"):  # of the moment
            varying |= {"content-length"}
        assert {name: value for name, value in head.headers.items() if name not in varying} == {
            name: value for name, value in got.headers.items() if name not in varying
        }, operation
        varying.discard("content-length")


async def test_an_answer_with_a_tag_may_be_304_and_the_document_says_which(
    caller: Caller, operations: list[Operation]
) -> None:
    tagged = set()
    for operation in operations:
        if operation.method == "GET":
            tag = (await send(caller, operation)).headers.get("etag", '"none"')
            weak = await send(caller, operation, if_none_match=f'"x", W/{tag}')
            assert (weak.status_code == 304) == ("304" in operation.described["responses"]), operation
            tagged |= {operation.template} if weak.status_code == 304 else set()
    assert len(tagged) >= 9


async def test_a_body_with_another_type_anywhere_is_refused_and_no_fault(
    caller: Caller, operations: list[Operation]
) -> None:
    for operation in operations:
        if operation.media_type != malformed_requests.JSON_TYPE:
            continue
        properties = operation.schema["properties"]
        for name, schema in properties.items():
            kinds = {each.get("type") for each in (operation.resolved(schema), *schema.get("anyOf", ()))}
            if not kinds <= {"string", "null", None}:
                continue
            for value in TYPES:
                content = malformed_requests.with_value(operation.example(), (name,), value)
                for sent in (content, f'{{"{name}": {value}}}'.encode()):
                    answer = await send(caller, operation, content=sent)
                    assert answer.status_code == 422, (operation, sent)


@pytest.mark.parametrize("path", ["/openapi.json", "/health/live", "/problems", "/problems/not_found"])
async def test_pages_take_no_unknown_parameter_either(service: Service, path: str) -> None:
    assert (await service.http.get(path)).status_code == 200
    assert (await service.http.head(path)).status_code == 200
    assert (await service.http.get(f"{path}?x={uuid4()}")).status_code == 422


def test_if_match_is_required_where_a_change_needs_it() -> None:
    def parameter(operation: dict[str, Any]) -> dict[str, Any] | None:
        return next((each for each in operation.get("parameters", ()) if each["name"] == "if-match"), None)

    described = [operation for item in document["paths"].values() for operation in item.values()]
    assert all(("428" in each["responses"]) == (parameter(each) is not None) for each in described)
    assert all(found["required"] for each in described if (found := parameter(each)))
