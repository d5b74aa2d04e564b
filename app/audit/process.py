"""Runs the sequencer in a child process at the lowest priority, so that requests and uploads go first."""

import asyncio
import signal
from functools import partial

import structlog
from prometheus_client import Gauge

from app.audit import store
from app.audit.sequencer import sequence_batch
from app.core.database.engine import Database
from app.core.process.logs import configure_logging
from app.core.process.loops import run_forever, run_until_signal
from app.core.process.subprocesses import init_child_process, run_in_subprocess
from app.core.settings import Settings

NICENESS = 19
# A batch a second takes a tenth of a processor; a million events at once take some minutes.
PACE_SECONDS = 1.0
SIZE = Gauge("audit_tree_size", "Leaves of the tree over the event log, as it was signed last")
log = structlog.get_logger(__name__)


async def run_sequencer(settings: Settings) -> None:
    """Run the sequencer in a child process until cancelled, or until that process ends."""
    code = await run_in_subprocess(_main, settings)
    log.warning("the audit's process ended", code=code)


async def update_size_metric(database: Database) -> None:
    """Set the metric to the size of the newest checkpoint."""
    async with database.transaction(read_only=True) as tx:
        newest = await store.newest_checkpoint(tx)
    SIZE.set(newest.size if newest else 0)


def _main(settings: Settings) -> None:
    init_child_process(NICENESS)
    configure_logging(settings.log_level, settings.log_format)
    asyncio.run(run_until_signal(_run_forever(settings), [signal.SIGTERM]))


async def _run_forever(settings: Settings) -> None:
    database = Database(settings.model_copy(update={"database_pool": 1}))
    try:
        work = partial(sequence_batch, database, settings.public_url)
        pause = min(PACE_SECONDS, settings.poll_seconds)
        await run_forever("audit", work, lambda: asyncio.sleep(pause))
    finally:
        await database.close()
