"""Endpoints of the newest list, its deltas, its manifest and address checks, served from memory."""

import re
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from app.allowlist import publication_store, schemas
from app.allowlist.errors import SnapshotRequired
from app.allowlist.formats import FORMATS, SnapshotBody
from app.allowlist.serving import manifest
from app.allowlist.serving.access import BASIC_SCHEME, FeedClient
from app.allowlist.serving.history import FeedHistory
from app.allowlist.serving.long_polls import LongPolls
from app.allowlist.serving.reader import SnapshotReader
from app.allowlist.serving.representations import CachePolicy, list_tag, negotiate, not_modified
from app.allowlist.serving.work_slots import WorkSlots
from app.allowlist.snapshot import InvalidSnapshot, Snapshot
from app.core.database.engine import Database
from app.core.errors import (
    FieldError,
    Forbidden,
    Invalid,
    NotAcceptable,
    NotFound,
    Unauthenticated,
)
from app.core.headers import field_value, fields_of
from app.core.http.conditional import NOT_MODIFIED, is_unmodified_since, matches_if_none_match
from app.core.http.fast_route import FastRoute
from app.core.http.negotiation import accepts_gzip
from app.core.http.problems import BODIES, problem_responses
from app.core.http.responses import json_response
from app.core.limits.http import count_work
from app.core.validation import networks
from app.core.validation.networks import NetworkMalformed

router = APIRouter(prefix="/allowlist", tags=["allowlist"], dependencies=[BASIC_SCHEME], route_class=FastRoute)
MAX_WAIT_SECONDS = 60
MAX_CHECKS_IN_LOOP = 100  # more of them run in a thread, which takes longer to start than a few checks
WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})")
REVALIDATE = CachePolicy("private, max-age=0, must-revalidate", "Accept, Accept-Encoding, Authorization")
READS = (Unauthenticated, Forbidden)
REPRESENTATIONS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The list",
        "headers": {
            "ETag": {
                "description": "Session, serial, digest, time and representation",
                "schema": {"type": "string"},
            },
            "Last-Modified": {"description": "Time of publication", "schema": {"type": "string"}},
            "Repr-Digest": {"description": "SHA-256 (RFC 9530)", "schema": {"type": "string"}},
            "Allowlist-Selection": {
                "description": "`aggregated` with `aggregate`, `part` and `parts` with `max` (RFC 9651)",
                "schema": {"type": "string"},
            },
            "Link": {"description": "With `max`: the next part, as `rel=next`", "schema": {"type": "string"}},
        },
        "content": {
            each.media_type.partition(";")[0]: {"schema": {"type": "string"}}
            for name, each in FORMATS.items()
            if name != "json"
        },
    },
    **NOT_MODIFIED,
}


def reader_of(request: Request) -> SnapshotReader:
    """The snapshot reader of this process."""
    reader: SnapshotReader = request.app.state.reader
    return reader


def history_of(request: Request) -> FeedHistory:
    """The feed's history, as this process serves it."""
    history: FeedHistory = request.app.state.history
    return history


def _add_age(response: Response, reader: SnapshotReader) -> Response:
    """Add ``Age`` and ``Warning`` (RFC 7234, 5.1 and 5.5) unless the list is surely the newest."""
    if not (reader.is_stale or reader.is_diverged or reader.is_behind):
        return response
    headers = {**response.headers, "Age": str(reader.age), "Warning": '110 - "Response is Stale"'}
    return Response(response.body, response.status_code, headers)


def _is_unmodified(request: Request, reader: SnapshotReader) -> bool:
    """True when the list is the one of the time in ``If-Modified-Since``, which is in whole seconds.

    Two lists of one second have one time, so the second is always sent (RFC 9110, 8.8.2.2).
    """
    if b"if-modified-since" not in fields_of(request.scope):
        return False
    current = reader.current()
    before, published = reader.deltas.get(current.serial - 1), current.published_at
    if before and published and before.published_at.replace(microsecond=0) == published.replace(microsecond=0):
        return False
    return is_unmodified_since(request, published)


@router.get(
    "",
    summary="Read the allowlist",
    response_model=SnapshotBody,
    responses=problem_responses(*READS, NotAcceptable) | REPRESENTATIONS,
)
async def get_allowlist(
    request: Request, query: Annotated[schemas.SnapshotQuery, Query()], caller: FeedClient
) -> Response:
    """Return the networks in force, in the format that your firewall reads.

    Send the `ETag` back in `If-None-Match` to get 304 while nothing has changed, or else `Last-Modified` in
    `If-Modified-Since`. Before the first publication the response is 503: a missing list is not an empty list.
    While the database is down, the last list is served, with `Age` and `Warning`.
    """
    reader = reader_of(request)
    name = query.format or negotiate(field_value(request.scope, b"accept") or "")
    selection, gzipped = query.selection(name), accepts_gzip(request)
    snapshot = reader.current()
    encoded = reader.representations.get(snapshot.version, name, selection, gzipped=gzipped)
    tag = encoded.etag if encoded else list_tag(snapshot.version, name, selection, gzipped=gzipped)
    if matches_if_none_match(request, tag) or _is_unmodified(request, reader):
        response = encoded.responses(REVALIDATE).not_modified if encoded else not_modified(tag, REVALIDATE)
        reader.fetched[caller.id_texts[0]] = snapshot.version
        return _add_age(response, reader)
    count_work(request)
    if encoded is None:
        encoded = await history_of(request).representation(
            caller.id_texts[0], snapshot.version, name, selection, gzipped=gzipped
        )
    reader.fetched[caller.id_texts[0]] = snapshot.version
    return _add_age(encoded.responses(REVALIDATE).full, reader)


@router.get(
    "/delta",
    summary="Read the changes since a serial",
    response_model=schemas.DeltaBody,
    responses=problem_responses(*READS, SnapshotRequired),
)
async def get_delta(
    request: Request,
    query: Annotated[schemas.DeltaQuery, Query()],
    caller: FeedClient,
    prefer: Annotated[str, Header(description="`wait=30` delays the response until there is a newer serial")] = "",
) -> Response:
    """Return the changes since your serial as one delta. Apply it, then compare the digest.

    With `Prefer: wait=N` (RFC 7240; at most 60 seconds) the response is delayed until there is a newer serial, and is
    an empty delta if there is none in that time. 429 means that too many requests of your client are waiting already.
    410 means: fetch the whole list. If you send the `digest` of your list, 410 also says that your list is of another
    history, as after a failover that lost publications.
    """
    reader, digest = reader_of(request), query.digest
    if query.since > reader.current().serial:
        with suppress(InvalidSnapshot):  # the current list stays
            await reader.refresh()
    snapshot, wait, applied = reader.current(), WAIT.search(prefer), dict[str, str]()
    is_newest = (query.session, query.since) == (snapshot.session, snapshot.serial)
    if wait and is_newest and digest in (None, snapshot.digest):
        seconds = min(int(wait[1]), MAX_WAIT_SECONDS)
        digest = snapshot.digest  # the list may be replaced while the request waits
        long_polls: LongPolls = request.app.state.long_polls
        await long_polls.wait(request, caller.id_texts[0], reader.wait_for_newer(query.since, seconds))
        applied["Preference-Applied"] = f"wait={seconds}"
    snapshot = reader.current()
    deltas = reader.deltas_since(query.since, digest)
    if snapshot.session != query.session or deltas is None:
        raise SnapshotRequired(f"Session {snapshot.session} is at serial {snapshot.serial}.")
    if deltas:
        body = (await history_of(request).delta(caller.id_texts[0], snapshot.session, deltas)).body
    else:
        body = schemas.DeltaBody.empty(snapshot).model_dump_json(by_alias=True).encode()
    reader.fetched[caller.id_texts[0]] = snapshot.version
    headers = {**REVALIDATE.headers, **applied}
    return _add_age(Response(body, media_type="application/json", headers=headers), reader)


@router.get(
    "/manifest",
    summary="Read the signed manifest",
    response_class=Response,
    responses=problem_responses(*READS)
    | {
        200: {
            "description": "A JWS in compact form",
            "headers": {"Vary": {"description": "`Accept`", "schema": {"type": "string"}}},
            "content": {each: {"schema": {"type": "string"}} for each in manifest.MEDIA_TYPES},
        }
    },
)
async def get_manifest(request: Request, _: FeedClient) -> Response:
    """Return a JWS (RFC 7515, `Ed25519`) over session, serial, count, digest, times, and the SHA-256 of each artefact.

    Verify it with the key of its `kid` in `/.well-known/jwks.json`. It is valid for 24 hours.
    `Accept: application/octet-stream` gives the same text to programs that do not know its type.
    """
    signer: manifest.ManifestSigner = request.app.state.manifest
    signed = await signer.current()
    media_type = manifest.preferred_type(request.headers.get("accept", ""))
    response = Response(signed, media_type=media_type, headers={**REVALIDATE.headers, "Vary": "Accept"})
    return _add_age(response, reader_of(request))


def _check(snapshot: Snapshot, times: dict[int, datetime], text: str) -> schemas.Check:
    address = networks.parse_address(text)
    return schemas.Check.of(address, snapshot.find(networks.to_integer(address)), snapshot.serial, times)


@router.get(
    "/check",
    summary="Check an address",
    response_model=schemas.Check,
    responses=problem_responses(*READS, NetworkMalformed, NotFound),
)
async def check_address(request: Request, query: Annotated[schemas.CheckQuery, Query()], _: FeedClient) -> Response:
    """Return whether an address is allowed, by which network, and since when; with `at` or `serial`, as of then."""
    try:
        if query.at is None and query.serial is None:
            reader = reader_of(request)
            return json_response(_check(reader.current(), reader.times, query.address))
        return json_response(await _check_earlier(request, query))
    except NetworkMalformed as wrong:
        raise NetworkMalformed(wrong.detail, [FieldError("/query/address", wrong.code, wrong.detail)]) from None


async def _check_earlier(request: Request, query: schemas.CheckQuery) -> schemas.Check:
    address = networks.parse_address(query.address)
    database: Database = request.app.state.database
    async with database.transaction(read_only=True) as tx:
        if query.at is not None:
            publication = await publication_store.publication_at(tx, query.at)
        else:
            publication = await publication_store.get_publication(tx, query.serial or 0)
        listed, times = await publication_store.network_at(tx, str(address), publication.serial), {}
        if listed:
            added = await publication_store.get_publication(tx, listed.since_serial)
            times[listed.since_serial] = added.published_at
    return schemas.Check.of(address, listed, publication.serial, times)


@router.post(
    "/checks",
    summary="Check many addresses",
    response_model=schemas.CheckedAddresses,
    responses=problem_responses(*READS, *BODIES, NetworkMalformed),
)
async def check_addresses(request: Request, body: schemas.Checks, caller: FeedClient) -> Response:
    """Check up to 10,000 addresses at the newest serial."""
    reader = reader_of(request)
    snapshot, times = reader.current(), reader.times
    if len(body.addresses) <= MAX_CHECKS_IN_LOOP:
        return _check_all(snapshot, times, body)
    slots: WorkSlots = request.app.state.slots
    return await slots.in_thread(caller.id_texts[0], _check_all, snapshot, times, body)


def _check_all(snapshot: Snapshot, times: dict[int, datetime], body: schemas.Checks) -> Response:
    items: list[schemas.Check] = []
    errors: list[FieldError] = []
    for index, text in enumerate(body.addresses):
        try:
            items.append(_check(snapshot, times, text))
        except NetworkMalformed as wrong:
            errors.append(FieldError(f"/addresses/{index}", wrong.code, wrong.detail))
    if errors:
        raise Invalid.of(errors)
    return json_response(schemas.CheckedAddresses(serial=snapshot.serial, items=items))
