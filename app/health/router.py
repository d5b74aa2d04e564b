"""Endpoints of liveness, readiness and metrics."""

from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError

from app.allowlist.serving.reader import SnapshotReader
from app.core.database.transaction import Transaction
from app.core.errors import Unavailable
from app.core.http.problems import problem_responses
from app.core.http.responses import json_response
from app.core.http.strict_route import StrictRoute
from app.core.keyring import SealBroken
from app.core.limits.shared_read import SharedRead
from app.core.validation.schemas import Resource, Timestamp
from app.health import store
from app.partners import store as partners

router = APIRouter(tags=["health"], route_class=StrictRoute)
log = structlog.get_logger(__name__)


class Live(Resource):
    """The process is alive."""

    status: Literal["live"] = "live"


class Diverged(Resource):
    """A serial at which this process served another list than the database has."""

    serial: int
    found_at: Timestamp


class Ready(Resource):
    """The process is ready.

    `diverged` reports that this process once served a list that the database did not have. It serves the database's
    list now.
    """

    status: Literal["ready"] = "ready"
    database: Literal[True] = True
    migrations: Literal[True] = True
    worker: Literal[True] = True
    diverged: Annotated[Diverged | None, Field(examples=[{"serial": 7, "found_at": "2026-11-28T12:00:00.000000Z"}])] = (
        None
    )


@router.get("/health/live", summary="Check liveness", response_model=Live, responses=problem_responses())
async def live() -> Response:
    """Report that the process is alive. The database is not asked, so that its outage does not restart the service."""
    return json_response(Live())


@router.get("/health/ready", summary="Check readiness", response_model=Ready, responses=problem_responses(Unavailable))
async def ready(request: Request) -> Response:
    """Report readiness: the database answers, its migrations and secret match this process, and a worker is alive.

    A process that serves another allowlist than the database, and cannot load the one of the database, is not ready.
    The result is at most a second old.
    """
    readiness: SharedRead[str] = request.app.state.readiness
    reader: SnapshotReader = request.app.state.reader
    try:
        problem = await readiness.get()
    except (SQLAlchemyError, OSError) as error:
        log.warning("database unavailable", error=repr(error)[:300])
        raise Unavailable("The database does not answer.") from None
    if problem:
        raise Unavailable(problem)
    if reader.is_diverged:
        raise Unavailable("The allowlist served is not the one of the database, which has a wrong digest: see the log.")
    diverged = Diverged.model_validate(reader.last_divergence) if reader.last_divergence else None
    return json_response(Ready(diverged=diverged))


async def readiness_problem(tx: Transaction, expected_migration: str | None) -> str:
    """Describe the first thing that the service lacks, or return an empty text."""
    if await store.applied_migration(tx) != expected_migration:
        return "The database's migrations are not those of this code: run 'python -m app.cli migrate'."
    try:
        await partners.signing_key(tx)
    except SealBroken:
        return "SECRET_KEY is not the one that this database was set up with."
    if not await store.has_live_worker(tx):
        return "No worker had a heartbeat in the last 30 seconds: start one with 'python -m app.cli worker'."
    return ""


@router.get("/metrics", summary="Read the metrics", response_class=Response, responses=problem_responses())
async def metrics() -> Response:
    """Return counters, gauges and histograms in the Prometheus text format."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
