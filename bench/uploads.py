"""Measures upload files to their outcomes, approval and publication, against PostgreSQL alone.

The limit is measured in the same run, on the same kind of server and in the same schema: COPY of the parsed rows into a
staging table, then one statement a table into the same indexed tables. The environment variables are ROWS (one size or
more), WRONG (a share), ORDER (``shuffled`` or ``sorted``), CELLS (``plain``, or ``spreadsheet``: local mobiles and all
cells quoted, while PostgreSQL alone gets plain ones), RUNS and DECIDE (0: uploads only).
"""

import asyncio
import json
import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import psutil
from rich.console import Console
from rich.table import Table

from app.migrating import migrate
from app.partners.rules import PartnerKind
from bench import competing_caller, fixtures, postgres_baseline, results, rows
from bench.partners import SECRET_KEY, Caller, Credentials, make_client, settings
from bench.processes import api_server, postgres_server, worker_process

SIZES = tuple(map(int, os.environ.get("ROWS", "10000 20437 100000 1000000").split()))
WRONG = float(os.environ.get("WRONG", "0.02"))
SHUFFLED = os.environ.get("ORDER", "shuffled") == "shuffled"
SPREADSHEET = os.environ.get("CELLS", "plain") == "spreadsheet"
RUNS = int(os.environ.get("RUNS", "3"))
# The memory that docs/operations.md recommends.
POSTGRESQL = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
CHUNK_BYTES = 64 * 1024
QUIET_SECONDS = 20
STEPS = ("upload", "approval", "publication")[: None if os.environ.get("DECIDE", "1") == "1" else 1]


def main() -> None:
    """Measure each size, print, and save the results."""
    measured = []
    for size in SIZES:
        body = rows.upload(size, wrong=WRONG, shuffled=SHUFFLED, spreadsheet=SPREADSHEET)
        limit_body = rows.upload(size, wrong=WRONG, shuffled=SHUFFLED)
        runs = [_run(body, limit_body, number) for number in range(RUNS)]
        shape = {"rows": size, "wrong": WRONG, "shuffled": SHUFFLED, "spreadsheet": SPREADSHEET}
        measured.append({**shape, "median": _medians(runs), "runs": runs})
        measured[-1]["postgresql_settings"] = POSTGRESQL
        order = "shuffled" if SHUFFLED else "sorted"
        results.save(f"uploads-{size}-{order}-{WRONG:g}{'-spreadsheet' if SPREADSHEET else ''}", measured[-1])
    _show(measured)


def _run(body: bytes, limit_body: bytes, number: int) -> dict[str, Any]:
    """Measure both sides in turn, each on its own server, so that no clean-up of one disturbs the other."""
    with postgres_server(**POSTGRESQL) as url:
        ours = _measure_service(_migrated(url), body)
    with postgres_server(**POSTGRESQL) as url:
        run = {
            "ours": ours,
            "postgresql_alone": asyncio.run(postgres_baseline.measure(_migrated(url), limit_body, STEPS)),
        }
    print(f"run {number + 1}: {json.dumps(run)}", flush=True)
    return run


def _medians(runs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the seconds of both sides and their ratio, by step."""
    found = {}
    for step in STEPS:
        ours = statistics.median(run["ours"]["seconds"][step] for run in runs)
        limit = statistics.median(run["postgresql_alone"][step] for run in runs)
        found[step] = {"ours": round(ours, 2), "postgresql_alone": round(limit, 2), "ratio": round(ours / limit, 2)}
    return found


def _migrated(url: str) -> str:
    asyncio.run(migrate(settings(url)))
    return url


async def _clients(url: str) -> dict[str, Credentials]:
    return {kind.value: await make_client(url, kind) for kind in (PartnerKind.ASSOCIATION, PartnerKind.REGULATOR)}


def _measure_service(url: str, body: bytes) -> dict[str, Any]:
    clients = asyncio.run(_clients(url))
    environment = {"MAX_UPLOAD_BYTES": str(len(body) + 1), "STATEMENT_TIMEOUT_MS": "30000"}
    with api_server(url, SECRET_KEY, environment) as server, worker_process(url, SECRET_KEY) as worker:
        association, officer = (Caller(server.port, clients[kind]) for kind in ("association", "regulator"))
        times = {}
        watched = {"api": server.process, "worker": psutil.Process(worker), "postgresql": _postmaster(url)}
        applicant = fixtures.make_applicant(association, 0)
        association.call("POST", "/v1/registrations", json=next(fixtures.submissions([applicant])))
        # measures the competing caller without an upload first, under the same sampling of memory
        with _peak_memory(watched), competing_caller.calling(server.port, clients["regulator"]) as before:
            time.sleep(QUIET_SECONDS)
        with _peak_memory(watched) as peak, competing_caller.calling(server.port, clients["regulator"]) as meanwhile:
            began = time.perf_counter()
            sent = {"Content-Type": "text/csv", "Content-Length": str(len(body))}
            upload = association.call("POST", "/v1/bulk-uploads", content=chunks_of(body), headers=sent)
            while upload["status"] in ("received", "processing"):
                time.sleep(0.2)
                upload = association.call("GET", f"/v1/bulk-uploads/{upload['id']}")
            times["upload"] = time.perf_counter() - began
        if upload["status"] != "completed":
            raise SystemExit(f"the upload ended as {upload}")
        approved = _approve(officer, upload["id"], times) if "approval" in STEPS else None
    return {
        "seconds": times,
        "counts": upload["counts"],
        "approved": approved,
        "peak_mib": peak,
        "p99_ms": {"quiet": _p99_ms(before), "during the upload": _p99_ms(meanwhile)},
    }


def chunks_of(body: bytes) -> list[bytes]:
    """Split a body: sent whole, httpx would copy the rest again and again, and slow the competing caller down."""
    return [body[begin : begin + CHUNK_BYTES] for begin in range(0, len(body), CHUNK_BYTES)]


def _approve(officer: Caller, upload_id: str, times: dict[str, float]) -> int:
    """Approve all cases of an upload and wait for the publication; returns the number of approved cases."""
    began = time.perf_counter()
    selection = {"bulk_upload_id": upload_id, "status": "submitted"}
    decided = {"selection": selection, "action": "approve", "including_flags": ["outside_country"]}
    approved: int = officer.call("POST", "/v1/review-decisions/batch", json=decided)["counts"]["decided"]
    times["approval"] = time.perf_counter() - began
    began = time.perf_counter()
    while not officer.call("GET", "/v1/allowlist/publications?limit=1")["items"]:
        time.sleep(0.1)
    times["publication"] = time.perf_counter() - began
    return approved


def _p99_ms(seconds: list[float]) -> float:
    return round(statistics.quantiles(seconds, n=100)[98] * 1_000, 2) if len(seconds) > 1 else 0.0


def _postmaster(url: str) -> psutil.Process:
    """Return the parent process of a PostgreSQL server."""

    async def find() -> int:
        connection = await asyncpg.connect(url)
        first: int = psutil.Process(connection.get_server_pid()).ppid()
        await connection.close()
        return first

    return psutil.Process(asyncio.run(find()))


@contextmanager
def _peak_memory(processes: dict[str, psutil.Process]) -> Iterator[dict[str, int]]:
    """Sample memory while the block runs; yields the peak MiB of each process and of each of its child processes."""
    peak = Counter[str]()
    done = threading.Event()

    def sample() -> None:
        while not done.wait(0.25):
            for name, process in processes.items():
                for label, size in _memory(name, process):
                    peak[label] = max(peak[label], size >> 20)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _memory(name: str, process: psutil.Process) -> Iterator[tuple[str, int]]:
    """Yield the resident bytes of a process and its children; for PostgreSQL one sum, with shared memory once."""
    children = process.children()
    if name == "postgresql":
        sizes = [_resident(each) for each in [process, *children]]
        yield name, sum(own for own, _ in sizes) + max(shared for _, shared in sizes)
        return
    yield name, sum(_resident(process))
    for i, child in enumerate(filter(_is_worker_child, children)):
        yield f"{name}, child process {i + 1}", sum(_resident(child))


def _is_worker_child(process: psutil.Process) -> bool:
    """True for a running child process of ``multiprocessing``."""
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _resident(process: psutil.Process) -> tuple[int, int]:
    """Return the private and the shared resident bytes of a process; zeros when it has ended."""
    try:
        memory = process.memory_info()
    except psutil.Error:
        return 0, 0
    return memory.rss - memory.shared, memory.shared


def _show(measured: list[dict[str, Any]]) -> None:
    order = "shuffled" if SHUFFLED else "sorted"
    title = f"{order} rows, {WRONG:.0%} of them wrong; median of {RUNS} runs"
    table = Table("rows", "step", "seconds", "PostgreSQL alone", "ratio", "rows a second", "µs a row", title=title)
    for each in measured:
        for step, found in each["median"].items():
            ours, limit = found["ours"], found["postgresql_alone"]
            rate, cost = each["rows"] / ours, ours / each["rows"] * 1_000_000
            table.add_row(
                f"{each['rows']:,}",
                step,
                f"{ours:.2f}",
                f"{limit:.2f}",
                f"{found['ratio']}",
                f"{rate:,.0f}",
                f"{cost:.1f}",
            )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
