"""HTTP operations of bulk uploads: send a file, follow its progress, download problems and refused rows."""

import json
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.bulk_uploads import export, models, rules, schemas, service, store
from app.bulk_uploads.errors import (
    CsvMalformed,
    DryRunForgotten,
    NdjsonMalformed,
    TooManyRows,
    UploadsWaiting,
    XlsxMalformed,
)
from app.bulk_uploads.receiving.content_digest import ContentDigest
from app.bulk_uploads.receiving.content_encoding import BodyDecompressor
from app.core.auth.bearer import require
from app.core.database.transaction import Transaction
from app.core.errors import (
    EncodingMalformed,
    Forbidden,
    MissingField,
    UnsupportedEncoding,
    UnsupportedMediaType,
)
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.conditional import NOT_MODIFIED, not_modified
from app.core.http.dependencies import Db
from app.core.http.idempotency import Idempotency, IdempotentRequest
from app.core.http.problems import CREATES, READS, problem_responses
from app.core.http.responses import page_response, resource_response
from app.core.principal import Principal
from app.core.settings import Settings

router = APIRouter(prefix="/bulk-uploads", tags=["bulk uploads"], route_class=AuthenticatedRoute)
Reader = Annotated[Principal, require("registrations:read")]
Writer = Annotated[Principal, require("registrations:write", "applicants:write")]
UPLOAD_ERRORS = (
    UnsupportedEncoding, EncodingMalformed, CsvMalformed, NdjsonMalformed, XlsxMalformed, MissingField, TooManyRows,
    UploadsWaiting,
)  # fmt: skip
EXAMPLE_ROW = {
    "reference": "PSEB-1", "track": "vpn_company", "applicant_kind": "company", "legal_name": "Indus Softworks",
    "ntn": "1234567-8", "cnic": "", "email": "it@indus.example.pk", "mobile": "+923001234567", "pseb_number": "",
    "pasha_number": "", "purpose": "it_services", "protocol": "wireguard", "operator": "nayatel",
    "subscriber_id": "NAYATEL-1", "networks": "203.99.50.5", "description": "",
}  # fmt: skip
EXAMPLES = {
    rules.UploadFormat.CSV: f"{','.join(rules.COLUMNS)}\r\n{','.join(EXAMPLE_ROW[name] for name in rules.COLUMNS)}\r\n",
    rules.UploadFormat.NDJSON: json.dumps({**EXAMPLE_ROW, "networks": ["203.99.50.5"]}) + "\n",
    rules.UploadFormat.XLSX: "(the bytes of a workbook)",
}
UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            media_type: {
                "schema": {"type": "string", "format": "binary"},
                "example": EXAMPLES.get(upload_format, "(the bytes of the file)"),
            }
            for media_type, upload_format in rules.FORMAT_OF_TYPE.items()
        },
    }
}
CSV_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {"description": "CSV", "content": {"text/csv": {"schema": {"type": "string"}}}}
}


def _to_schema(upload: models.BulkUpload) -> schemas.BulkUpload:
    values = {name: getattr(upload, name) for name in schemas.BulkUpload.model_fields if name != "counts"}
    counts = {name: getattr(upload, name) for name in schemas.Counts.model_fields}
    return schemas.BulkUpload.model_validate({**values, "counts": counts})


@router.post(
    "",
    status_code=202,
    summary="Upload registrations",
    response_model=schemas.BulkUpload,
    responses=problem_responses(*CREATES, *UPLOAD_ERRORS),
    openapi_extra=UPLOAD_BODY,
)
async def upload(
    request: Request,
    query: Annotated[schemas.UploadQuery, Query()],
    database: Db,
    principal: Writer,
    idempotency: Idempotency,
    content_digest: Annotated[
        str | None, Header(description="RFC 9530, of the body as sent; sha-256 and sha-512 are checked", max_length=500)
    ] = None,
    content_encoding: Annotated[
        str | None,
        Header(description="`gzip` or `zstd`, when the body is compressed", max_length=100, examples=["gzip"]),
    ] = None,
) -> Response:
    """Upload a file of registrations: CSV or XLSX with a header row, or NDJSON with the same names.

    The response is 202 with the URL of the upload; a worker registers the rows later. A row with an error is refused
    by itself. A file that cannot be read to its end is refused as a whole, and nothing is registered. In NDJSON,
    `networks` may be a list. In a workbook, the sheet `registrations` is read, or else the first sheet. Partners are
    served in turn and small files do not wait behind large ones, so several uploads of one partner may be processed at
    the same time. The unfinished uploads of a partner are limited in number, bytes and rows: beyond a limit the
    response is 429 `uploads_waiting`.
    """
    settings: Settings = request.app.state.settings
    upload_format = _upload_format(request.headers.get("content-type", ""))
    decompressor = BodyDecompressor(content_encoding, settings.max_unpacked_bytes)
    async with database.transaction(principal, read_only=True) as tx:
        await _check_declared_size(request, tx, principal, idempotency)
    async with (
        service.spool_body(request.stream(), decompressor, ContentDigest(content_digest)) as spool,
        database.transaction(principal) as tx,  # after the whole body: a slow sender holds no connection
    ):

        async def receive() -> Response:
            upload_id = await service.receive(tx, principal, spool, upload_format, settings, dry_run=query.dry_run)
            resource = _to_schema(await store.get(tx, principal, upload_id))
            return resource_response(resource, 202, location=f"/v1/bulk-uploads/{upload_id}")

        return await idempotency.respond(tx, principal, receive, body_digest=spool.sha256)


async def _check_declared_size(
    request: Request, tx: Transaction, principal: Principal, idempotency: IdempotentRequest
) -> None:
    """Raise ``UploadsWaiting`` before the body is read, unless this is a repeat whose response is stored."""
    length = request.headers.get("content-length", "")
    size = int(length) if length.isdigit() and "content-encoding" not in request.headers else 0
    try:
        await service.check_backlog(tx, principal, request.app.state.settings, size)
    except UploadsWaiting:
        if not await idempotency.is_repeat(tx, principal):
            raise


def _upload_format(content_type: str) -> rules.UploadFormat:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in rules.FORMAT_OF_TYPE:
        allowed = ", ".join(rules.FORMAT_OF_TYPE)
        raise UnsupportedMediaType(f"Content-Type must be one of {allowed}; it is {media_type or 'absent'}.")
    return rules.FORMAT_OF_TYPE[media_type]


@router.get("", summary="List uploads", response_model=schemas.BulkUploadPage, responses=problem_responses(*READS))
async def list_uploads(
    request: Request, query: Annotated[schemas.BulkUploadsQuery, Query()], database: Db, principal: Reader
) -> Response:
    """List your uploads, oldest first; the regulator sees all partners' uploads."""
    async with database.transaction(principal, read_only=True) as tx:
        found, cursor = await store.list_page(tx, principal, query)
        return page_response(request, schemas.BulkUploadPage, [_to_schema(each) for each in found], cursor)


@router.get(
    "/{upload_id}",
    summary="Follow an upload",
    response_model=schemas.BulkUpload,
    responses=problem_responses(*READS) | NOT_MODIFIED,
)
async def get_upload(request: Request, upload_id: UUID, database: Db, principal: Reader) -> Response:
    """Get the status of an upload, its bytes and rows done, and its rows by outcome."""
    async with database.transaction(principal, read_only=True) as tx:
        found = await store.get(tx, principal, upload_id)
        return not_modified(request, found) or resource_response(_to_schema(found))


@router.get(
    "/{upload_id}/rows",
    summary="List an upload's rows",
    response_model=schemas.UploadRowPage,
    responses=problem_responses(*READS, DryRunForgotten),
)
async def list_rows(
    request: Request, upload_id: UUID, query: Annotated[schemas.RowsQuery, Query()], database: Db, principal: Reader
) -> Response:
    """List the outcome of each row, in the order of the file."""
    async with database.transaction(principal, read_only=True) as tx:
        await _get_with_rows(tx, principal, upload_id)
        return page_response(request, schemas.UploadRowPage, *await store.list_rows(tx, upload_id, query))


@router.get(
    "/{upload_id}/problems.csv",
    summary="Download the problems",
    response_class=StreamingResponse,
    responses=problem_responses(*READS, DryRunForgotten) | CSV_RESPONSE,
)
async def get_problems(upload_id: UUID, database: Db, principal: Reader) -> Response:
    """Download `line,column,code,detail`: one line per problem, in the order of the file."""
    async with database.transaction(principal, read_only=True) as tx:
        found = await _get_with_rows(tx, principal, upload_id)
        return _download(export.problems_csv(database, principal, found), f"problems-{upload_id}.csv")


@router.get(
    "/{upload_id}/refused.csv",
    summary="Download the refused rows",
    response_class=StreamingResponse,
    responses=problem_responses(*READS, DryRunForgotten) | CSV_RESPONSE,
)
async def get_refused(upload_id: UUID, database: Db, principal: Reader) -> Response:
    """Download the refused rows as CSV in the columns of the upload, to correct and upload again.

    Only the partner that sent the file may do so. The format is CSV for NDJSON and XLSX uploads too; unknown members
    of an NDJSON object are left out.
    """
    async with database.transaction(principal, read_only=True) as tx:
        found = await _get_with_rows(tx, principal, upload_id)
        if found.partner_id != principal.partner_id:
            raise Forbidden(
                "Only the partner that sent the file can download its rows, because they contain unmasked CNICs."
            )
        return _download(export.refused_csv(database, principal, found), f"refused-{upload_id}.csv")


async def _get_with_rows(tx: Transaction, principal: Principal, upload_id: UUID) -> models.BulkUpload:
    """Return an upload whose rows are kept. Raises ``NotFound``, ``DryRunForgotten``."""
    found = await store.get(tx, principal, upload_id)
    if found.dry_run and found.erased_at:
        raise DryRunForgotten
    return found


def _download(body: Any, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(body, media_type="text/csv; charset=utf-8; header=present", headers=headers)
