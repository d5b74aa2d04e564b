"""No request, however malformed, is answered with 500."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence

import httpx
import pytest

from app.audit.sequencer import sequence
from app.bulk_uploads.rules import COLUMNS
from app.core.principal import SCOPES
from app.core.settings import Settings
from app.partners.login import client_authentication
from app.partners.rules import PartnerKind
from tests.support import cases, disruptions, malformed_requests, postgres, uploads
from tests.support.events import wait_for_event
from tests.support.malformed_requests import MalformedRequest, Operation
from tests.support.service import Caller, Service

AT_ONCE = 8
WAYS = {
    "bodies": malformed_requests.malformed_bodies,
    "parameters": malformed_requests.malformed_parameters,
    "headers": malformed_requests.malformed_headers,
}


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Settings without rate limits."""
    classes = ("read", "write", "upload", "feed", "token", "failed_logins", "failed_receipts")
    return postgres.settings_for(database_url, **{f"rate_limit_{each}": 0 for each in classes})


@pytest.fixture(autouse=True)
def refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer refused assertions at once, without the delay that hides the reason."""
    monkeypatch.setattr(client_authentication, "REFUSED_AFTER_SECONDS", 0.0)


@pytest.fixture
async def caller(service: Service) -> Caller:
    """A client with every scope, so that no request is refused before it is read."""
    return await service.caller("pta", PartnerKind.REGULATOR, client="everything", scopes=sorted(SCOPES))


async def known(service: Service, caller: Caller, pseb: Caller, officer: Caller) -> dict[str, str]:
    """Return values of parameters and fields that name existing resources."""
    granted = await cases.approved(pseb, officer)
    await service.publish()
    case = await cases.submitted(caller)
    await cases.decide(officer, case, "request_information", reason_codes=["document_missing"])
    upload = await uploads.ingest(caller, uploads.csv_of([uploads.row("A"), uploads.row("B", email="@")]))
    decision = (await officer.get(f"/v1/review-decisions?registration_id={granted['id']}")).json()["items"][0]
    other = await service.credentials("other")
    webhook = (await caller.post("/v1/webhooks", json={"url": "https://receiver.example/"})).json()
    report = await disruptions.sent(caller, disruptions.body_of(cases.address()))
    feed = (await caller.get("/v1/allowlist")).json()
    (event, *_) = await wait_for_event(caller, "registration.submitted")
    await sequence(service.database, service.settings.public_url)
    size = str((await caller.get("/v1/audit/checkpoint")).json()["size"])
    return {
        "applicant_id": case["applicant_id"],
        "registration_id": case["id"],
        "upload_id": upload["id"],
        "decision_id": decision["id"],
        "partner_id": str(other.partner_id),
        "client_id": str(other.id),
        "webhook_id": webhook["id"],
        "report_id": report["id"],
        "session": feed["session"],
        "since": str(feed["serial"]),
        "serial": "1",
        "after": event["id"],
        "event_id": event["id"],
        "first": size,
        "second": size,
        "address": granted["networks"][0].partition("/")[0],
    }


def form_values(caller: Caller) -> dict[str, dict[str, str]]:
    """Return the form fields of the token endpoint."""
    login = {"client_id": caller.credentials.client_id, "client_secret": caller.credentials.client_secret}
    return {"issue_token": {"grant_type": "client_credentials", **login}}


async def answered(
    service: Service, caller: Caller, requests: Sequence[MalformedRequest]
) -> list[tuple[MalformedRequest, httpx.Response]]:
    """Send the requests, several at a time, and return each with its response."""
    waiting = iter(requests)
    found: list[tuple[MalformedRequest, httpx.Response]] = []

    async def work() -> None:
        for request in waiting:
            own = () if request.anonymous else ((b"authorization", b"Bearer " + caller.token.encode()),)
            url = service.http.base_url.copy_with(raw_path=request.path)
            answer = await service.http.request(
                request.method, url, headers=[*request.fields, *own], content=request.content
            )
            found.append((request, answer))

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", WAYS)
async def test_no_malformed_request_is_answered_with_500(
    service: Service, caller: Caller, pseb: Caller, officer: Caller, way: str
) -> None:
    malform: Callable[[Operation], Iterator[MalformedRequest]] = WAYS[way]
    ids = await known(service, caller, pseb, officer)
    operations = malformed_requests.operations(service.app.openapi(), ids, form_values(caller))
    found = await answered(service, caller, [each for operation in operations for each in malform(operation)])
    faults = [f"{answer.status_code} {request!r}" for request, answer in found if answer.status_code == 500]
    assert not faults, "\n".join(faults)
    assert len(found) > 30 * len(operations)


def is_json(text: str) -> bool:
    """Return whether a text is JSON by RFC 8259; a line that is not fails its file."""
    try:
        json.loads(text, parse_constant=lambda _: 1 / 0, parse_int=str)
    except (ValueError, ZeroDivisionError):
        return False
    return True


@pytest.mark.slow
async def test_no_malformed_value_in_a_row_fails_the_other_rows(service: Service, pseb: Caller) -> None:
    sound = {**uploads.row("sound"), "networks": ["203.99.50.5"]}
    values = [each for each in malformed_requests.VALUES if is_json(each)]
    rows = [malformed_requests.with_value(sound, (name,), value) for name in COLUMNS for value in values]
    content = b"\n".join([*rows, uploads.ndjson_of([uploads.row("last")])])
    upload = await uploads.ingest(pseb, content, upload_format="ndjson")
    assert (upload["status"], upload["problem"]) == ("completed", None)
    assert upload["counts"]["total"] == len(rows) + 1 > 400
    assert upload["counts"]["created"] >= 1
