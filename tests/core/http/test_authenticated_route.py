"""No operation reads the body of a caller that may not call it."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.core.http.body_limit import UNAUTHENTICATED_BYTES
from app.main import create_app
from tests.support import postgres
from tests.support.postgres import settings_for
from tests.support.service import Caller, Service

document = create_app(postgres.settings_for("postgresql://unused")).openapi()
WITH_BODY = [
    (method, path, operation)
    for path, item in document["paths"].items()
    for method, operation in item.items()
    if "requestBody" in operation
]


def is_guarded(operation: dict[str, Any]) -> bool:
    """True when an operation needs credentials; {} among its ways is a call without any."""
    return {} not in operation.get("security", [{}])


GUARDED = [(method, path) for method, path, operation in WITH_BODY if is_guarded(operation)]
OPEN = [(method, path, next(iter(operation["requestBody"]["content"])))
        for method, path, operation in WITH_BODY if not is_guarded(operation)]  # fmt: skip
ID = "019b2f6e-6a00-7c3e-8d55-1b8d7f3e2a11"


class Unread:
    """A body that never ends, and records whether any of it was read."""

    def __init__(self) -> None:
        self.is_read = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.is_read = True
            yield b"[[],[],"


async def _answer(service: Service, method: str, path: str, headers: dict[str, str]) -> tuple[httpx.Response, bool]:
    body = Unread()
    there = re.sub(r"{\w+}", ID, path)
    answer = await service.http.request(
        method, there, content=body, headers={"Content-Type": "application/json", **headers}
    )
    return answer, body.is_read


def test_there_are_operations_of_both_kinds() -> None:
    assert len(GUARDED) > 10
    by_receipt = {f"/v1/standings{each}" for each in ("", "/transfer-code", "/contact", "/contact/confirm")}
    by_receipt |= {"/v1/disruption-reports", "/v1/disruption-reports/{report_id}/reopen"}
    assert {path for _, path, _ in OPEN} == {"/oauth/token", *by_receipt}


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_no_body_is_read_of_an_unauthenticated_caller(service: Service, method: str, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}):
        answer, is_read = await _answer(service, method, path, headers)
        assert (answer.status_code, is_read) == (401, False), headers


async def test_no_body_is_read_of_a_caller_without_the_scope_or_over_its_limit(database_url: str) -> None:
    service = Service(settings_for(database_url, rate_limit_write=len(GUARDED), rate_limit_upload=1))
    caller = await service.caller("pseb", scopes=["events:read"])
    headers = {"Authorization": f"Bearer {caller.token}"}
    for _ in range(2):
        answers = {path: await _answer(service, method, path, headers) for method, path in GUARDED}
        assert not any(is_read for _, is_read in answers.values())
        assert {answer.status_code for answer, _ in answers.values()} <= {403, 429}
    assert {answers[path][0].status_code for path in ("/v1/registrations", "/v1/bulk-uploads")} == {429}
    await service.close()


@pytest.mark.parametrize(("method", "path", "kind"), OPEN)
async def test_a_public_operation_reads_a_few_kilobytes(service: Service, method: str, path: str, kind: str) -> None:
    asked = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield b"a=" + b"x" * 1022

    for headers in ({}, {"Content-Length": str(UNAUTHENTICATED_BYTES + 1)}):
        answer = await service.http.request(method, path, content=endless(), headers={"Content-Type": kind, **headers})
        assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert asked * 1024 <= UNAUTHENTICATED_BYTES + 1024


async def test_a_token_is_verified_once_a_request(pseb: Caller) -> None:
    verified: list[str] = []
    verifier: Any = pseb.service.app.state.verifier
    verify = verifier.verify

    async def noted(token: str) -> Any:
        verified.append(token)
        return await verify(token)

    verifier.verify = noted
    for path in ("/v1/applicants", "/v1/registrations"):
        verified.clear()
        assert (await pseb.post(path, json={})).status_code == 422  # by the framework, behind the first check
        assert len(verified) == 1


async def test_json_that_is_too_wide_or_too_deep_is_refused_and_not_parsed(pseb: Caller) -> None:
    for path in ("/v1/applicants", "/v1/registrations"):
        for body in (b"[[],[]," * 20_000, b"[" * 5_000, b'{"a":' * 200_000):
            answer = await pseb.post(path, content=body, headers={"Content-Type": "application/json"})
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")
            assert answer.json()["detail"].startswith(("The body has more than", "The body is nested deeper"))
