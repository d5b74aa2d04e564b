"""What operators enforce, answered from memory."""

from datetime import datetime
from email.utils import format_datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from app.allowlist import schemas, store
from app.allowlist.formats import FORMATS, negotiate
from app.allowlist.reader import SnapshotReader
from app.core import networks
from app.core.db import Reading
from app.core.errors import (
    FieldError,
    Forbidden,
    Invalid,
    NotAcceptable,
    NotFound,
    Unauthenticated,
)
from app.core.networks import NetworkMalformed
from app.core.problems import BODIES, documented
from app.core.responses import json_answer, page_answer, unchanged
from app.core.security import Principal, require

router = APIRouter(prefix="/allowlist", tags=["allowlist"])
Reader = Annotated[Principal, require("allowlist:read")]
Serial = Annotated[int, Path(ge=1, le=2**31 - 1)]
READS = (Unauthenticated, Forbidden)
REPRESENTATIONS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The list",
        "headers": {
            "ETag": {"description": "Session, serial and representation", "schema": {"type": "string"}},
            "Repr-Digest": {"description": "RFC 9530", "schema": {"type": "string"}},
        },
        "content": {
            each.media_type.partition(";")[0]: {"schema": {"type": "string"}}
            for name, each in FORMATS.items()
            if name != "json"
        },
    },
    304: {"description": "The caller holds this serial"},
}


def _reader(request: Request) -> SnapshotReader:
    reader: SnapshotReader = request.app.state.reader
    return reader


def _freshness(reader: SnapshotReader, published_at: datetime | None) -> dict[str, str]:
    headers = {"Cache-Control": "private, max-age=0, must-revalidate", "Vary": "Accept, Accept-Encoding, Authorization"}
    if published_at:
        headers["Last-Modified"] = format_datetime(published_at, usegmt=True)
    if reader.is_stale:
        headers |= {"Age": str(reader.age), "Warning": '110 - "Response is Stale"'}
    return headers


def _takes_gzip(request: Request) -> bool:
    codings = request.headers.get("accept-encoding", "").lower().replace(" ", "").split(",")
    return any(coding == "gzip" or (coding.startswith("gzip;q=") and coding[7:].strip("0.")) for coding in codings)


@router.get(
    "",
    summary="Read the allowlist",
    response_model=schemas.SnapshotBody,
    responses=documented(*READS, NotAcceptable) | REPRESENTATIONS,
)
async def get_allowlist(request: Request, query: Annotated[schemas.SnapshotQuery, Query()], _: Reader) -> Response:
    """The networks in force: as `json`, as `text` (one CIDR per line, for external dynamic lists) or as `csv`.

    Send the `ETag` back in `If-None-Match` and get 304 while nothing has changed. Before the first publication
    the answer is 503: no list is not an empty list. While the database is down, the last list goes on being
    served, with `Age` and `Warning`.
    """
    reader = _reader(request)
    name = query.format or negotiate(request.headers.get("accept", ""))
    shown = reader.representation(name, int(query.family) if query.family else None)
    gzipped = _takes_gzip(request)
    headers = _freshness(reader, reader.current().published_at)
    if fresh := unchanged(request, shown.etag(gzipped=gzipped), **headers):
        return fresh
    headers |= {"ETag": shown.etag(gzipped=gzipped), "Repr-Digest": shown.repr_digest, "Content-Type": shown.media_type}
    if gzipped:
        headers["Content-Encoding"] = "gzip"
    return Response(shown.gzipped if gzipped else shown.body, headers=headers)


def _checked(reader: SnapshotReader, text: str) -> schemas.Check:
    snapshot = reader.current()
    address = networks.parse_address(text)
    return schemas.Check.of(address, snapshot.find(networks.position(address)), snapshot.serial, reader.times)


@router.get(
    "/check",
    summary="Is an address allowed",
    response_model=schemas.Check,
    responses=documented(*READS, NetworkMalformed),
)
async def check_address(request: Request, query: Annotated[schemas.CheckQuery, Query()], _: Reader) -> Response:
    """Whether an address is in force now, by which network, and since which serial and time."""
    try:
        return json_answer(_checked(_reader(request), query.address))
    except NetworkMalformed as wrong:
        raise NetworkMalformed(wrong.detail, [FieldError("/query/address", wrong.code, wrong.detail)]) from None


@router.post(
    "/checks",
    summary="Are these addresses allowed",
    response_model=schemas.CheckedAddresses,
    responses=documented(*READS, *BODIES, NetworkMalformed),
)
async def check_addresses(request: Request, body: schemas.Checks, _: Reader) -> Response:
    """The same for up to 10,000 addresses at once, all at one serial."""
    reader = _reader(request)
    items: list[schemas.Check] = []
    errors: list[FieldError] = []
    for index, text in enumerate(body.addresses):
        try:
            items.append(_checked(reader, text))
        except NetworkMalformed as wrong:
            errors.append(FieldError(f"/addresses/{index}", wrong.code, wrong.detail))
    if errors:
        raise Invalid.of(errors)
    return json_answer(schemas.CheckedAddresses(serial=reader.current().serial, items=items))


@router.get(
    "/publications", summary="List publications", response_model=schemas.PublicationPage, responses=documented(*READS)
)
async def list_publications(
    request: Request, query: Annotated[schemas.PublicationsQuery, Query()], session: Reading, _: Reader
) -> Response:
    """What changed when, newest first, with counts, digest and the digest before."""
    return page_answer(request, schemas.PublicationPage, *await store.list_publications(session, query))


@router.get(
    "/publications/{serial}",
    summary="Read a publication",
    response_model=schemas.Publication,
    responses=documented(*READS, NotFound),
)
async def get_publication(serial: Serial, session: Reading, _: Reader) -> Response:
    """One serial's publication."""
    return json_answer(schemas.Publication.model_validate(await store.get_publication(session, serial)))
