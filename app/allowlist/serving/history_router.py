"""Endpoints of the feed's history: snapshots and deltas by serial, publications, and held changes."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from app.allowlist import publication_store, schemas, service
from app.allowlist.errors import SnapshotRequired
from app.allowlist.formats import SnapshotBody
from app.allowlist.serving.access import BASIC_SCHEME, FeedClient
from app.allowlist.serving.representations import CachePolicy, entity_tag, list_tag, not_modified, repr_digest
from app.allowlist.serving.router import REPRESENTATIONS, history_of, reader_of
from app.allowlist.snapshot import Version
from app.core.auth.bearer import require
from app.core.errors import Forbidden, NotAcceptable, NotFound, RangeNotSatisfiable, SelfReview, Unauthenticated
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.conditional import (
    NOT_MODIFIED,
    PARTIAL,
    is_unmodified_since,
    matches_if_none_match,
    requested_range,
)
from app.core.http.dependencies import Db
from app.core.http.negotiation import accepts_gzip
from app.core.http.problems import READS, problem_responses
from app.core.http.responses import json_response, page_response
from app.core.limits.http import count_work
from app.core.principal import Principal

router = APIRouter(prefix="/allowlist", tags=["allowlist"], route_class=AuthenticatedRoute)
Serial = Annotated[int, Path(ge=1, le=schemas.MAX_SERIAL)]
Officer = Annotated[Principal, require("allowlist:publish")]
IMMUTABLE = CachePolicy("private, max-age=31536000, immutable", "Accept, Accept-Encoding", ranges="bytes")


@router.get(
    "/snapshots/{serial}",
    summary="Read the list at a serial",
    response_model=SnapshotBody,
    responses=problem_responses(*READS, NotAcceptable, RangeNotSatisfiable) | REPRESENTATIONS | PARTIAL,
    dependencies=[BASIC_SCHEME],
)
async def get_snapshot(
    request: Request, serial: Serial, query: Annotated[schemas.SnapshotQuery, Query()], caller: FeedClient
) -> Response:
    """Return the list as it was published at any serial, verified by its digest. It can be cached for ever.

    `Range` of bytes, with `If-Range`, goes on with a download that broke off (RFC 9110, 14).
    A request that reads the serial from the database counts against the rate limit, whatever the response. 503 when
    too many lists are being built.
    """
    history = history_of(request)
    version = history.cached_version(serial)
    if version is None:
        count_work(request)
        version = await history.read_version(serial)
    name, gzipped = query.format or "json", accepts_gzip(request)
    selection = query.selection(name)
    tag = list_tag(version, name, selection, gzipped=gzipped)
    if matches_if_none_match(request, tag) or is_unmodified_since(request, version.published_at):
        return not_modified(tag, IMMUTABLE)
    count_work(request)
    encoded = await history.representation(caller.id_texts[0], version, name, selection, gzipped=gzipped)
    return requested_range(request, encoded.responses(IMMUTABLE).full)


@router.get(
    "/deltas/{serial}",
    summary="Read the changes of a serial",
    response_model=schemas.DeltaBody,
    responses=problem_responses(Unauthenticated, Forbidden, SnapshotRequired, RangeNotSatisfiable)
    | NOT_MODIFIED
    | PARTIAL,
    dependencies=[BASIC_SCHEME],
)
async def get_delta_of(request: Request, serial: Serial, caller: FeedClient) -> Response:
    """Return the changes of one publication, which can be cached for ever. 410 when they are not kept."""
    reader = reader_of(request)
    session = reader.current().session
    delta = reader.deltas.get(serial)
    if delta is None:
        raise SnapshotRequired(f"The delta of serial {serial} is not kept.")
    tag = entity_tag(Version(session, serial, delta.published_at, delta.digest), "delta")
    if matches_if_none_match(request, tag):
        return not_modified(tag, IMMUTABLE)
    count_work(request)
    encoded = await history_of(request).delta(caller.id_texts[0], session, [delta])
    headers = {**IMMUTABLE.full_headers, "ETag": tag, "Repr-Digest": repr_digest(encoded.sha256)}
    return requested_range(request, Response(encoded.body, media_type="application/json", headers=headers))


@router.get(
    "/publications",
    summary="List publications",
    response_model=schemas.PublicationPage,
    responses=problem_responses(*READS),
    dependencies=[BASIC_SCHEME],
)
async def list_publications(
    request: Request, query: Annotated[schemas.PublicationsQuery, Query()], database: Db, _: FeedClient
) -> Response:
    """List the publications, newest first, each with its counts, its digest and the digest before."""
    async with database.transaction(read_only=True) as tx:
        return page_response(request, schemas.PublicationPage, *await publication_store.list_publications(tx, query))


@router.get(
    "/publications/{serial}",
    summary="Read a publication",
    response_model=schemas.Publication,
    responses=problem_responses(*READS),
    dependencies=[BASIC_SCHEME],
)
async def get_publication(serial: Serial, database: Db, _: FeedClient) -> Response:
    """Return the publication of a serial."""
    async with database.transaction(read_only=True) as tx:
        return json_response(schemas.Publication.model_validate(await publication_store.get_publication(tx, serial)))


@router.get("/held", summary="List held changes", response_model=schemas.HeldPage, responses=problem_responses(*READS))
async def list_held(
    request: Request, query: Annotated[schemas.HeldQuery, Query()], database: Db, principal: Officer
) -> Response:
    """List mass removals and mass growth that were held for another officer, oldest first."""
    async with database.transaction(principal, read_only=True) as tx:
        return page_response(request, schemas.HeldPage, *await publication_store.list_held(tx, query))


@router.post(
    "/held/{held_id}/release",
    summary="Release a held change",
    response_model=schemas.HeldChange,
    responses=problem_responses(*READS, NotFound, SelfReview),
)
async def release_held(held_id: UUID, database: Db, officer: Officer) -> Response:
    """Release a held change into the next publication, as an officer whose own decision is not part of it."""
    async with database.transaction(officer) as tx:
        return json_response(schemas.HeldChange.model_validate(await service.release(tx, officer, held_id)))
