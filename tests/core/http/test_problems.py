"""Every error of the service and the framework is a problem that says what is wrong and where."""

import re
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from fastapi import APIRouter, Request
from sqlalchemy import text
from starlette.exceptions import HTTPException

from app.core.errors import Conflict, DomainError, NotFound, TooManyRequests
from app.core.http.dependencies import database_of
from tests.support import cases
from tests.support.postgres import settings_for
from tests.support.service import Caller, Service

JSON = {"Content-Type": "application/json"}
APPLICANTS = "/v1/applicants"


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return the problem of a response, with all its members."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    body: dict[str, Any] = answer.json()
    assert body.keys() - {"errors"} == {"type", "title", "status", "detail", "code", "instance"}
    assert (body["type"], body["status"], body["code"]) == (f"/problems/{code}", status, code)
    assert body["instance"] == quote(answer.request.url.path)
    assert body["title"]
    assert body["detail"]
    return body


async def test_an_address_that_leads_nowhere_is_not_found(service: Service, pseb: Caller) -> None:
    for path in ("/nothing", "/v1", "/v1/nothing", "/problems/nothing", "/v1/registrations/x/y/z", "/%00", "/%ff"):
        problem(await service.http.get(path), 404, "not_found")
    problem(await pseb.get(f"/v1/registrations/{uuid4()}"), 404, "not_found")


async def test_a_method_that_is_not_allowed_is_answered_with_those_that_are(service: Service) -> None:
    expected = [
        ("PUT", "/v1/registrations", "GET, HEAD, POST"),
        ("DELETE", "/v1/applicants/some-id", "GET, HEAD, PATCH"),
        ("GET", "/v1/registrations/some-id/claim", "DELETE, POST"),
        ("GET", "/oauth/token", "POST"),
        ("BREW", "/v1/tracks", "GET, HEAD"),
    ]
    for method, path, allowed in expected:
        answer = await service.http.request(method, path)
        problem(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"] == allowed


async def test_a_body_of_a_type_that_is_not_read_is_refused(pseb: Caller) -> None:
    for sent in ("text/plain", "text/csv", "application/xml", "application/jsonx", "", "x"):
        answer = await pseb.post(APPLICANTS, content=b'{"kind": "company"}', headers={"Content-Type": sent})
        problem(answer, 415, "unsupported_media_type")


async def test_a_body_that_is_not_json_is_refused(pseb: Caller) -> None:
    broken = [b"{", b"{'kind': 1}", b'{"kind": "company"', b"\xff\xfe", b"nul", b'{"a": 1}{"b": 2}', b"\x00"]
    too_much = [b"[" * 50_000, b'{"a": ' + b"9" * 5_000 + b"}"]
    for body in broken + too_much:
        problem(await pseb.post(APPLICANTS, content=body, headers=JSON), 422, "invalid_value")


async def test_a_body_that_is_not_an_object_is_refused_as_a_whole(pseb: Caller) -> None:
    for body in (b"[]", b'"text"', b"1", b"true", b"null", b""):
        answer = await pseb.post(APPLICANTS, content=body, headers=JSON)
        assert (answer.status_code, set(cases.codes(answer))) == (422, {""}), body


async def test_all_errors_of_a_body_are_reported_at_once(pseb: Caller) -> None:
    bad = cases.registration(str(uuid4()), track="vpn", networks=["10.0.0.1", "8.8.8.8", "8.8.8.9/31"], colour="red")
    answer = await pseb.post("/v1/registrations", json=bad)
    body = problem(answer, 422, answer.json()["code"])
    assert cases.codes(answer) == {
        "/track": "invalid_value",
        "/networks/0": "network_reserved",
        "/networks/2": "network_host_bits",
        "/colour": "invalid_value",
        "/applicant_id": "not_found",
    }
    assert all(error["detail"] for error in body["errors"])
    assert body["detail"].endswith("(and 4 more)")


async def test_a_path_or_header_that_is_malformed_is_named(pseb: Caller, officer: Caller) -> None:
    answer = await pseb.get("/v1/registrations/not-a-uuid")
    problem(answer, 422, "invalid_value")
    assert cases.codes(answer) == {"/path/registration_id": "invalid_value"}
    tag = {"If-Match": "x" * 501}
    answer = await pseb.patch(f"{APPLICANTS}/{uuid4()}", json={}, headers=tag)
    assert cases.codes(answer) == {"/header/if-match": "invalid_value"}


@pytest.mark.parametrize("malformed", ["1", "W/1", '"1', "'1'", '"1" "2"', '*, "1"', ", ,"])
async def test_an_if_match_without_entity_tags_is_malformed_and_no_change(pseb: Caller, malformed: str) -> None:
    made = (await pseb.post(APPLICANTS, json=cases.company())).json()
    answer = await pseb.patch(f"{APPLICANTS}/{made['id']}", json={}, headers={"If-Match": malformed})
    problem(answer, 422, "invalid_value")
    assert cases.codes(answer) == {"/header/if-match": "invalid_value"}


@pytest.mark.parametrize("sent", ['W/"1"', '"7", W/"1"', ', "1",', "*"])
async def test_a_tag_that_a_proxy_weakened_still_names_its_version(pseb: Caller, sent: str) -> None:
    made = (await pseb.post(APPLICANTS, json=cases.company())).json()
    answer = await pseb.patch(f"{APPLICANTS}/{made['id']}", json={}, headers={"If-Match": sent})
    assert answer.status_code == 200


async def test_a_list_in_several_lines_is_one_list(pseb: Caller) -> None:
    made = (await pseb.post(APPLICANTS, json=cases.company())).json()
    lines = [("If-Match", '"7"'), ("If-Match", '"1"'), ("Authorization", f"Bearer {pseb.token}")]
    path = f"{APPLICANTS}/{made['id']}"
    assert (await pseb.service.http.patch(path, json={}, headers=lines)).status_code == 200
    lines = [("If-None-Match", '"7"'), ("If-None-Match", '"1"'), ("Authorization", f"Bearer {pseb.token}")]
    assert (await pseb.service.http.get(path, headers=lines)).status_code == 304
    twice = [("Authorization", f"Bearer {pseb.token}")] * 2
    assert (await pseb.service.http.get(path, headers=twice)).status_code == 401


async def test_a_fault_is_a_problem_that_tells_nothing_of_the_inside(service: Service) -> None:
    @service.app.get("/fails")
    async def fails() -> None:
        raise RuntimeError("the hidden reason")

    answer = await service.http.get("/fails")
    problem(answer, 500, "internal")
    for inside in ("hidden", "RuntimeError", "Traceback", ".py"):
        assert inside not in answer.text
    assert answer.headers["X-Request-ID"]


async def test_a_database_error_of_ours_is_a_fault_and_does_not_show_the_statement(service: Service) -> None:
    @service.app.get("/fails")
    async def fails(request: Request) -> None:
        async with database_of(request).transaction(read_only=True) as tx:
            await tx.execute(text("SELECT * FROM no_such_table"))

    answer = await service.http.get("/fails")
    problem(answer, 500, "internal")
    assert "no_such_table" not in answer.text


async def test_while_the_database_is_gone_the_answer_is_to_come_again_never_to_log_in(pseb: Caller) -> None:
    gone = Service(settings_for("postgresql://postgres@127.0.0.1:1/gone"))
    bearer = {"Authorization": f"Bearer {pseb.token}"}
    try:
        calls = [
            await gone.http.get("/v1/tracks", headers=bearer),
            await gone.http.post(APPLICANTS, json=cases.company(), headers=bearer),
            await gone.http.post("/oauth/token", data={"grant_type": "client_credentials"}),
            await gone.http.get("/.well-known/jwks.json"),
        ]
    finally:
        await gone.close()
    for answer in calls:
        problem(answer, 503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert "WWW-Authenticate" not in answer.headers


async def test_a_connection_lost_in_the_middle_of_a_request_is_an_outage(service: Service) -> None:
    @service.app.get("/loses-it")
    async def loses_it(request: Request) -> None:
        async with database_of(request).transaction(read_only=True) as tx:
            await tx.execute(text("SET ROLE NONE"))
            await tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    problem(await service.http.get("/loses-it"), 503, "unavailable")
    assert (await service.http.get("/.well-known/jwks.json")).status_code == 200


async def test_an_http_error_of_any_status_becomes_a_problem(service: Service) -> None:
    router = APIRouter()

    @router.get("/status/{status}")
    async def refuse(status: int) -> None:
        raise HTTPException(status, "As told.", {"X-Told": "yes"})

    service.app.include_router(router)
    expected = {400: (422, "invalid_value"), 401: (401, "unauthenticated"), 403: (403, "forbidden"),
                406: (406, "not_acceptable"), 418: (422, "invalid_value"), 429: (429, "too_many_requests"),
                501: (500, "internal"), 503: (503, "unavailable")}  # fmt: skip
    for given, (status, code) in expected.items():
        answer = await service.http.get(f"/status/{given}")
        assert problem(answer, status, code)["detail"] == "As told."
        assert answer.headers["X-Told"] == "yes"


async def test_a_domain_error_gets_the_status_of_its_nearest_kind(service: Service) -> None:
    class TooLate(Conflict):
        """An error without a code of its own, so that the catalogue does not list it."""

    @service.app.get("/late")
    async def late() -> None:
        raise TooLate("It is too late.")

    @service.app.get("/often")
    async def often() -> None:
        raise TooManyRequests

    assert (await service.http.get("/late")).status_code == 409
    answer = await service.http.get("/often")
    problem(answer, 429, "too_many_requests")
    assert int(answer.headers["Retry-After"]) > 0


async def test_every_code_has_a_page_that_explains_it_to_a_person(service: Service) -> None:
    index = await service.http.get("/problems")
    assert index.status_code == 200
    listed = set(re.findall(r'href="/problems/([a-z_]+)"', index.text))
    assert listed == {code for code in DomainError.known if code}
    for code in sorted(listed):
        page = await service.http.get(f"/problems/{code}")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        kind = DomainError.known[code]
        assert kind.title
        assert kind.remedy
        assert f"<code>{code}</code>" in page.text


def test_the_contract_s_codes_are_all_known() -> None:
    contract = """missing_field invalid_value email_malformed mobile_malformed cnic_malformed ntn_malformed
        unknown_operator network_malformed network_host_bits network_too_wide network_reserved network_overlap
        network_taken reference_duplicate applicant_conflict illegal_transition version_mismatch
        precondition_required self_review not_found forbidden unauthenticated idempotency_conflict
        request_in_progress payload_too_large unsupported_media_type too_many_requests unavailable internal"""
    assert set(contract.split()) <= DomainError.known.keys()
    assert DomainError.known["not_found"] is NotFound
