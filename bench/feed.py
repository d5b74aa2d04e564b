"""Measures an allowlist of a million networks: publication, refresh of a reader, check, snapshot and delta.

Each is compared with a baseline of the same run: hashing the list once, a FastAPI constant, nginx with the same file.
"""

import asyncio
import hashlib
import os
import resource
import statistics
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable

import asyncpg

from app.allowlist.publisher import Publisher
from app.allowlist.serving.reader import SnapshotReader
from app.allowlist.snapshot import Snapshot
from app.core.database.engine import Database
from app.core.settings import Settings
from app.migrating import migrate
from app.partners.rules import PartnerKind
from bench import partners
from bench.processes import api_server, baseline_app, nginx, postgres_server, seconds_for
from bench.results import Ratios

ENTRIES = int(os.environ.get("ENTRIES", "1000000"))
ROUNDS = 5
FILL = """INSERT INTO allowlist_entries (network, registration_id, holder)
          SELECT ('39.32.0.0'::inet + 2 * i)::cidr, gen_random_uuid(), 'bench' FROM generate_series(0, $1 - 1) i"""
ADD_ONE = """INSERT INTO allowlist_entries (network, registration_id, holder)
             VALUES ($1::text::cidr, gen_random_uuid(), 'bench')"""


def main() -> None:
    """Fill a database, measure, print, and save the result."""
    with postgres_server() as url:
        ratios = Ratios()
        settings = partners.settings(url, statement_timeout_ms=900_000)
        credentials, snapshot, about = asyncio.run(_measure_publication(settings, ratios))
        _measure_serving(url, credentials, snapshot, ratios)
        ratios.save("feed", entries=ENTRIES, **about)


async def _measure_publication(settings: Settings, ratios: Ratios) -> tuple[str, Snapshot, dict[str, float]]:
    await migrate(settings)
    database = Database(settings)
    connection = await asyncpg.connect(settings.database_url)
    await connection.execute(FILL, ENTRIES)
    publisher, reader = Publisher(database), SnapshotReader(database, settings)
    first = await _timed(publisher.publish)
    await connection.execute("VACUUM ANALYZE")
    await reader.refresh()
    published, refreshed = [], []
    for number in range(ROUNDS):
        await connection.execute(ADD_ONE, f"58.27.128.{number}/32")
        published.append(await _timed(publisher.publish))
        refreshed.append(await _timed(reader.refresh))
    snapshot = reader.current()
    began = time.perf_counter()
    hashlib.sha256("\n".join([*snapshot.networks, ""]).encode()).hexdigest()
    hashed = time.perf_counter() - began
    ratios.add("publish a one-entry change", statistics.median(published), "hashing the list once", hashed)
    ratios.add("refresh a reader", statistics.median(refreshed), "hashing the list once", hashed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    about = {"first_publication_seconds": round(first, 1), "peak_mib_of_publisher_and_reader": peak}
    await connection.close()
    await database.close()
    return ":".join(await partners.make_client(settings.database_url, PartnerKind.ASSOCIATION)), snapshot, about


async def _timed(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


def _measure_serving(url: str, credentials: str, snapshot: Snapshot, ratios: Ratios) -> None:
    headers = {"Authorization": f"Basic {b64encode(credentials.encode()).decode()}", "Accept-Encoding": "identity"}
    delta = f"/v1/allowlist/delta?session={snapshot.session}&since={snapshot.serial - 1}"
    with (
        api_server(url, partners.SECRET_KEY) as ours,
        baseline_app() as baseline,
        nginx(snapshot.canonical) as file_server,
    ):
        if file_server:
            served = seconds_for(ours, "/v1/allowlist?format=text", 30, headers) / 30
            limit = seconds_for(file_server, "/list", 30) / 30
            ratios.add("serve the snapshot as text", served, "nginx, the same file", limit)
        constant = seconds_for(baseline, "/constant", 2_000) / 2_000
        check = seconds_for(ours, "/v1/allowlist/check?address=39.40.0.2", 2_000, headers) / 2_000
        ratios.add("check an address", check, "FastAPI, a constant", constant)
        ratios.add("serve a delta", seconds_for(ours, delta, 2_000, headers) / 2_000, "FastAPI, a constant", constant)


if __name__ == "__main__":
    main()
