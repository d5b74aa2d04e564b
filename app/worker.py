"""The worker process: loops that publish, ingest, deliver, sequence the audit log, expire and erase."""

import asyncio
import os
import signal
from contextlib import suppress
from datetime import timedelta
from functools import partial

import structlog
from prometheus_client import start_http_server
from uuid_utils.compat import uuid7

from app.allowlist.publisher import Publisher
from app.audit.process import run_sequencer, update_size_metric
from app.bulk_uploads.erasure import erase_old
from app.bulk_uploads.ingestion.lanes import Lanes
from app.core.database import data_keys
from app.core.database.data_keys import SealedColumn
from app.core.database.engine import Database
from app.core.database.notifications import Channel, Listener
from app.core.http import idempotency
from app.core.http.public_path import set_prefix
from app.core.limits import leases
from app.core.outbound.client import Outbound
from app.core.process.logs import configure_logging
from app.core.process.loops import run_forever, run_until_signal
from app.core.process.subprocesses import relax_gc
from app.core.settings import Settings
from app.erasure.service import erase_due
from app.health import store as health
from app.partners import store as partners
from app.registrations import service as registrations
from app.registrations import transfer_codes
from app.registrations.erasure import RetentionPeriods
from app.webhooks.delivery import Deliverer, forget_old_deliveries

HEARTBEAT_SECONDS = 5.0
RESTART_SECONDS = 1.0
SWEEP_SECONDS = 30.0
ERASE_SECONDS = 600.0
log = structlog.get_logger(__name__)


class Worker:
    """A worker; any number of them share the database and coordinate by its locks."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = Database(settings)
        self._listener = Listener(settings.database_url, ["bulk_uploads", "allowlist_pending"])
        self._publisher = Publisher(self._database, timedelta(seconds=settings.mass_change_window_seconds))
        self._lanes = Lanes(self._database, settings)
        self._deliverer = Deliverer(self._database, Outbound(settings))
        self._id = uuid7()

    async def run(self) -> None:
        """Run all loops until cancelled; a loop that fails logs it and goes on."""
        loops = (
            self._listener.run(),
            run_forever("heartbeat", self._beat, lambda: asyncio.sleep(HEARTBEAT_SECONDS)),
            run_forever("publish", self._publisher.publish, lambda: self._wait_for("allowlist_pending")),
            *(
                run_forever(name, take, partial(self._wait_for, "bulk_uploads", name))
                for name, take in self._lanes.loops()
            ),
            run_forever("audit", partial(run_sequencer, self._settings), lambda: asyncio.sleep(RESTART_SECONDS)),
            run_forever(
                "audit size", partial(update_size_metric, self._database), lambda: asyncio.sleep(HEARTBEAT_SECONDS)
            ),
            self._deliverer.run(self._settings.poll_seconds),
            run_forever("sweep", self._sweep, lambda: asyncio.sleep(SWEEP_SECONDS)),
            run_forever("reseal", self.reseal, lambda: asyncio.sleep(SWEEP_SECONDS)),
            run_forever("erase", self._erase, lambda: asyncio.sleep(ERASE_SECONDS)),
        )
        try:
            async with asyncio.TaskGroup() as group:  # waits until all have ended
                for each in loops:
                    group.create_task(each)
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._database.close()

    async def _wait_for(self, channel: Channel, waiter: str = "") -> None:
        await self._listener.wait(channel, self._settings.poll_seconds, waiter)

    async def _beat(self) -> None:
        async with self._database.transaction() as tx:
            await health.record_heartbeat(tx, self._id)

    async def _sweep(self) -> None:
        expired = registrations.EXPIRED_AT_ONCE
        while expired == registrations.EXPIRED_AT_ONCE:
            async with self._database.transaction() as tx:
                expired = await registrations.expire(tx)
        handed_over = registrations.HANDED_OVER_AT_ONCE
        while handed_over == registrations.HANDED_OVER_AT_ONCE:
            async with self._database.transaction() as tx:
                handed_over = await registrations.end_hand_overs(tx)
        ended = registrations.CLAIMS_ENDED_AT_ONCE
        while ended >= registrations.CLAIMS_ENDED_AT_ONCE:
            async with self._database.transaction() as tx:
                ended = await registrations.end_claims(tx, self._settings.claim_hours)
        async with self._database.transaction() as tx:
            await idempotency.delete_older_than(tx, self._settings.idempotency_hours)
            await leases.delete_ended(tx, timedelta(seconds=self._settings.rate_limit_window_seconds))
            await partners.forget_used_assertions(tx)
            await transfer_codes.forget_ended(tx)
            await forget_old_deliveries(tx)

    async def reseal(self) -> None:
        """Reseal values sealed with older keys in small transactions, then retire these keys."""
        async with self._database.transaction(read_only=True) as tx:
            is_rotating = await data_keys.is_rotating(tx, self._database.keyring)
        if is_rotating:
            for column in data_keys.sealed_columns():
                await self._reseal_column(column)
            async with self._database.transaction() as tx:
                await data_keys.retire_unused(tx, self._database.keyring)

    async def _reseal_column(self, column: SealedColumn) -> None:
        found = 1
        while found:
            async with self._database.transaction() as tx:
                found = await data_keys.reseal(tx, self._database.keyring, column)

    async def _erase(self) -> None:
        kept = timedelta(days=self._settings.personal_data_days)
        clocks = RetentionPeriods(
            never_granted=kept,
            grant_ended=timedelta(days=self._settings.ended_grant_days),
            unused=timedelta(days=self._settings.unused_applicant_days),
        )
        await erase_due(self._database, clocks)
        await erase_old(self._database, kept, timedelta(hours=self._settings.dry_run_hours))


def run_worker(settings: Settings) -> None:
    """Run a worker until SIGINT or SIGTERM."""
    configure_logging(settings.log_level, settings.log_format)
    set_prefix(settings.path_prefix)
    if settings.worker_metrics_port:
        start_http_server(settings.worker_metrics_port, settings.host)
    relax_gc()
    _use_batch_scheduling()
    asyncio.run(_work(settings))


def _use_batch_scheduling() -> None:
    """Run at batch priority, so that API processes and PostgreSQL go first (``sched(7)``)."""
    if hasattr(os, "SCHED_BATCH"):  # Linux
        with suppress(OSError):  # a sandbox may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


async def _work(settings: Settings) -> None:
    await run_until_signal(Worker(settings).run(), [signal.SIGINT, signal.SIGTERM])
    log.info("worker stopped")
