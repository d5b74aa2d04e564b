"""A file of registrations from upload to outcome, its approval and its publication, against PostgreSQL alone.

The limit is taken in the same run, on the same server and in the same schema: COPY of the parsed rows into a staging
table, then the same rows into the same indexed tables by one statement a table. ROWS, WRONG (a share), ORDER
(``shuffled`` or ``sorted``) and RUNS are read from the environment.
"""

import asyncio
import json
import os
import platform
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

from app.core.db import Database
from app.core.embedded import embedded_server
from app.core.settings import Settings
from app.migrating import migrate
from app.partners import service as partners
from app.partners.rules import PartnerKind
from app.partners.schemas import NewClient, NewPartner
from bench import alone, rows
from bench.processes import our_api, our_worker

ROWS = int(os.environ.get("ROWS", "20437"))
WRONG = float(os.environ.get("WRONG", "0"))
SHUFFLED = os.environ.get("ORDER", "shuffled") == "shuffled"
RUNS = int(os.environ.get("RUNS", "3"))
SECRET_KEY = "the-secret-of-a-benchmark-is-not-one-at-all"
RESULTS = Path(__file__).parent / "results"
STEPS = ("upload", "approval", "publication")


def main() -> None:
    """Measure, print, and keep the result."""
    body = rows.upload(ROWS, wrong=WRONG, shuffled=SHUFFLED)
    runs = []
    with tempfile.TemporaryDirectory() as directory, embedded_server(Path(directory) / "postgresql") as url:
        for number in range(RUNS):
            ours = _ours(_database(url, f"ours{number}"), body)
            limit = asyncio.run(alone.measure(_database(url, f"alone{number}"), body))
            runs.append({"ours": ours, "postgresql_alone": limit})
            print(f"run {number + 1}: {json.dumps(runs[-1])}", flush=True)
    result = {**_circumstances(), "rows": ROWS, "wrong": WRONG, "shuffled": SHUFFLED, "runs": runs}
    RESULTS.mkdir(exist_ok=True)
    order = "shuffled" if SHUFFLED else "sorted"
    (RESULTS / f"uploads-{ROWS}-{order}-{WRONG:g}.json").write_text(json.dumps(result, indent=1) + "\n")
    _show(runs)


def _database(server_url: str, name: str) -> str:
    async def make() -> None:
        connection = await asyncpg.connect(server_url)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    asyncio.run(make())
    url = server_url.replace("/postgres?", f"/{name}?")
    asyncio.run(migrate(_settings(url)))
    return url


def _settings(url: str) -> Settings:
    return Settings(database_url=url, secret_key=SECRET_KEY, log_level="error")  # type: ignore[arg-type]  # read as the environment is


async def _clients(url: str) -> dict[str, tuple[str, str]]:
    database = Database(_settings(url))
    made = {}
    async with database.write() as session:
        for kind in (PartnerKind.ASSOCIATION, PartnerKind.REGULATOR):
            partner = await partners.create_partner(session, None, NewPartner(name=kind.value, kind=kind))
            issued = await partners.create_client(session, None, partner, NewClient(name="bench"))
            made[kind.value] = (issued.client.client_id, issued.client_secret)
    await database.close()
    return made


class Caller:
    """Calls the API as one client."""

    def __init__(self, port: int, credentials: tuple[str, str]) -> None:
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=1_800)
        self._credentials = credentials

    def authorise(self) -> None:
        """Get a token, which lasts ten minutes."""
        form = {"grant_type": "client_credentials"}
        answer = self._http.post("/oauth/token", data=form, auth=self._credentials).raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def call(self, method: str, path: str, **given: Any) -> Any:
        """The JSON of an answer; raises ``httpx.HTTPStatusError``."""
        answer = self._http.request(method, path, **given)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self.authorise()
            answer = self._http.request(method, path, **given)
        return answer.raise_for_status().json()


def _ours(url: str, body: bytes) -> dict[str, Any]:
    clients = asyncio.run(_clients(url))
    environment = {"MAX_UPLOAD_BYTES": str(len(body) + 1), "STATEMENT_TIMEOUT_MS": "30000"}
    with our_api(url, SECRET_KEY, environment) as port, our_worker(url, SECRET_KEY) as worker:
        association, officer = (Caller(port, clients[kind]) for kind in ("association", "regulator"))
        other = Caller(port, clients["regulator"])
        quiet = _p99(other, seconds=3)
        times = {}
        with _watched(worker) as peak, _called(other) as answered:
            began = time.perf_counter()
            upload = association.call("POST", "/v1/bulk-uploads", content=body, headers={"Content-Type": "text/csv"})
            while upload["status"] in ("received", "processing"):
                time.sleep(0.2)
                upload = association.call("GET", f"/v1/bulk-uploads/{upload['id']}")
            times["upload"] = time.perf_counter() - began
        if upload["status"] != "completed":
            raise SystemExit(f"the upload ended as {upload}")
        began = time.perf_counter()
        selection = {"bulk_upload_id": upload["id"], "status": "submitted"}
        decided = {"selection": selection, "action": "approve"}
        approved = officer.call("POST", "/v1/review-decisions/batch", json=decided)["counts"]["decided"]
        times["approval"] = time.perf_counter() - began
        began = time.perf_counter()
        while not officer.call("GET", "/v1/allowlist/publications?limit=1")["items"]:
            time.sleep(0.1)
        times["publication"] = time.perf_counter() - began
    return {
        "seconds": times,
        "counts": upload["counts"],
        "approved": approved,
        "peak_mib": peak,
        "p99_ms": {"quiet": quiet, "during the upload": _at_99(answered)},
    }


def _p99(caller: Caller, seconds: float) -> float:
    with _called(caller) as answered:
        time.sleep(seconds)
    return _at_99(answered)


def _at_99(seconds: list[float]) -> float:
    return round(statistics.quantiles(seconds, n=100)[98] * 1_000, 2) if len(seconds) > 1 else 0.0


@contextmanager
def _called(caller: Caller) -> Iterator[list[float]]:
    """The times of a read of the register, called again and again while the block runs."""
    answered: list[float] = []
    done = threading.Event()
    caller.authorise()

    def call() -> None:
        while not done.wait(0.1):
            began = time.perf_counter()
            caller.call("GET", "/v1/registrations?limit=1")
            answered.append(time.perf_counter() - began)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield answered
    finally:
        done.set()
        thread.join()


@contextmanager
def _watched(worker: int) -> Iterator[dict[str, int]]:
    """The peak memory in MiB of a worker and of the process that reads for it, while the block runs."""
    peak = {"worker": 0, "reading": 0}
    done = threading.Event()

    def watch() -> None:
        process = psutil.Process(worker)
        while not done.wait(0.1):
            peak["worker"] = max(peak["worker"], process.memory_info().rss >> 20)
            for child in process.children():
                peak["reading"] = max(peak["reading"], child.memory_info().rss >> 20)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _circumstances() -> dict[str, Any]:
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision.stdout.strip(),
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
    }


def _show(runs: list[dict[str, Any]]) -> None:
    print(f"{ROWS:,} rows, median of {RUNS} runs\n{'':14}{'ours':>10}{'PostgreSQL':>12}{'ratio':>8}{'rows/s':>10}")
    for step in STEPS:
        ours = statistics.median(run["ours"]["seconds"][step] for run in runs)
        limit = statistics.median(run["postgresql_alone"][step] for run in runs)
        print(f"{step:14}{ours:9.2f}s{limit:11.2f}s{ours / limit:8.2f}{ROWS / ours:10,.0f}")


if __name__ == "__main__":
    main()
