"""Files of registrations from upload to outcome, their approval and publication, against PostgreSQL alone.

The limit is taken in the same run, on the same kind of server and in the same schema: COPY of the parsed rows into a
staging table, then the same rows into the same indexed tables by one statement a table. ROWS (one size or more), WRONG
(a share), ORDER (``shuffled`` or ``sorted``), RUNS and DECIDE (0: uploads alone) are read from the environment.
"""

import asyncio
import json
import os
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from rich.console import Console
from rich.table import Table

from app.demo.embedded_postgres import embedded_postgres
from app.migrating import migrate
from app.partners.rules import PartnerKind
from bench import alone, filled, other, results, rows
from bench.partners import SECRET_KEY, Caller, Credentials, make_client, settings
from bench.processes import our_api, our_worker

SIZES = tuple(map(int, os.environ.get("ROWS", "10000 20437 100000 1000000").split()))
WRONG = float(os.environ.get("WRONG", "0.02"))
SHUFFLED = os.environ.get("ORDER", "shuffled") == "shuffled"
RUNS = int(os.environ.get("RUNS", "3"))
POSTGRESQL = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
PIECE_BYTES = 64 * 1024
QUIET_SECONDS = 20
STEPS = ("upload", "approval", "publication")[: None if os.environ.get("DECIDE", "1") == "1" else 1]


def main() -> None:
    """Measure each size, print, and keep the results."""
    measured = []
    for size in SIZES:
        body = rows.upload(size, wrong=WRONG, shuffled=SHUFFLED)
        runs = [_run(body, number) for number in range(RUNS)]
        measured.append({"rows": size, "wrong": WRONG, "shuffled": SHUFFLED, "median": _medians(runs), "runs": runs})
        measured[-1]["postgresql_settings"] = POSTGRESQL
        results.keep(f"uploads-{size}-{'shuffled' if SHUFFLED else 'sorted'}-{WRONG:g}", measured[-1])
    _show(measured)


def _run(body: bytes, number: int) -> dict[str, Any]:
    """Both sides, one after the other, each on a server of its own: neither cleans up while the other is measured."""
    with _server() as url:
        ours = _ours(_database(url), body)
    with _server() as url:
        run = {"ours": ours, "postgresql_alone": asyncio.run(alone.measure(_database(url), body, STEPS))}
    print(f"run {number + 1}: {json.dumps(run)}", flush=True)
    return run


@contextmanager
def _server() -> Iterator[str]:
    """A server with the memory that docs/operations.md asks for."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory) / "postgresql"
        with embedded_postgres(place) as url:
            asyncio.run(_configure(url))
        with embedded_postgres(place) as url:
            yield url


async def _configure(url: str) -> None:
    connection = await asyncpg.connect(url)
    for name, value in POSTGRESQL.items():
        await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    await connection.close()


def _medians(runs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Seconds of both sides and their ratio, of each step."""
    found = {}
    for step in STEPS:
        ours = statistics.median(run["ours"]["seconds"][step] for run in runs)
        limit = statistics.median(run["postgresql_alone"][step] for run in runs)
        found[step] = {"ours": round(ours, 2), "postgresql_alone": round(limit, 2), "ratio": round(ours / limit, 2)}
    return found


def _database(url: str) -> str:
    asyncio.run(migrate(settings(url)))
    return url


async def _clients(url: str) -> dict[str, Credentials]:
    return {kind.value: await make_client(url, kind) for kind in (PartnerKind.ASSOCIATION, PartnerKind.REGULATOR)}


def _ours(url: str, body: bytes) -> dict[str, Any]:
    clients = asyncio.run(_clients(url))
    environment = {"MAX_UPLOAD_BYTES": str(len(body) + 1), "STATEMENT_TIMEOUT_MS": "30000"}
    with our_api(url, SECRET_KEY, environment) as server, our_worker(url, SECRET_KEY) as worker:
        association, officer = (Caller(server.port, clients[kind]) for kind in ("association", "regulator"))
        times = {}
        watched = {"api": server.process, "worker": psutil.Process(worker), "postgresql": _server_of(url)}
        applicant = filled.make_applicant(association, 0)
        association.call("POST", "/v1/registrations", json=next(filled.submissions([applicant])))
        # the other caller reads that case, and is watched, before as meanwhile
        with _watched(watched), other.calling(server.port, clients["regulator"]) as before:
            time.sleep(QUIET_SECONDS)
        with _watched(watched) as peak, other.calling(server.port, clients["regulator"]) as meanwhile:
            began = time.perf_counter()
            sent = {"Content-Type": "text/csv", "Content-Length": str(len(body))}
            upload = association.call("POST", "/v1/bulk-uploads", content=_in_pieces(body), headers=sent)
            while upload["status"] in ("received", "processing"):
                time.sleep(0.2)
                upload = association.call("GET", f"/v1/bulk-uploads/{upload['id']}")
            times["upload"] = time.perf_counter() - began
        if upload["status"] != "completed":
            raise SystemExit(f"the upload ended as {upload}")
        approved = _decided(officer, upload["id"], times) if "approval" in STEPS else None
    return {
        "seconds": times,
        "counts": upload["counts"],
        "approved": approved,
        "peak_mib": peak,
        "p99_ms": {"quiet": _at_99(before), "during the upload": _at_99(meanwhile)},
    }


def _in_pieces(body: bytes) -> list[bytes]:
    """A body piece by piece: sent whole, the client copies the rest again and again, and the other caller waits."""
    return [body[begin : begin + PIECE_BYTES] for begin in range(0, len(body), PIECE_BYTES)]


def _decided(officer: Caller, upload_id: str, times: dict[str, float]) -> int:
    """Approve all of an upload and wait for the publication; gives how many."""
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


def _at_99(seconds: list[float]) -> float:
    return round(statistics.quantiles(seconds, n=100)[98] * 1_000, 2) if len(seconds) > 1 else 0.0


def _server_of(url: str) -> psutil.Process:
    """The first process of a PostgreSQL server."""

    async def ask() -> int:
        connection = await asyncpg.connect(url)
        first: int = psutil.Process(connection.get_server_pid()).ppid()
        await connection.close()
        return first

    return psutil.Process(asyncio.run(ask()))


@contextmanager
def _watched(processes: dict[str, psutil.Process]) -> Iterator[dict[str, int]]:
    """The peak memory in MiB of processes while the block runs, each with those that it started, by their names."""
    peak = Counter[str]()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.25):
            for name, process in processes.items():
                for whose, size in _memory(name, process):
                    peak[whose] = max(peak[whose], size >> 20)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _memory(name: str, process: psutil.Process) -> Iterator[tuple[str, int]]:
    """Resident bytes of a process and of each that it started; PostgreSQL's as a whole, what they share once."""
    children = process.children()
    if name == "postgresql":
        taken = [_resident(each) for each in [process, *children]]
        yield name, sum(own for own, _ in taken) + max(shared for _, shared in taken)
        return
    yield name, sum(_resident(process))
    for i, child in enumerate(filter(_is_beside, children)):
        yield f"{name}, process {i + 1} beside it", sum(_resident(child))


def _is_beside(process: psutil.Process) -> bool:
    """Whether a process works for the one that started it; one that has just ended does not."""
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _resident(process: psutil.Process) -> tuple[int, int]:
    """The bytes that are its own alone and those that it may share; none when it has just ended."""
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
