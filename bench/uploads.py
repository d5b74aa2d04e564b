"""A file of registrations from upload to outcome, its approval and its publication, against PostgreSQL alone.

The limit is taken in the same run, on the same server and in the same schema: COPY of the parsed rows into a staging
table, then the same rows into the same indexed tables by one statement a table. ROWS, WRONG (a share), ORDER
(``shuffled`` or ``sorted``) and RUNS are read from the environment.
"""

import asyncio
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from app.core.embedded import embedded_server
from app.migrating import migrate
from app.partners.rules import PartnerKind
from bench import alone, results, rows
from bench.partners import SECRET_KEY, Caller, Credentials, make_client, settings
from bench.processes import our_api, our_worker

ROWS = int(os.environ.get("ROWS", "20437"))
WRONG = float(os.environ.get("WRONG", "0"))
SHUFFLED = os.environ.get("ORDER", "shuffled") == "shuffled"
RUNS = int(os.environ.get("RUNS", "3"))
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
    result = {"rows": ROWS, "wrong": WRONG, "shuffled": SHUFFLED, "runs": runs}
    results.keep(f"uploads-{ROWS}-{'shuffled' if SHUFFLED else 'sorted'}-{WRONG:g}", result)
    _show(runs)


def _database(server_url: str, name: str) -> str:
    async def make() -> None:
        connection = await asyncpg.connect(server_url)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    asyncio.run(make())
    url = server_url.replace("/postgres?", f"/{name}?")
    asyncio.run(migrate(settings(url)))
    return url


async def _clients(url: str) -> dict[str, Credentials]:
    return {kind.value: await make_client(url, kind) for kind in (PartnerKind.ASSOCIATION, PartnerKind.REGULATOR)}


def _ours(url: str, body: bytes) -> dict[str, Any]:
    clients = asyncio.run(_clients(url))
    environment = {"MAX_UPLOAD_BYTES": str(len(body) + 1), "STATEMENT_TIMEOUT_MS": "30000"}
    with our_api(url, SECRET_KEY, environment) as server, our_worker(url, SECRET_KEY) as worker:
        association, officer = (Caller(server.port, clients[kind]) for kind in ("association", "regulator"))
        other = Caller(server.port, clients["regulator"])
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


def _show(runs: list[dict[str, Any]]) -> None:
    print(f"{ROWS:,} rows, median of {RUNS} runs\n{'':14}{'ours':>10}{'PostgreSQL':>12}{'ratio':>8}{'rows/s':>10}")
    for step in STEPS:
        ours = statistics.median(run["ours"]["seconds"][step] for run in runs)
        limit = statistics.median(run["postgresql_alone"][step] for run in runs)
        print(f"{step:14}{ours:9.2f}s{limit:11.2f}s{ours / limit:8.2f}{ROWS / ours:10,.0f}")


if __name__ == "__main__":
    main()
