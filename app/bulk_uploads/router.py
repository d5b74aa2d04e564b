"""Files of registrations: send one, follow it, fetch what was refused."""

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
from app.bulk_uploads.receiving.content_encoding import Unpacker
from app.core.auth.bearer import require
from app.core.database.engine import Database
from app.core.database.transaction import Transaction
from app.core.errors import (
    EncodingMalformed,
    Forbidden,
    MissingField,
    UnsupportedEncoding,
    UnsupportedMediaType,
)
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.dependencies import Db
from app.core.http.idempotency import Idempotency, IdempotentRequest
from app.core.http.problems import CREATES, READS, documented
from app.core.http.responses import not_modified, page_answer, resource_answer
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
            media_type: {"schema": {"type": "string", "format": "binary"}, "example": EXAMPLES[upload_format]}
            for media_type, upload_format in rules.FORMAT_OF_TYPE.items()
        },
    }
}
CSV_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"description": "CSV", "content": {"text/csv": {"schema": {"type": "string"}}}}
}


def _shown(upload: models.BulkUpload) -> schemas.BulkUpload:
    values = {name: getattr(upload, name) for name in schemas.BulkUpload.model_fields if name != "counts"}
    counts = {name: getattr(upload, name) for name in schemas.Counts.model_fields}
    return schemas.BulkUpload.model_validate({**values, "counts": counts})


@router.post(
    "",
    status_code=202,
    summary="Upload registrations",
    response_model=schemas.BulkUpload,
    responses=documented(*CREATES, *UPLOAD_ERRORS),
    openapi_extra=UPLOAD_BODY,
)
async def upload(
    request: Request,
    query: Annotated[schemas.UploadQuery, Query()],
    database: Db,
    principal: Writer,
    idempotency: Idempotency,
    content_digest: Annotated[
        str | None, Header(description="RFC 9530, of the body as sent: sha-256 and sha-512 are checked", max_length=500)
    ] = None,
    content_encoding: Annotated[
        str | None, Header(description="`gzip` or `zstd`, when the body is packed", max_length=100, examples=["gzip"])
    ] = None,
) -> Response:
    """Takes a file of registrations: CSV or a sheet with a header row, or a JSON object a line with the same names.

    The answer is 202 with the address to follow it at; a worker registers the rows. One bad row refuses that row
    alone; a file that cannot be read to its end refuses the whole file and registers nothing. In NDJSON `networks`
    may be a list; of a workbook the sheet `registrations` is read, or else the first. Partners are served in turn, and
    small files do not wait behind large ones, so uploads of one partner may be processed at the same time. A partner's
    uploads that wait are bounded in number, bytes and rows: beyond that the answer is 429 `uploads_waiting`.
    """
    settings: Settings = request.app.state.settings
    upload_format = _format_of(request.headers.get("content-type", ""))
    unpacker = Unpacker(content_encoding, settings.max_unpacked_bytes)
    await _check_backlog(request, principal, idempotency, content_encoding)
    async with (
        service.spooled(request.stream(), unpacker, ContentDigest(content_digest)) as spool,
        database.transaction(principal) as tx,  # after all has come: a slow sender holds no connection
    ):

        async def receive() -> Response:
            upload_id = await service.receive(tx, principal, spool, upload_format, settings, dry_run=query.dry_run)
            shown = _shown(await store.get(tx, principal, upload_id))
            return resource_answer(shown, 202, location=f"/v1/bulk-uploads/{upload_id}")

        return await idempotency.respond(tx, principal, receive, body_digest=spool.sha256)


async def _check_backlog(
    request: Request, principal: Principal, idempotency: IdempotentRequest, encoding: str | None
) -> None:
    """Refuse before the body is read what its declared length alone is too much for; a repeat gets its answer."""
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdigit() and encoding is None else 0
    async with _database(request).transaction(principal, read_only=True) as tx:
        try:
            await service.check_backlog(tx, principal, request.app.state.settings, size)
        except UploadsWaiting:
            if not await idempotency.is_repeat(tx, principal):
                raise


def _format_of(content_type: str) -> rules.UploadFormat:
    sent = content_type.partition(";")[0].strip().lower()
    if sent not in rules.FORMAT_OF_TYPE:
        read = ", ".join(rules.FORMAT_OF_TYPE)
        raise UnsupportedMediaType(f"An upload comes as one of {read}; not as {sent or 'no type at all'}.")
    return rules.FORMAT_OF_TYPE[sent]


@router.get("", summary="List uploads", response_model=schemas.BulkUploadPage, responses=documented(*READS))
async def list_uploads(
    request: Request, query: Annotated[schemas.BulkUploadsQuery, Query()], database: Db, principal: Reader
) -> Response:
    """Your uploads, oldest first; the regulator sees everyone's."""
    async with database.transaction(principal, read_only=True) as tx:
        found, cursor = await store.list_page(tx, principal, query)
        return page_answer(request, schemas.BulkUploadPage, [_shown(each) for each in found], cursor)


@router.get("/{upload_id}", summary="Follow an upload", response_model=schemas.BulkUpload, responses=documented(*READS))
async def get_upload(request: Request, upload_id: UUID, database: Db, principal: Reader) -> Response:
    """How far an upload is: its status, bytes and rows done, and rows by outcome."""
    async with database.transaction(principal, read_only=True) as tx:
        found = await store.get(tx, principal, upload_id)
        return not_modified(request, found) or resource_answer(_shown(found))


@router.get(
    "/{upload_id}/rows",
    summary="List an upload's rows",
    response_model=schemas.UploadRowPage,
    responses=documented(*READS, DryRunForgotten),
)
async def list_rows(
    request: Request, upload_id: UUID, query: Annotated[schemas.RowsQuery, Query()], database: Db, principal: Reader
) -> Response:
    """What became of each row, in the order of the file."""
    async with database.transaction(principal, read_only=True) as tx:
        await _with_rows(tx, principal, upload_id)
        return page_answer(request, schemas.UploadRowPage, *await store.list_rows(tx, upload_id, query))


@router.get(
    "/{upload_id}/problems.csv",
    summary="Fetch what is wrong",
    response_class=StreamingResponse,
    responses=documented(*READS, DryRunForgotten) | CSV_ANSWER,
)
async def get_problems(request: Request, upload_id: UUID, database: Db, principal: Reader) -> Response:
    """`line,column,code,detail`: a line for each problem, in the order of the file."""
    async with database.transaction(principal, read_only=True) as tx:
        found = await _with_rows(tx, principal, upload_id)
        return _download(export.problems_csv(_database(request), principal, found), f"problems-{upload_id}.csv")


@router.get(
    "/{upload_id}/refused.csv",
    summary="Fetch the refused rows",
    response_class=StreamingResponse,
    responses=documented(*READS, DryRunForgotten) | CSV_ANSWER,
)
async def get_refused(request: Request, upload_id: UUID, database: Db, principal: Reader) -> Response:
    """The refused rows as CSV in the upload's own columns, to correct and send again: for the partner that sent them.

    CSV also of an NDJSON or XLSX upload. What an NDJSON line said under unknown names is not in it.
    """
    async with database.transaction(principal, read_only=True) as tx:
        found = await _with_rows(tx, principal, upload_id)
        if found.partner_id != principal.partner_id:
            raise Forbidden("Only the partner that sent the file can have its rows, which hold whole CNICs.")
        return _download(export.refused_csv(_database(request), principal, found), f"refused-{upload_id}.csv")


async def _with_rows(tx: Transaction, principal: Principal, upload_id: UUID) -> models.BulkUpload:
    """An upload whose rows are asked for. Raises ``NotFound``, ``DryRunForgotten``."""
    found = await store.get(tx, principal, upload_id)
    if found.dry_run and found.erased_at:
        raise DryRunForgotten
    return found


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


def _download(body: Any, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(body, media_type="text/csv; charset=utf-8; header=present", headers=headers)
