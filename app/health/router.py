"""Is it alive, is it ready, what does it measure."""

from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError

from app.allowlist.serving.reader import SnapshotReader
from app.core.database.transaction import Transaction
from app.core.errors import Unavailable
from app.core.http.problems import documented
from app.core.http.responses import json_answer
from app.core.keyring import SealBroken
from app.core.limits.shared_read import SharedRead
from app.core.validation.schemas import Resource, Timestamp
from app.health import store
from app.partners import store as partners

router = APIRouter(tags=["health"])
log = structlog.get_logger(__name__)


class Live(Resource):
    """The process answers."""

    status: Literal["live"] = "live"


class Diverged(Resource):
    """A serial at which this process served another list than the database turned out to have."""

    serial: int
    found_at: Timestamp


class Ready(Resource):
    """Everything that the service needs is there.

    `diverged`, once this process served a list that the database did not have: it serves the database's by now.
    """

    status: Literal["ready"] = "ready"
    database: Literal[True] = True
    migrations: Literal[True] = True
    worker: Literal[True] = True
    diverged: Annotated[Diverged | None, Field(examples=[{"serial": 7, "found_at": "2026-11-28T12:00:00.000000Z"}])] = (
        None
    )


@router.get("/health/live", summary="Is the process alive", response_model=Live, responses=documented())
async def live() -> Response:
    """Says that the process answers; it asks nobody else, so a database outage does not restart the service."""
    return json_answer(Live())


@router.get("/health/ready", summary="Can it do its work", response_model=Ready, responses=documented(Unavailable))
async def ready(request: Request) -> Response:
    """Ready when the database answers, its migrations and secret are those of this process, and a worker was seen.

    A process whose allowlist is not the database's, and that cannot take the database's, is not ready either. The
    answer is at most a second old.
    """
    looked: SharedRead[str] = request.app.state.missing
    reader: SnapshotReader = request.app.state.reader
    try:
        absent = await looked.get()
    except (SQLAlchemyError, OSError) as error:
        log.warning("database unavailable", error=repr(error)[:300])
        raise Unavailable("The database does not answer.") from None
    if absent:
        raise Unavailable(absent)
    if reader.is_contradicted:
        raise Unavailable("The allowlist served is not the database's, which does not prove itself: see the log.")
    diverged = Diverged.model_validate(reader.diverged) if reader.diverged else None
    return json_answer(Ready(diverged=diverged))


async def missing(tx: Transaction, expected: str | None) -> str:
    """Words for what the service lacks, nothing when it lacks nothing; ``expected`` is the migration of this code."""
    if await store.applied_migration(tx) != expected:
        return "The database's migrations are not those of this code: run 'python -m app.cli migrate'."
    try:
        await partners.signing_key(tx)
    except SealBroken:
        return "SECRET_KEY is not the one that this database was set up with."
    if not await store.worker_seen_lately(tx):
        return "No worker was seen in the last 30 seconds: start one with 'python -m app.cli worker'."
    return ""


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response, responses=documented())
async def metrics() -> Response:
    """Counters and histograms in Prometheus' text format."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
