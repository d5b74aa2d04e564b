"""HTTP operations of bulk uploads: send a file, follow its progress, download problems and refused rows."""

import asyncio
import hashlib
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.bulk_uploads import export, models, rules, schemas, service, store, template
from app.bulk_uploads.errors import (
    CsvMalformed,
    DryRunForgotten,
    NdjsonMalformed,
    TooManyRows,
    UploadsWaiting,
    XlsxMalformed,
)
from app.bulk_uploads.problems import layout_of
from app.bulk_uploads.receiving.content_digest import ContentDigest
from app.bulk_uploads.receiving.content_encoding import BodyDecompressor
from app.bulk_uploads.request_body import BODY, DESCRIPTION
from app.bulk_uploads.resources import row_resource, upload_resource
from app.core.auth.bearer import require
from app.core.database.engine import Database
from app.core.database.transaction import Transaction
from app.core.errors import (
    EncodingMalformed,
    Forbidden,
    MissingField,
    Unauthenticated,
    UnsupportedEncoding,
    UnsupportedMediaType,
)
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.conditional import NOT_MODIFIED, matches_if_none_match, not_modified
from app.core.http.dependencies import Db
from app.core.http.idempotency import Idempotency, IdempotentRequest
from app.core.http.problems import CREATES, READS, problem_responses
from app.core.http.responses import page_response, resource_response
from app.core.principal import Principal
from app.core.settings import Settings
from app.operators import store as operators
from app.registrations.case_states import read_states

router = APIRouter(prefix="/bulk-uploads", tags=["bulk uploads"], route_class=AuthenticatedRoute)
Reader = Annotated[Principal, require("registrations:read")]
Writer = Annotated[Principal, require("registrations:write", "applicants:write")]
UPLOAD_ERRORS = (
    UnsupportedEncoding, EncodingMalformed, CsvMalformed, NdjsonMalformed, XlsxMalformed, MissingField, TooManyRows,
    UploadsWaiting,
)  # fmt: skip
CSV_TYPE = "text/csv; charset=utf-8; header=present"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {"description": "CSV", "content": {"text/csv": {"schema": {"type": "string"}}}}
}
XLSX_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {"description": "XLSX", "content": {XLSX_TYPE: {"schema": {"type": "string"}}}}
}


@router.post(
    "",
    status_code=202,
    summary="Upload registrations",
    response_model=schemas.BulkUpload,
    responses=problem_responses(*CREATES, *UPLOAD_ERRORS),
    description=DESCRIPTION,
    openapi_extra=BODY,
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
    """Receive a file; ``DESCRIPTION`` is the text for callers."""
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
            upload_id = await service.receive(
                tx, principal, spool, upload_format, settings, dry_run=query.dry_run, options=query.options
            )
            resource = upload_resource(await store.get(tx, principal, upload_id))
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
        return page_response(request, schemas.BulkUploadPage, [upload_resource(each) for each in found], cursor)


@router.get(
    "/template.csv",
    summary="Download the template as CSV",
    response_class=Response,
    responses=problem_responses(Unauthenticated, Forbidden) | CSV_RESPONSE | NOT_MODIFIED,
)
async def get_csv_template(request: Request, database: Db, principal: Reader) -> Response:
    """Download a file to fill: the header and an example row to replace."""
    body = template.csv_template(await _operator_codes(database, principal))
    return _template(request, body, CSV_TYPE, "registrations.csv")


@router.get(
    "/template.xlsx",
    summary="Download the template as a workbook",
    response_class=Response,
    responses=problem_responses(Unauthenticated, Forbidden) | XLSX_RESPONSE | NOT_MODIFIED,
)
async def get_xlsx_template(request: Request, database: Db, principal: Reader) -> Response:
    """Download a workbook to fill.

    Its columns are text, with drop-down lists; its second sheet has instructions in English and Urdu.
    """
    body = await asyncio.to_thread(template.xlsx_template, await _operator_codes(database, principal))
    return _template(request, body, XLSX_TYPE, "registrations.xlsx")


async def _operator_codes(database: Database, principal: Principal) -> tuple[str, ...]:
    async with database.transaction(principal, read_only=True) as tx:
        return tuple(each.code for each in await operators.list_operators(tx))


def _template(request: Request, body: bytes, media_type: str, name: str) -> Response:
    headers = {
        "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    if matches_if_none_match(request, headers["ETag"]):
        return Response(None, 304, headers)
    return Response(body, headers=headers, media_type=media_type)


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
        return not_modified(request, found) or resource_response(upload_resource(found))


@router.get(
    "/{upload_id}/rows",
    summary="List an upload's rows",
    response_model=schemas.UploadRowPage,
    responses=problem_responses(*READS, DryRunForgotten),
)
async def list_rows(
    request: Request, upload_id: UUID, query: Annotated[schemas.RowsQuery, Query()], database: Db, principal: Reader
) -> Response:
    """List the outcome of each row in the order of the file, with its case as it is now."""
    async with database.transaction(principal, read_only=True) as tx:
        upload = await _get_with_rows(tx, principal, upload_id)
        layout = layout_of(upload.format, upload.layout, upload.columns)
        found, cursor = await store.list_rows(tx, upload_id, query)
        states = await read_states(tx, {each.registration_id for each in found if each.registration_id})
        rows = [row_resource(each, layout, states.get(each.registration_id)) for each in found]
        return page_response(request, schemas.UploadRowPage, rows, cursor)


@router.get(
    "/{upload_id}/problems.csv",
    summary="Download the problems",
    response_class=StreamingResponse,
    responses=problem_responses(*READS, DryRunForgotten) | CSV_RESPONSE,
)
async def get_problems(upload_id: UUID, database: Db, principal: Reader) -> Response:
    """Download the problems as CSV, one a line, in the order of the file.

    The columns are `sheet,row,line,letter,column,reference,code,given,detail,remedy`; `given` is masked.
    """
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

    The last column, `why`, says where each row was, what was read, what is wrong and what to write. It is ignored when
    it comes back. Only the partner that sent the file may download it. The format is CSV whatever was sent; unknown
    members of an NDJSON object are left out.
    """
    async with database.transaction(principal, read_only=True) as tx:
        found = await _get_with_rows(tx, principal, upload_id)
        if found.partner_id != principal.partner_id:
            raise Forbidden(
                "Only the partner that sent the file can download its rows, because they contain unmasked CNICs."
            )
        return _download(export.refused_csv(database, principal, found), f"refused-{upload_id}.csv")


@router.get(
    "/{upload_id}/receipts.csv",
    summary="Download the receipts",
    response_class=StreamingResponse,
    responses=problem_responses(*READS, DryRunForgotten) | CSV_RESPONSE,
)
async def get_receipts(upload_id: UUID, database: Db, principal: Writer) -> Response:
    """Download the receipts of the rows that became cases as CSV, in the order of the file, for the registrants.

    The columns are `sheet,row,line,reference,registration_id,receipt`. A receipt is blank when a newer one of its case
    was made. Only the partner that sent the file may download them; a dry run has none.
    """
    async with database.transaction(principal, read_only=True) as tx:
        found = await _get_with_rows(tx, principal, upload_id)
        if found.partner_id != principal.partner_id:
            raise Forbidden("Only the partner that sent the file can download the receipts of its cases.")
        return _download(export.receipts_csv(database, principal, found), f"receipts-{upload_id}.csv")


async def _get_with_rows(tx: Transaction, principal: Principal, upload_id: UUID) -> models.BulkUpload:
    """Return an upload whose rows are kept. Raises ``NotFound``, ``DryRunForgotten``."""
    found = await store.get(tx, principal, upload_id)
    if found.dry_run and found.erased_at:
        raise DryRunForgotten
    return found


def _download(body: Any, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(body, media_type=CSV_TYPE, headers=headers)
