"""Every response has a content security policy, a fixed content type, and a cache policy."""

import httpx
import pytest

from app.core.settings import Settings
from tests.support import cases, uploads
from tests.support.service import Caller, Service


def directives(answer: httpx.Response) -> dict[str, str]:
    """The Content-Security-Policy by directive."""
    return dict(each.strip().split(" ", 1) for each in answer.headers["content-security-policy"].split(";"))


async def one_answer_of_each_kind(service: Service, caller: Caller) -> dict[int, httpx.Response]:
    """Return a response of each status, from each part of the service that gives one."""

    @service.app.get("/v1/fails")
    async def fails() -> None:
        raise RuntimeError

    made = await caller.post("/v1/applicants", json=cases.individual())
    path = made.headers["Location"]
    too_large = b"x" * (service.settings.max_body_bytes + 1)
    answers = [
        made,
        await caller.get(path),
        await caller.get(path, headers={"If-None-Match": made.headers["ETag"]}),
        await service.http.post("/oauth/token", data={"grant_type": "password"}),
        await service.http.get("/v1/applicants"),
        await caller.get("/v1/partners"),
        await caller.get("/v1/nothing"),
        await caller.request("TRACE", "/v1/tracks"),
        await caller.patch(path, json={}, headers={"If-Match": '"7"'}),
        await caller.post("/v1/applicants", content=too_large, headers={"Content-Type": "application/json"}),
        await caller.post("/v1/applicants", content=b"<a/>", headers={"Content-Type": "application/xml"}),
        await caller.post("/v1/applicants", json={}),
        await caller.patch(path, json={}),
        await caller.get("/v1/fails"),
        await caller.get("/v1/allowlist"),
    ]
    return {answer.status_code: answer for answer in answers}


async def test_no_response_is_sniffed_or_embedded(service: Service, pseb: Caller) -> None:
    answers = await one_answer_of_each_kind(service, pseb)
    assert sorted(answers) == [200, 201, 304, 400, 401, 403, 404, 405, 412, 413, 415, 422, 428, 500, 503]
    unchanged = answers.pop(304)  # which has nothing to load or to read
    assert not {"content-security-policy", "x-content-type-options", "referrer-policy"} & set(unchanged.headers)
    for status, answer in answers.items():
        assert answer.headers["x-content-type-options"] == "nosniff", status
        assert answer.headers["referrer-policy"] == "no-referrer", status
        policy = directives(answer)
        assert (policy["default-src"], policy["base-uri"], policy["frame-ancestors"]) == ("'none'",) * 3, status


async def test_no_cache_keeps_what_is_someones_nor_a_token(service: Service, pseb: Caller) -> None:
    done = await uploads.ingest(pseb, uploads.csv_of([uploads.row("A", email="@")]))
    answers = [
        *(await one_answer_of_each_kind(service, pseb)).values(),
        await pseb.get(f"/v1/bulk-uploads/{done['id']}/refused.csv"),
        await service.http.post(
            "/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=(pseb.credentials.client_id, pseb.credentials.client_secret),
        ),
    ]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


async def test_the_list_is_cached_by_its_reader_only(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    await cases.approved(pseb, officer)
    await service.publish()
    for below in ("", "/snapshots/1", "/deltas/1"):
        answer = await nayatel.get(f"/v1/allowlist{below}")
        assert answer.status_code == 200
        assert "private" in answer.headers["cache-control"], below


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/problems", "/problems/not_found"])
async def test_a_page_may_load_nothing_from_elsewhere(service: Service, path: str) -> None:
    policy = directives(await service.http.get(path))
    assert policy["default-src"] == "'self'"
    assert (policy["object-src"], policy["base-uri"], policy["frame-ancestors"]) == ("'none'",) * 3
    assert not any(source.startswith("http") or source == "*" for each in policy.values() for source in each.split())


async def test_a_page_of_another_origin_may_read_nothing_and_no_cookie_is_set(service: Service, pseb: Caller) -> None:
    asked = {
        "Origin": "https://elsewhere.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    for answer in (
        await service.http.options("/v1/applicants", headers=asked),
        await pseb.get("/v1/applicants", headers=asked),
        await service.http.get("/docs", headers=asked),
    ):
        found = set(answer.headers)
        assert not [name for name in found if name.startswith("access-control-")]
        assert "set-cookie" not in found


@pytest.mark.parametrize(
    ("public_url", "said"),
    [("https://register.example.pk", "max-age=31536000; includeSubDomains"), ("http://127.0.0.1:8000", None)],
)
async def test_browsers_are_held_to_https_where_the_service_has_it(
    settings: Settings, public_url: str, said: str | None
) -> None:
    service = Service(settings.model_copy(update={"public_url": public_url}))
    for path in ("/health/live", "/docs", "/v1/applicants", "/nothing"):
        answer = await service.http.get(path)
        assert answer.headers.get("strict-transport-security") == said
    await service.close()
