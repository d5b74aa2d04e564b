"""Files of registrations: send one, follow it, fetch what was refused."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.bulk_uploads import export, models, rules, schemas, service, store
from app.bulk_uploads.errors import CsvMalformed
from app.core.db import Database, Reading, Writing
from app.core.errors import Forbidden, MissingField, UnsupportedMediaType
from app.core.idempotency import Idempotent
from app.core.principal import Principal
from app.core.problems import CREATES, READS, documented
from app.core.responses import not_modified, page_answer, resource_answer
from app.core.security import require

router = APIRouter(prefix="/bulk-uploads", tags=["bulk uploads"])
Reader = Annotated[Principal, require("registrations:read")]
Writer = Annotated[Principal, require("registrations:write", "applicants:write")]
EXAMPLE_CSV = (
    f"{','.join(rules.COLUMNS)}\r\nPSEB-1,vpn_company,company,Indus Softworks,1234567-8,,it@indus.example.pk,"
    "+923001234567,,,it_services,wireguard,nayatel,NAYATEL-1,203.99.50.5,\r\n"
)
CSV_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"text/csv": {"schema": {"type": "string", "format": "binary"}, "example": EXAMPLE_CSV}},
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
    responses=documented(*CREATES, CsvMalformed, MissingField),
    openapi_extra=CSV_BODY,
)
async def upload(
    request: Request,
    query: Annotated[schemas.UploadQuery, Query()],
    session: Writing,
    principal: Writer,
    once: Idempotent,
    content_digest: Annotated[str | None, Header(description="RFC 9530; checked when given", max_length=500)] = None,
) -> Response:
    """Takes a CSV file of registrations with a header row; a worker registers its rows.

    The answer is 202 with the address to follow it at. One bad row refuses that row alone; a file that cannot be
    read to its end refuses the whole file and registers nothing.
    """
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != "text/csv":
        raise UnsupportedMediaType(f"An upload comes as text/csv, not as {sent or 'no type at all'}.")
    async with service.spooled(request.stream()) as spool:
        spool.check_digest(content_digest)

        async def receive() -> Response:
            upload_id = await service.receive(session, principal, spool, dry_run=query.dry_run)
            shown = _shown(await store.get(session, principal, upload_id))
            return resource_answer(shown, 202, location=f"/v1/bulk-uploads/{upload_id}")

        return await once.answer(session, principal, receive, body_digest=spool.sha256)


@router.get("", summary="List uploads", response_model=schemas.BulkUploadPage, responses=documented(*READS))
async def list_uploads(
    request: Request, query: Annotated[schemas.BulkUploadsQuery, Query()], session: Reading, principal: Reader
) -> Response:
    """Your uploads, oldest first; the regulator sees everyone's."""
    found, cursor = await store.list_page(session, principal, query)
    return page_answer(request, schemas.BulkUploadPage, [_shown(each) for each in found], cursor)


@router.get("/{upload_id}", summary="Follow an upload", response_model=schemas.BulkUpload, responses=documented(*READS))
async def get_upload(request: Request, upload_id: UUID, session: Reading, principal: Reader) -> Response:
    """How far an upload is: its status, bytes and rows done, and rows by outcome."""
    found = await store.get(session, principal, upload_id)
    return not_modified(request, found) or resource_answer(_shown(found))


@router.get(
    "/{upload_id}/rows",
    summary="List an upload's rows",
    response_model=schemas.UploadRowPage,
    responses=documented(*READS),
)
async def list_rows(
    request: Request, upload_id: UUID, query: Annotated[schemas.RowsQuery, Query()], session: Reading, principal: Reader
) -> Response:
    """What became of each row, in the order of the file."""
    await store.get(session, principal, upload_id)
    return page_answer(request, schemas.UploadRowPage, *await store.list_rows(session, upload_id, query))


@router.get(
    "/{upload_id}/problems.csv",
    summary="Fetch what is wrong",
    response_class=StreamingResponse,
    responses=documented(*READS) | CSV_ANSWER,
)
async def get_problems(request: Request, upload_id: UUID, session: Reading, principal: Reader) -> Response:
    """`line,column,code,detail`: a line for each problem, in the order of the file."""
    found = await store.get(session, principal, upload_id)
    return _download(export.problems_csv(_database(request), principal, found), f"problems-{upload_id}.csv")


@router.get(
    "/{upload_id}/refused.csv",
    summary="Fetch the refused rows",
    response_class=StreamingResponse,
    responses=documented(*READS) | CSV_ANSWER,
)
async def get_refused(request: Request, upload_id: UUID, session: Reading, principal: Reader) -> Response:
    """The refused rows in the upload's own columns, to correct and send again: for the partner that sent them."""
    found = await store.get(session, principal, upload_id)
    if found.partner_id != principal.partner_id:
        raise Forbidden("Only the partner that sent the file can have its rows, which hold whole CNICs.")
    return _download(export.refused_csv(_database(request), principal, found), f"refused-{upload_id}.csv")


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


def _download(body: Any, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(body, media_type="text/csv; charset=utf-8; header=present", headers=headers)
