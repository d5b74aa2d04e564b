"""Secrets and personal data appear in no dump of the database, log or metric."""

import asyncio
import base64
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.core.settings import Settings
from app.partners.rules import PartnerKind
from tests.support import cases, postgres, processes, uploads
from tests.support.canaries import Canaries, found
from tests.support.service import Credentials, Service

FAULT = "ALTER TABLE applicants ADD CONSTRAINT fault CHECK (legal_name <> 'Fault') NOT VALID"
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Outputs:
    """Every output of a journey in which a leak would show."""

    canaries: Canaries
    dumps: str
    logs: str
    server_log: str
    metrics: str
    read_by_others: str


class Journey:
    """Every use of a person's data in the register, on real processes."""

    def __init__(self, http: httpx.Client, clients: dict[str, Credentials]) -> None:
        self.canaries = Canaries()
        self.http = http
        self.clients = clients
        self.canaries.secrets += [each.client_secret for each in clients.values()]
        self.tokens = {name: self.token(each) for name, each in clients.items()}

    def token(self, client: Credentials) -> str:
        """A token, once by HTTP Basic and once by the form."""
        grant = {"grant_type": "client_credentials"}
        secret = {"client_id": client.client_id, "client_secret": client.client_secret}
        for answer in (
            self.http.post("/oauth/token", data=grant, auth=(client.client_id, client.client_secret)),
            self.http.post("/oauth/token", data={**grant, **secret}),
        ):
            token: str = answer.json()["access_token"]
            self.canaries.tokens += token.split(".")[1:]  # the header says nothing, and is the same in every token
        return token

    def ask(self, who: str, status: int, method: str, path: str, **request: Any) -> httpx.Response:
        """Make a call that must have that status, and return its response."""
        headers = {"Authorization": f"Bearer {self.tokens[who]}", **request.pop("headers", {})}
        answer = self.http.request(method, path, headers=headers, **request)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def fail_logins(self) -> None:
        """Log in with secrets and tokens that are almost right; mistyped ones are secrets too."""
        mistyped = "Mistyped-" + self.canaries.secrets[0][10:]
        altered = self.tokens["pseb"][:-12] + "A" * 12
        self.canaries.secrets.append(mistyped)
        client = self.clients["pseb"].client_id
        grant = {"grant_type": "client_credentials"}
        assert self.http.post("/oauth/token", data=grant, auth=(client, mistyped)).status_code == 401
        assert self.http.get("/v1/allowlist", auth=(client, mistyped)).status_code == 401
        bearer = {"Authorization": f"Bearer {altered}"}
        assert self.http.get("/v1/applicants", headers=bearer).status_code == 401

    def apply(self) -> None:
        """Register a person, change the record, send invalid bodies, and meet an error of the service."""
        person, key = self.canaries.person(), {"Idempotency-Key": "application"}
        made = self.ask("pseb", 201, "POST", "/v1/applicants", json=person, headers=key)
        self.ask("pseb", 201, "POST", "/v1/applicants", json=person, headers=key)
        later = self.canaries.person()
        change = {"email": later["email"], "mobile": later["mobile"]}
        self.ask("pseb", 200, "PATCH", made.headers["Location"], json=change, headers={"If-Match": '"1"'})
        for mistake in ({"mobile": "0300"}, {"ntn": "1"}, {"kind": "ship"}, {"cnic": None}, {"extra": "x"}):
            self.ask("pseb", 422, "POST", "/v1/applicants", json=self.canaries.person(**mistake))
        mixed_up = self.canaries.person()
        swapped = {"cnic": mixed_up["email"], "email": mixed_up["mobile"], "mobile": mixed_up["cnic"]}
        self.ask("pseb", 422, "POST", "/v1/applicants", json={**mixed_up, **swapped})
        self.ask("pseb", 500, "POST", "/v1/applicants", json=self.canaries.person(legal_name="Fault"))
        case = cases.registration(made.json()["id"], track="vpn_freelancer", purpose="freelancing")
        number = self.canaries.person()["cnic"]
        for written in (number, number.replace("-", ""), number.replace("-", " "), number.replace("-", "\u2013")):
            for name in ("reference", "subscriber_id", "description", "operator"):
                self.ask("pseb", 422, "POST", "/v1/registrations", json={**case, name: f"of {written}"})
        registered = self.ask("pseb", 201, "POST", "/v1/registrations", json=case)
        verdict = {"registration_id": registered.json()["id"], "action": "approve"}
        self.ask("officer", 201, "POST", "/v1/review-decisions", json=verdict, headers={"If-Match": '"1"'})

    def upload(self) -> str:
        """Send a file with valid, invalid and shifted rows, and one that meets an error of the service."""
        refused = [
            self.canaries.row("no-track", track=""),
            self.canaries.row("bad-email", email=f"{self.canaries.person()['email']}@"),
            self.canaries.row("bad-network", networks="10.0.0.1"),
            self.canaries.row(self.canaries.person()["cnic"].replace("-", "")),
            self.canaries.row("in-text", description=f"of {self.canaries.person()['cnic'].replace('-', '')}"),
        ]
        out_of_step = [
            self._shift_columns(self.canaries.row(f"shifted-{by}"), by) for by in range(1, len(refused[0]) - 1)
        ]
        sent = self._send([self.canaries.row("sound"), *refused, *out_of_step])
        self._send([self.canaries.row("fault", legal_name="Fault")])
        return sent

    def _send(self, rows: list[dict[str, str]]) -> str:
        body, as_csv = uploads.csv_of(rows), {"Content-Type": "text/csv"}
        return self.ask("pseb", 202, "POST", "/v1/bulk-uploads", content=body, headers=as_csv).headers["Location"]

    @staticmethod
    def _shift_columns(row: dict[str, str], by: int) -> dict[str, str]:
        """Shift the cells by some columns, except the reference, which the partner chooses and which is shown."""
        names = [name for name in row if name != "reference"]
        moved = [*names[by:], *names[:by]]
        return {"reference": row["reference"]} | {name: row[other] for name, other in zip(names, moved, strict=True)}

    def new_client(self) -> None:
        """A client that is made over HTTP, with its secret in a kept answer, and given another secret.

        Another of the regulator is asked for, and waits for a second person with its secret made.
        """
        pasha, regulator = (f"/v1/partners/{self.clients[each].partner_id}/clients" for each in ("pasha", "officer"))
        key = {"Idempotency-Key": "client"}
        made = self.ask("admin", 201, "POST", pasha, json={"name": "new"}, headers=key)
        one = made.headers["Location"]
        rotated = self.ask("admin", 200, "POST", f"{one}/rotate", headers={"If-Match": made.headers["ETag"]})
        asked = self.ask("admin", 202, "POST", regulator, json={"name": "new"})
        self.canaries.secrets += [each.json()["client_secret"] for each in (made, rotated, asked)]

    def read_by_others(self) -> str:
        """Return the responses that another association and an operator can read."""
        self.http.get("/v1/allowlist", auth=(self.clients["nayatel"].client_id, self.clients["nayatel"].client_secret))
        open_to = {
            "pasha": ("applicants", "registrations", "bulk-uploads", "events", "allowlist"),
            "nayatel": ("registrations", "events", "allowlist", "allowlist/manifest", "allowlist/publications"),
        }
        return "".join(self.ask(who, 200, "GET", f"/v1/{of}").text for who, ofs in open_to.items() for of in ofs)

    def is_over(self, upload: str) -> bool:
        """Return whether the upload is completed and the approved network on the list."""
        listed = self.http.get("/v1/allowlist", headers={"Authorization": f"Bearer {self.tokens['nayatel']}"})
        return self.ask("pseb", 200, "GET", upload).json()["status"] == "completed" and listed.status_code == 200


async def made_clients(settings: Settings) -> dict[str, Credentials]:
    """A client of each kind of partner."""
    service = Service(settings)
    clients = {
        "pseb": await service.credentials("pseb"),
        "pasha": await service.credentials("pasha"),
        "nayatel": await service.credentials("nayatel", PartnerKind.OPERATOR, operator="nayatel"),
        "officer": await service.credentials("pta", PartnerKind.REGULATOR),
        "admin": (await service.admin()).credentials,
    }
    await service.close()
    return clients


@contextmanager
def register(settings: Settings, log: Path) -> Iterator[tuple[str, str]]:
    """Run a real API process and a real worker that log to ``log``, and yield their URLs."""
    port, measured = processes.free_port(), processes.free_port()
    api = processes.api_environment(settings, port, LOG_LEVEL="debug")
    worker = processes.environment(settings, WORKER_METRICS_PORT=str(measured), LOG_LEVEL="debug")
    url = f"http://127.0.0.1:{port}"
    with log.open("ab") as out, processes.running("serve", api, out) as serving:
        processes.wait_until_live(url, serving)
        with processes.running("worker", worker, out):
            yield url, f"http://127.0.0.1:{measured}"


def wait_until(happened: Callable[[], bool]) -> None:
    """Wait until something has happened; the test's timeout ends the waiting."""
    while not happened():
        time.sleep(0.1)


def run_journey(settings: Settings, log: Path, server_log: Path) -> Outputs:
    """Run one journey, and return its outputs."""
    asyncio.run(postgres.execute(settings.database_url, FAULT))
    clients = asyncio.run(made_clients(settings))
    with register(settings, log) as (url, measured), httpx.Client(base_url=url, timeout=30) as http:
        journey = Journey(http, clients)
        journey.fail_logins()
        journey.new_client()
        journey.apply()
        upload = journey.upload()
        dumps = postgres.dump(settings.database_url)
        wait_until(lambda: journey.is_over(upload) and "loop failed" in log.read_text())
        told = journey.read_by_others()
        metrics = http.get("/metrics").text + http.get(f"{measured}/metrics").text
    dumps += postgres.dump(settings.database_url)
    return Outputs(journey.canaries, dumps, log.read_text(), server_log.read_text(), metrics, told)


@pytest.fixture(scope="module")
def outputs(server_url: str, testrun_uid: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outputs]:
    """One journey for all the tests of this file."""
    url = asyncio.run(postgres.clone(server_url))
    log = tmp_path_factory.mktemp("leaks") / "log"
    yield run_journey(postgres.settings_for(url), log, postgres.directory_of(testrun_uid) / "log")
    asyncio.run(postgres.drop(server_url, url))


def test_the_journey_left_something_to_search(outputs: Outputs) -> None:
    canaries = outputs.canaries
    assert min(len(canaries.cnics), len(canaries.emails), len(canaries.mobiles)) > 20
    assert (len(canaries.secrets), len(canaries.tokens)) == (9, 20)
    assert "request failed" in outputs.logs
    assert "loop failed" in outputs.logs
    assert 'violates check constraint "fault"' in outputs.server_log
    assert "bulk_upload_rows_total" in outputs.metrics
    assert "COPY public.applicants" in outputs.dumps
    assert any(f"{block}." in outputs.read_by_others for block, _ in cases.BLOCKS)


KINDS = ["cnics", "emails", "mobiles", "secrets", "tokens"]


@pytest.mark.parametrize("place", ["dumps", "server_log"])
@pytest.mark.parametrize("kind", KINDS)
def test_neither_a_dump_of_the_database_nor_its_servers_log_shows_any_of_it(
    outputs: Outputs, place: str, kind: str
) -> None:
    assert found(getattr(outputs.canaries, kind), getattr(outputs, place)) == []


@pytest.mark.parametrize("place", ["logs", "metrics", "read_by_others"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_log_no_metric_and_nothing_that_others_are_told_shows_any_of_it(
    outputs: Outputs, place: str, kind: str
) -> None:
    assert found(getattr(outputs.canaries, kind), getattr(outputs, place)) == []


def test_the_search_finds_a_value_in_each_form(outputs: Outputs) -> None:
    value = outputs.canaries.emails[0]
    for text in (f'x,"{value}"', quote(value, safe=""), value.encode().hex()):
        assert found([value], text) == [value]
    for before in range(3):
        assert found([value], base64.b64encode(b"x" * before + value.encode() + b"yz").decode()) == [value]
