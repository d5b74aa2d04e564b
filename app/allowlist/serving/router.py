"""What operators enforce, answered from memory."""

import re
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from app.allowlist import publication_store, schemas
from app.allowlist.errors import SnapshotRequired
from app.allowlist.formats import FORMATS, SnapshotBody
from app.allowlist.serving import manifest
from app.allowlist.serving.access import DOCUMENTED_BASIC, Reader
from app.allowlist.serving.history import FeedHistory
from app.allowlist.serving.long_polls import LongPolls
from app.allowlist.serving.reader import SnapshotReader
from app.allowlist.serving.representations import Caching, list_tag, negotiate, unchanged
from app.allowlist.snapshot import NotASnapshot, Snapshot
from app.core.database.engine import Database
from app.core.errors import (
    FieldError,
    Forbidden,
    Invalid,
    NotAcceptable,
    NotFound,
    Unauthenticated,
)
from app.core.headers import first_header
from app.core.http.fast_route import FastRoute
from app.core.http.problems import BODIES, documented
from app.core.http.responses import is_held, json_answer
from app.core.limits.http import count_work
from app.core.limits.work_slots import WorkSlots
from app.core.validation import networks
from app.core.validation.networks import NetworkMalformed

router = APIRouter(prefix="/allowlist", tags=["allowlist"], dependencies=[DOCUMENTED_BASIC], route_class=FastRoute)
LONGEST_WAIT_SECONDS = 60
FEW_CHECKS = 100  # take less time than finding a thread for them
WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})")
CHECKED_EACH_TIME = Caching("private, max-age=0, must-revalidate", "Accept, Accept-Encoding, Authorization")
READS = (Unauthenticated, Forbidden)
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "The caller holds this serial"}}
REPRESENTATIONS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The list",
        "headers": {
            "ETag": {"description": "Session, serial, digest, time and representation", "schema": {"type": "string"}},
            "Repr-Digest": {"description": "RFC 9530", "schema": {"type": "string"}},
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
    """The list in this process's memory."""
    reader: SnapshotReader = request.app.state.reader
    return reader


def history_of(request: Request) -> FeedHistory:
    """The earlier serials, as this process serves them."""
    history: FeedHistory = request.app.state.history
    return history


def _aged(answer: Response, reader: SnapshotReader) -> Response:
    """The answer, with its age when the database has been out of reach or has another list."""
    if not (reader.is_stale or reader.is_contradicted):
        return answer
    aged = {**answer.headers, "Age": str(reader.age), "Warning": '110 - "Response is Stale"'}
    return Response(answer.body, answer.status_code, aged)


def takes_gzip(request: Request) -> bool:
    """Whether ``Accept-Encoding`` (RFC 9110, 12.5.3) takes gzip."""
    return _is_gzip_in(first_header(request.scope, b"accept-encoding") or "")


@lru_cache(maxsize=64)
def _is_gzip_in(accepted: str) -> bool:
    codings = accepted.lower().replace(" ", "").split(",")
    return any(coding == "gzip" or (coding.startswith("gzip;q=") and coding[7:].strip("0.")) for coding in codings)


@router.get(
    "",
    summary="Read the allowlist",
    response_model=SnapshotBody,
    responses=documented(*READS, NotAcceptable) | REPRESENTATIONS,
)
async def get_allowlist(request: Request, query: Annotated[schemas.SnapshotQuery, Query()], _: Reader) -> Response:
    """The networks in force, in the format that your enforcement reads.

    Send the `ETag` back in `If-None-Match` and get 304 while nothing has changed. Before the first publication
    the answer is 503: no list is not an empty list. While the database is down, the last list goes on being
    served, with `Age` and `Warning`.
    """
    reader = reader_of(request)
    name = query.format or negotiate(first_header(request.scope, b"accept") or "")
    family, gzipped = int(query.family) if query.family else None, takes_gzip(request)
    snapshot = reader.current()
    shown = reader.representations.made(snapshot.version, name, family, gzipped=gzipped)
    tag = shown.etag if shown else list_tag(snapshot.version, name, family, gzipped=gzipped)
    if is_held(request, tag):
        return _aged(shown.answers(CHECKED_EACH_TIME).unchanged if shown else unchanged(tag, CHECKED_EACH_TIME), reader)
    count_work(request)
    shown = shown or await reader.representations.of(snapshot, name, family, gzipped=gzipped)
    return _aged(shown.answers(CHECKED_EACH_TIME).whole, reader)


@router.get(
    "/delta",
    summary="Catch up from a serial",
    response_model=schemas.DeltaBody,
    responses=documented(*READS, SnapshotRequired),
)
async def get_delta(
    request: Request,
    query: Annotated[schemas.DeltaQuery, Query()],
    caller: Reader,
    prefer: Annotated[str, Header(description="`wait=30` holds the answer until there is a newer serial")] = "",
) -> Response:
    """What changed since the serial that you hold, as one step. Apply it, then compare the digest.

    With `Prefer: wait=N` (RFC 7240; at most 60 seconds) the answer is held until there is a newer serial; without
    one in that time it is an empty delta. 429 means that too many requests of your client wait already. 410 means:
    take the whole list. With the `digest` of the list that you hold, you get 410 at once when yours is of another
    history, as a failover that lost publications may leave it.
    """
    reader, digest = reader_of(request), query.digest
    if query.since > reader.current().serial:
        with suppress(NotASnapshot):  # then the list that is held stays
            await reader.refresh()
    held, asked, applied = reader.current(), WAIT.search(prefer), dict[str, str]()
    if asked and (query.session, query.since) == (held.session, held.serial) and digest in (None, held.digest):
        seconds = min(int(asked[1]), LONGEST_WAIT_SECONDS)
        digest = held.digest  # another list may take its place meanwhile
        waits: LongPolls = request.app.state.waits
        await waits.wait(request, caller.named[0], reader.wait_for_newer(query.since, seconds))
        applied["Preference-Applied"] = f"wait={seconds}"
    snapshot = reader.current()
    steps = reader.steps(query.since, digest)
    if snapshot.session != query.session or steps is None:
        raise SnapshotRequired(f"Session {snapshot.session} is at serial {snapshot.serial}.")
    if steps:
        body = (await history_of(request).delta(caller.named[0], snapshot.session, steps)).body
    else:
        body = schemas.DeltaBody.none(snapshot).model_dump_json(by_alias=True).encode()
    headers = {**CHECKED_EACH_TIME.fields, **applied}
    return _aged(Response(body, media_type="application/json", headers=headers), reader)


@router.get(
    "/manifest",
    summary="Read the signed manifest",
    response_class=Response,
    responses=documented(*READS)
    | {200: {"description": "A JWS in compact form", "content": {manifest.MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
async def get_manifest(request: Request, _: Reader) -> Response:
    """A JWS (RFC 7515, `Ed25519`) over session, serial, count, digest, times, and the SHA-256 of every piece.

    Check it with the key of its `kid` in `/.well-known/jwks.json`. It lasts 24 hours.
    """
    signer: manifest.ManifestSigner = request.app.state.manifest
    signed = await signer.current()
    answer = Response(signed, media_type=manifest.MEDIA_TYPE, headers=CHECKED_EACH_TIME.fields)
    return _aged(answer, reader_of(request))


def _checked(snapshot: Snapshot, times: dict[int, datetime], text: str) -> schemas.Check:
    address = networks.parse_address(text)
    return schemas.Check.of(address, snapshot.find(networks.position(address)), snapshot.serial, times)


@router.get(
    "/check",
    summary="Is an address allowed, or was it",
    response_model=schemas.Check,
    responses=documented(*READS, NetworkMalformed, NotFound),
)
async def check_address(request: Request, query: Annotated[schemas.CheckQuery, Query()], _: Reader) -> Response:
    """Whether an address is in force, by which network, and since when; with `at` or `serial`: whether it was then."""
    try:
        if query.at is None and query.serial is None:
            reader = reader_of(request)
            return json_answer(_checked(reader.current(), reader.times, query.address))
        return json_answer(await _checked_then(request, query))
    except NetworkMalformed as wrong:
        raise NetworkMalformed(wrong.detail, [FieldError("/query/address", wrong.code, wrong.detail)]) from None


async def _checked_then(request: Request, query: schemas.CheckQuery) -> schemas.Check:
    address = networks.parse_address(query.address)
    database: Database = request.app.state.database
    async with database.transaction(read_only=True) as tx:
        if query.at is not None:
            then = await publication_store.publication_at(tx, query.at)
        else:
            then = await publication_store.get_publication(tx, query.serial or 0)
        held = await publication_store.holding(tx, str(address), then.serial)
        times = await publication_store.times_of(tx, held.since_serial) if held else {}
    return schemas.Check.of(address, held, then.serial, times)


@router.post(
    "/checks",
    summary="Are these addresses allowed",
    response_model=schemas.CheckedAddresses,
    responses=documented(*READS, *BODIES, NetworkMalformed),
)
async def check_addresses(request: Request, body: schemas.Checks, caller: Reader) -> Response:
    """The same for up to 10,000 addresses at once, all at one serial."""
    reader = reader_of(request)
    snapshot, times = reader.current(), reader.times
    if len(body.addresses) <= FEW_CHECKS:
        return _check_all(snapshot, times, body)
    slots: WorkSlots = request.app.state.slots
    return await slots.in_thread(caller.named[0], _check_all, snapshot, times, body)


def _check_all(snapshot: Snapshot, times: dict[int, datetime], body: schemas.Checks) -> Response:
    items: list[schemas.Check] = []
    errors: list[FieldError] = []
    for index, text in enumerate(body.addresses):
        try:
            items.append(_checked(snapshot, times, text))
        except NetworkMalformed as wrong:
            errors.append(FieldError(f"/addresses/{index}", wrong.code, wrong.detail))
    if errors:
        raise Invalid.of(errors)
    return json_answer(schemas.CheckedAddresses(serial=snapshot.serial, items=items))
