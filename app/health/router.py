"""Endpoints of liveness, readiness and metrics."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.allowlist.serving.reader import SnapshotReader
from app.core.errors import Unavailable
from app.core.http.problems import problem_responses
from app.core.http.responses import json_response
from app.core.http.strict_route import StrictRoute
from app.core.limits.shared_read import SharedRead
from app.core.process.progress import Progress
from app.health.schemas import Diverged, FeedReady, Live, Ready
from app.health.service import Readiness

router = APIRouter(tags=["health"], route_class=StrictRoute)


@router.get("/health/live", summary="Check liveness", response_model=Live, responses=problem_responses(Unavailable))
async def live(request: Request) -> Response:
    """Report that the event loop makes progress and that none of the process's own loops has ended.

    The database is not asked, so that its outage does not restart the service.
    """
    progress: Progress = request.app.state.progress
    if progress.problem:
        raise Unavailable(progress.problem)
    return json_response(Live())


@router.get("/health/ready", summary="Check readiness", response_model=Ready, responses=problem_responses(Unavailable))
async def ready(request: Request) -> Response:
    """Report readiness for writes: the database takes one, and its migrations and secret fit this process.

    Workers that are away, and migrations that are newer and fit, do not matter. The result is at most a second old.
    """
    shared: SharedRead[Readiness] = request.app.state.readiness
    reader: SnapshotReader = request.app.state.reader
    found = await shared.get()
    if found.problem:
        raise Unavailable(found.problem)
    diverged = Diverged.model_validate(reader.last_divergence) if reader.last_divergence else None
    return json_response(Ready(worker=found.has_worker, diverged=diverged))


@router.get(
    "/health/ready/feed",
    summary="Check readiness for readers of the list",
    response_model=FeedReady,
    responses=problem_responses(Unavailable),
)
async def ready_for_feed(request: Request) -> Response:
    """Report that this process has a list that it may serve, also while the database is away.

    The database is not asked.
    """
    reader: SnapshotReader = request.app.state.reader
    snapshot = reader.current()
    shown = FeedReady(
        serial=snapshot.serial,
        age=reader.age,
        stale=reader.is_stale,
        diverged=reader.is_diverged,
        behind=reader.is_behind,
    )
    return json_response(shown)


@router.get("/metrics", summary="Read the metrics", response_class=Response, responses=problem_responses())
async def metrics() -> Response:
    """Return counters, gauges and histograms in the Prometheus text format."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
