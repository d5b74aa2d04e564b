"""The feed's history: publications, immutable artefacts, and what is held."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from app.allowlist import publication_store, schemas, service
from app.allowlist.errors import SnapshotRequired
from app.allowlist.formats import SnapshotBody
from app.allowlist.serving.access import DOCUMENTED_BASIC, Reader
from app.allowlist.serving.representations import Caching, entity_tag, list_tag, repr_digest, unchanged
from app.allowlist.serving.router import NOT_MODIFIED, REPRESENTATIONS, history_of, reader_of, takes_gzip
from app.allowlist.snapshot import Version
from app.core.auth.bearer import require
from app.core.errors import Forbidden, NotAcceptable, NotFound, SelfReview, Unauthenticated
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.dependencies import Db
from app.core.http.problems import READS, documented
from app.core.http.responses import is_held, json_answer, page_answer
from app.core.limits.http import count_work
from app.core.principal import Principal

router = APIRouter(prefix="/allowlist", tags=["allowlist"], route_class=AuthenticatedRoute)
Serial = Annotated[int, Path(ge=1, le=schemas.LARGEST_SERIAL)]
Officer = Annotated[Principal, require("allowlist:publish")]
IMMUTABLE = Caching("private, max-age=31536000, immutable", "Accept, Accept-Encoding")


@router.get(
    "/snapshots/{serial}",
    summary="Read the list at a serial",
    response_model=SnapshotBody,
    responses=documented(*READS, NotAcceptable) | REPRESENTATIONS,
    dependencies=[DOCUMENTED_BASIC],
)
async def get_snapshot(
    request: Request, serial: Serial, query: Annotated[schemas.SnapshotQuery, Query()], caller: Reader
) -> Response:
    """The list as it was published at any serial ever, proven by its digest. It never changes: cache it for good.

    A list that has to be made again counts against the rate limit whatever the answer. 503 when too many are
    being made.
    """
    history = history_of(request)
    record = history.known(serial)
    if record is None:
        count_work(request)
        record = await history.look_up(serial)
    name, family = query.format or "json", int(query.family) if query.family else None
    gzipped = takes_gzip(request)
    tag = list_tag(record, name, family, gzipped=gzipped)
    if is_held(request, tag):
        return unchanged(tag, IMMUTABLE)
    count_work(request)
    shown = await history.representation(caller.named[0], record, name, family, gzipped=gzipped)
    return shown.answers(IMMUTABLE).whole


@router.get(
    "/deltas/{serial}",
    summary="Read the change of a serial",
    response_model=schemas.DeltaBody,
    responses=documented(Unauthenticated, Forbidden, SnapshotRequired) | NOT_MODIFIED,
    dependencies=[DOCUMENTED_BASIC],
)
async def get_delta_of(request: Request, serial: Serial, caller: Reader) -> Response:
    """What one publication changed. It never changes: cache it for good. 410 when it is not kept."""
    reader = reader_of(request)
    feed = reader.current()
    delta = reader.deltas.of(serial)
    if delta is None:
        raise SnapshotRequired(f"The delta of serial {serial} is not kept.")
    tag = entity_tag(Version(feed.session, serial, delta.published_at, delta.digest), "delta")
    if is_held(request, tag):
        return unchanged(tag, IMMUTABLE)
    count_work(request)
    piece = await history_of(request).delta(caller.named[0], feed.session, [delta])
    headers = {**IMMUTABLE.fields, "ETag": tag, "Repr-Digest": repr_digest(piece.sha256)}
    return Response(piece.body, media_type="application/json", headers=headers)


@router.get(
    "/publications",
    summary="List publications",
    response_model=schemas.PublicationPage,
    responses=documented(*READS),
    dependencies=[DOCUMENTED_BASIC],
)
async def list_publications(
    request: Request, query: Annotated[schemas.PublicationsQuery, Query()], database: Db, _: Reader
) -> Response:
    """What changed when, newest first, with counts, digest and the digest before."""
    async with database.transaction(read_only=True) as tx:
        return page_answer(request, schemas.PublicationPage, *await publication_store.list_publications(tx, query))


@router.get(
    "/publications/{serial}",
    summary="Read a publication",
    response_model=schemas.Publication,
    responses=documented(*READS),
    dependencies=[DOCUMENTED_BASIC],
)
async def get_publication(serial: Serial, database: Db, _: Reader) -> Response:
    """One serial's publication."""
    async with database.transaction(read_only=True) as tx:
        return json_answer(schemas.Publication.model_validate(await publication_store.get_publication(tx, serial)))


@router.get("/held", summary="List held changes", response_model=schemas.HeldPage, responses=documented(*READS))
async def list_held(
    request: Request, query: Annotated[schemas.HeldQuery, Query()], database: Db, principal: Officer
) -> Response:
    """Mass removals and mass growth that wait for another officer, oldest first."""
    async with database.transaction(principal, read_only=True) as tx:
        return page_answer(request, schemas.HeldPage, *await publication_store.list_held(tx, query))


@router.post(
    "/held/{held_id}/release",
    summary="Release a held change",
    response_model=schemas.HeldChange,
    responses=documented(*READS, NotFound, SelfReview),
)
async def release_held(held_id: UUID, database: Db, officer: Officer) -> Response:
    """Lets a held change into the next publication; by an officer whose own decision is not part of it."""
    async with database.transaction(officer) as tx:
        return json_answer(schemas.HeldChange.model_validate(await service.release(tx, officer, held_id)))
