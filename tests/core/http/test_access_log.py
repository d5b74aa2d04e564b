"""Every response has a request id, metrics name operations, and logs hold no secrets."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prometheus_client import REGISTRY

from app.core.settings import Settings
from tests.support import cases, postgres
from tests.support.service import Caller, Service

ROOT = Path(__file__).parents[3]


def _answered(method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("http_requests_total", labels) or 0.0


@contextmanager
def _served(settings: Settings, log: Path, **changes: str) -> Iterator[str]:
    """The URL of a serving process of its own, with its output in ``log``."""
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url,
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "PORT": "0",
        "LOG_LEVEL": "debug",
        "LOG_FORMAT": "json",
        **changes,
    }
    with log.open("wb") as out:
        command = [sys.executable, "-m", "app.cli", "serve"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
        try:
            url = None
            while url is None:
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
                url = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
            yield url[0]
        finally:
            process.terminate()
            process.wait(20)


async def test_an_unsafe_request_id_is_replaced(service: Service) -> None:
    values: list[Any] = ["", " ", "a b", 'x"y', "x\ty", "é".encode(), "x" * 101, "<script>", "a,b", "a;b"]
    for unsafe in values:
        answer = await service.http.get("/health/live", headers={"X-Request-ID": unsafe})
        assert UUID(answer.headers["X-Request-ID"]).version == 7, unsafe


@pytest.mark.parametrize(("trusted", "source"), [("192.0.2.7", "127.0.0.1"), ("127.0.0.1", "203.99.50.9")])
def test_only_a_trusted_proxy_sets_the_source_address(
    settings: Settings, tmp_path: Path, trusted: str, source: str
) -> None:
    log = tmp_path / "log"
    with _served(settings, log, FORWARDED_ALLOW_IPS=trusted) as url:
        httpx.get(f"{url}/v1/asked", headers={"X-Forwarded-For": "198.51.100.1, 203.99.50.9"})
    (line,) = [each for each in map(json.loads, log.read_text().splitlines()) if each.get("path") == "/v1/asked"]
    assert line["source"] == source


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_caller_can_forge_a_line(settings: Settings, tmp_path: Path, log_format: str) -> None:
    log = tmp_path / "log"
    with _served(settings, log, LOG_FORMAT=log_format) as url:
        assert httpx.get(f"{url}/v1/%0Aforged%0D%1B%5B2J%E2%80%A8line").status_code == 404
    (line,) = [each for each in log.read_text().split("\n") if "forged" in each]
    assert "answered" in line
    assert "404" in line
    assert [control for control in ("\r", "\x1b[2J", "\u2028") if control in line] == []


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_a_fault_is_logged_without_the_values_of_its_row_or_of_its_variables(
    settings: Settings, pseb: Caller, database_url: str, log_format: str, capfd: pytest.CaptureFixture[str]
) -> None:
    service = Service(settings.model_copy(update={"log_format": log_format}))
    caller = Caller(service, pseb.credentials, pseb.token)
    await postgres.execute(database_url, "ALTER TABLE applicants ADD CONSTRAINT fault CHECK (false) NOT VALID")
    person = cases.individual(mobile="+923007319054")
    answer = await caller.post("/v1/applicants", json=person)
    await service.close()
    logged = capfd.readouterr().err
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert 'violates check constraint "fault"' in logged.replace("\\", "")
    assert [value for value in (*person.values(), pseb.token) if value != "individual" and value in logged] == []


async def test_every_answer_carries_the_request_s_id_or_a_fresh_one(service: Service) -> None:
    @service.app.get("/fails")
    async def fails() -> None:
        raise RuntimeError

    for path, status in (("/health/live", 200), ("/v1/tracks", 401), ("/nothing", 404), ("/fails", 500)):
        given = await service.http.get(path, headers={"X-Request-ID": "their.own_id-1"})
        assert (given.status_code, given.headers["X-Request-ID"]) == (status, "their.own_id-1")
        fresh = [(await service.http.get(path)).headers["X-Request-ID"] for _ in range(2)]
        assert fresh[0] != fresh[1]
        assert all(UUID(each).version == 7 for each in fresh)


async def test_metrics_name_the_whole_operation_and_never_an_id(service: Service, pseb: Caller) -> None:
    case = await cases.submitted(pseb)
    expected = [
        ("GET", f"/v1/registrations/{case['id']}", "/v1/registrations/{registration_id}", 200),
        ("GET", f"/v1/registrations/{case['id']}/history", "/v1/registrations/{registration_id}/history", 200),
        ("GET", f"/v1/applicants/{uuid4()}", "/v1/applicants/{applicant_id}", 404),
        ("GET", "/v1/partners", "/v1/partners", 403),
        ("PUT", "/v1/tracks", "/v1/tracks", 405),
        ("GET", "/health/live", "/health/live", 200),
        ("GET", "/problems/not_found", "/problems/{code}", 200),
        ("GET", f"/v1/{uuid4()}", "unmatched", 404),
    ]
    for method, path, route, status in expected:
        before = _answered(method, route, status)
        answer = await pseb.request(method, path)
        assert (answer.status_code, _answered(method, route, status)) == (status, before + 1), route
    metrics = (await service.http.get("/metrics")).text
    assert case["id"] not in metrics
    assert 'http_request_duration_seconds_count{method="GET",route="/v1/registrations/{registration_id}"}' in metrics


async def test_logs_name_the_caller_and_operation_and_hold_no_secret_and_no_token(
    settings: Settings, service: Service, pseb: Caller, admin: Caller, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    person, credentials = cases.individual(), pseb.credentials
    with _served(settings, log) as url:
        async with httpx.AsyncClient(base_url=url) as http:
            basic = await http.post(
                "/oauth/token",
                data={"grant_type": "client_credentials"},
                auth=(credentials.client_id, credentials.client_secret),
            )
            form = await http.post(
                "/oauth/token",
                data={
                    "grant_type": "client_credentials",
                    "client_id": credentials.client_id,
                    "client_secret": credentials.client_secret,
                },
            )
            bearer = {"Authorization": f"Bearer {pseb.token}", "X-Request-ID": "traced-1"}
            made = await http.post("/v1/applicants", json=person, headers=bearer)
            refused = await http.post("/v1/applicants", json={**person, "mobile": "0300"}, headers=bearer)
            client = await http.post(
                f"/v1/partners/{credentials.partner_id}/clients",
                json={"name": "made-here"},
                headers={"Authorization": f"Bearer {admin.token}", "Idempotency-Key": "k"},
            )
            await http.get("/v1/registrations", headers={"Authorization": f"Bearer {pseb.token[:-5]}"})
    assert [each.status_code for each in (basic, form, made, refused, client)] == [200, 200, 201, 422, 201]
    written = log.read_text()
    secrets = [
        settings.secret_key.get_secret_value(),
        credentials.client_secret,
        pseb.token[-40:],
        admin.token[-40:],
        basic.json()["access_token"][-40:],
        client.json()["client_secret"],
        person["cnic"],
        person["email"],
    ]
    assert [secret for secret in secrets if secret in written] == []
    lines = [json.loads(line) for line in written.splitlines()]
    (line,) = [each for each in lines if each.get("request_id") == "traced-1" and each.get("status") == 201]
    assert line["event"] == "answered"
    assert (line["method"], line["path"], line["level"]) == ("POST", "/v1/applicants", "info")
    assert line["source"] == "127.0.0.1"
    assert (line["client_id"], line["partner_id"]) == (str(credentials.id), str(credentials.partner_id))


async def test_the_log_context_of_one_request_is_in_no_line_of_another(
    settings: Settings, pseb: Caller, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with _served(settings, log) as url:
        async with httpx.AsyncClient(base_url=url) as one_connection:
            for headers in ({"Authorization": f"Bearer {pseb.token}"}, {}):
                await one_connection.get("/v1/tracks", headers=headers)
    known, unknown = (each for each in map(json.loads, log.read_text().splitlines()) if each.get("path"))
    assert (known["status"], known["client_id"]) == (200, str(pseb.credentials.id))
    assert (unknown["status"], {"client_id", "partner_id", "way"} & unknown.keys()) == (401, set())
    assert known["request_id"] != unknown["request_id"]
