"""Measures the whole sample register, from the first upload to the last network in the feed.

The limit is COPY of the same rows by the same server into empty tables with the same indexes and constraints.
"""

import asyncio
import io
import tempfile
import time
from pathlib import Path

import asyncpg
from rich.console import Console

from app.demo.loading import load_sample
from app.demo.stack import running_stack
from bench.processes import free_port
from bench.results import Ratios

TABLES = ("applicants", "registrations", "registration_networks", "review_decisions", "allowlist_entries", "events")


def main() -> None:
    """Measure, print both times and their ratio, and save the result."""
    console = Console()
    with (
        tempfile.TemporaryDirectory() as directory,
        running_stack(Path(directory), "127.0.0.1", free_port(), None) as stack,
    ):
        count, seconds = load_sample(stack.settings.public_url, stack.clients, console)
        copied = asyncio.run(_seconds_of_copy(stack.settings.database_url))
    ratios = Ratios()
    ratios.add("from the first upload to the last network in the feed", seconds, "COPY of the same rows", copied)
    ratios.save("register", networks=count)


async def _seconds_of_copy(database_url: str) -> float:
    connection = await asyncpg.connect(database_url)
    taken = 0.0
    for table in TABLES:
        rows = io.BytesIO()
        await connection.copy_from_table(table, output=rows)
        await connection.execute(f"CREATE TABLE copied_{table} (LIKE {table} INCLUDING ALL)")
        rows.seek(0)
        began = time.perf_counter()
        await connection.copy_to_table(f"copied_{table}", source=rows)
        taken += time.perf_counter() - began
    await connection.close()
    return taken


if __name__ == "__main__":
    main()
