"""Readiness of a process for reads and writes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from app.core.database.engine import Database
from app.core.database.outages import CommitUnconfirmed, ReadOnlyServer, is_outage
from app.core.database.transaction import Transaction
from app.core.keyring import SealBroken
from app.health import store
from app.health.rules import schema_problem
from app.partners import store as partners

PROBE_SECONDS = 3.0
NO_WRITES = "The database takes no writes: its server is a standby, or read-only."
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Readiness:
    """The first thing that the process lacks, or an empty text; and True when a worker was seen lately."""

    problem: str
    has_worker: bool = False


async def probe(database: Database, own_migrations: Sequence[str]) -> Readiness:
    """Commit a write that leaves nothing behind, on the path of every other; check the schema and the secret with it.

    Takes three seconds at most.
    """
    try:
        async with asyncio.timeout(PROBE_SECONDS), database.transaction() as tx:
            problem = await _find_problem(tx, own_migrations)
            if problem:
                return Readiness(problem)
            has_worker = await store.has_live_worker(tx)
            await store.write_nothing(tx)
    except Exception as error:
        if not is_outage(error):
            raise
        log.warning("database unavailable", error=repr(error)[:300])
        return Readiness(_describe(error))
    return Readiness("", has_worker)


async def _find_problem(tx: Transaction, own_migrations: Sequence[str]) -> str:
    if await store.is_read_only(tx):
        return NO_WRITES
    applied = await store.applied_migration(tx)
    problem = schema_problem(applied, await store.oldest_code(tx), own_migrations)
    if problem:
        return problem
    try:
        await partners.signing_key(tx)
    except SealBroken:
        return "SECRET_KEY is not the one that this database was set up with."
    return ""


def _describe(error: Exception) -> str:
    """Describe an outage without the places of the servers."""
    if isinstance(error, CommitUnconfirmed):
        return str(error)
    if isinstance(error, ReadOnlyServer):
        return NO_WRITES
    if isinstance(error, TimeoutError):
        return (
            f"The database took no write within {PROBE_SECONDS:.0f} seconds: it is silent, no connection is free, or a "
            "synchronous standby does not confirm."
        )
    return "The database does not answer."
