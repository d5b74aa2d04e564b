"""The worker's part: one upload, chunk by chunk, one transaction a chunk, through the services of the JSON API."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import Counter
from pydantic import TypeAdapter, ValidationError

from app.applicants import service as applicants
from app.applicants.schemas import ApplicantDetails
from app.bulk_uploads import rules, store
from app.bulk_uploads.errors import TooManyRows
from app.bulk_uploads.models import SEALED_CELLS, BulkUpload
from app.bulk_uploads.parser import cells_of, read_rows
from app.bulk_uploads.rows import Row
from app.bulk_uploads.rules import RowOutcome, UploadStatus
from app.bulk_uploads.unfolding import unfold
from app.core.db import Database, WriteSession
from app.core.errors import DomainError, FieldError, Invalid
from app.core.principal import Principal
from app.core.problems import problem_of
from app.core.schemas import Line100, validated
from app.events import store as events
from app.events.store import Happening
from app.registrations import service as registrations
from app.registrations.errors import ReferenceDuplicate
from app.registrations.rules import Ledger
from app.registrations.schemas import RegistrationDetails

UNKNOWN_APPLICANT = UUID(int=0)
REFERENCE: TypeAdapter[str] = TypeAdapter(Line100)
ROWS = Counter("bulk_upload_rows", "Rows of uploads by outcome", ["outcome"])
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class ParsedRow:
    """A row with its two bodies, or with what is wrong with it."""

    row: Row
    reference: str | None
    applicant: ApplicantDetails | None
    registration: RegistrationDetails | None
    errors: Sequence[FieldError]
    registration_id: UUID | None = None
    outcome: RowOutcome = RowOutcome.REFUSED


@dataclass(slots=True)
class Rehearsal:
    """What a dry run has accepted so far, in place of the rows that it takes back."""

    ledger: Ledger = field(default_factory=Ledger)
    kinds: dict[str, str] = field(default_factory=dict)


class Superseded(Exception):
    """Another worker has moved the upload on; nothing of this chunk is kept."""


async def ingest(database: Database, upload_id: UUID, chunk_rows: int, most_rows: int) -> bool:
    """Bring an upload to its end from wherever it stands; False when another worker has it.

    The file is read to its end before its first row is acted on, so that a file that is broken or has more than
    ``most_rows`` changes nothing.
    """
    async with store.claimed(database, upload_id) as is_mine:
        if not is_mine:
            return False
        async with database.read() as session:
            upload = await store.waiting_upload(session, upload_id)
        if upload is None:
            return True
        try:
            upload = await _start(database, await unfold(database, upload), most_rows)
            await _take_chunks(database, upload, chunk_rows)
        except Invalid as broken:
            await _fail(database, upload_id, broken)
        except Superseded:
            log.info("another worker moved the upload on", bulk_upload_id=str(upload_id))
        return True


def _parts(database: Database, upload_id: UUID, loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
    """The upload's parts, for a thread: each is fetched on the loop when the parser comes to it."""

    async def fetch(position: int) -> bytes | None:
        async with database.read() as session:
            return await store.read_part(session, upload_id, position)

    position = 0
    while (part := asyncio.run_coroutine_threadsafe(fetch(position), loop).result()) is not None:
        yield part
        position += 1


async def _start(database: Database, upload: BulkUpload, most_rows: int) -> BulkUpload:
    """Read the file to its end once and count its rows; a dry run starts at its first row.

    Raises ``Invalid`` for a file that is malformed or has too many rows.
    """
    if upload.total is not None and not upload.dry_run:
        return upload
    loop = asyncio.get_running_loop()
    rows = islice(read_rows(_parts(database, upload.id, loop), upload.format), 1, most_rows + 2)
    total = await asyncio.to_thread(lambda: sum(1 for _ in rows))
    if total > most_rows:
        raise TooManyRows(f"The file has more than {most_rows} rows.")
    async with database.write() as session:
        fresh = {"rows_done": 0, "bytes_done": 0, "created": 0, "unchanged": 0, "updated": 0, "refused": 0}
        await store.drop_rows(session, upload.id)
        if not await store.advance(session, upload, {"status": UploadStatus.PROCESSING, "total": total, **fresh}):
            raise Superseded
        started = await store.waiting_upload(session, upload.id)
        assert started is not None
        return started


def _submitter(upload: BulkUpload) -> Principal:
    """Who sent the upload: its rows become the sender's, and the worker can do no more for it than that."""
    return Principal(upload.client_id, upload.partner_id, "association", None, frozenset())


async def _take_chunks(database: Database, upload: BulkUpload, chunk_rows: int) -> None:
    loop = asyncio.get_running_loop()
    principal = _submitter(upload)
    rows = read_rows(_parts(database, upload.id, loop), upload.format)
    await asyncio.to_thread(lambda: next(islice(rows, upload.rows_done, upload.rows_done + 1), None))
    rehearsal = Rehearsal() if upload.dry_run else None
    while chunk := await asyncio.to_thread(_parse_chunk, rows, upload.columns, chunk_rows):
        async with database.write() as session:
            await _judge(session, principal, upload, chunk, rehearsal)
            await _keep(session, upload, chunk)
            upload = await _checkpoint(session, upload, chunk)
        for each in chunk:
            ROWS.labels(each.outcome).inc()
    await _complete(database, principal, upload)


def _parse_chunk(rows: Iterator[Row], columns: Sequence[str], chunk_rows: int) -> list[ParsedRow]:
    return [_parse(row, columns) for row in islice(rows, chunk_rows)]


def _parse(row: Row, columns: Sequence[str]) -> ParsedRow:
    cells, errors = cells_of(row, columns)
    if errors:
        return ParsedRow(row, None, None, None, errors)
    applicant: ApplicantDetails | None = None
    registration: RegistrationDetails | None = None
    try:
        applicant = validated(ApplicantDetails, rules.applicant_fields(cells))
    except Invalid as wrong:
        errors += wrong.errors
    try:
        asked = {"applicant_id": UNKNOWN_APPLICANT, **rules.registration_fields(cells)}
        registration = validated(RegistrationDetails, asked)
    except Invalid as wrong:
        errors += wrong.errors
    return ParsedRow(row, _reference(cells), applicant, registration, errors)


def _reference(cells: Mapping[str, str]) -> str | None:
    try:
        return REFERENCE.validate_python(cells.get("reference", "")) or None
    except ValidationError:
        return None


async def _judge(
    session: WriteSession,
    principal: Principal,
    upload: BulkUpload,
    chunk: Sequence[ParsedRow],
    rehearsal: Rehearsal | None,
) -> None:
    """Give each row of a chunk its outcome; a dry run takes back what the services did."""
    await _refuse_repeated(session, upload, chunk)
    if rehearsal is None:
        await _register(session, principal, upload, chunk)
        return
    savepoint = await session.begin_nested()
    await _register(session, principal, upload, chunk, rehearsal)
    await savepoint.rollback()
    for each in chunk:
        each.registration_id = each.registration_id if each.outcome == RowOutcome.UNCHANGED else None


async def _refuse_repeated(session: WriteSession, upload: BulkUpload, chunk: Sequence[ParsedRow]) -> None:
    """A reference stands once in an upload: its second row is refused."""
    seen = await store.known_references(session, upload.id, {each.reference for each in chunk if each.reference})
    for each in chunk:
        if each.reference is None:
            continue
        first = seen.setdefault(each.reference, each.row.line)
        if first != each.row.line:
            said = f"The reference {each.reference!r} is on line {first} already."
            each.errors = [*each.errors, ReferenceDuplicate.at("/reference", said)]


async def _register(
    session: WriteSession,
    principal: Principal,
    upload: BulkUpload,
    chunk: Sequence[ParsedRow],
    rehearsal: Rehearsal | None = None,
) -> None:
    sound = [each for each in chunk if not each.errors and each.applicant]
    details = [each.applicant for each in sound if each.applicant]
    recorded = await applicants.record(session, principal, details, kinds=rehearsal.kinds if rehearsal else None)
    known: list[tuple[ParsedRow, RegistrationDetails]] = []
    for each, record in zip(sound, recorded, strict=True):
        if isinstance(record, Invalid):
            each.errors = record.errors
        elif each.registration:
            known.append((each, each.registration.model_copy(update={"applicant_id": record.applicant_id})))
    submitted = await registrations.submit(
        session,
        principal,
        [asked for _, asked in known],
        bulk_upload_id=upload.id,
        ledger=rehearsal.ledger if rehearsal else None,
    )
    for (each, _), outcome in zip(known, submitted, strict=True):
        if isinstance(outcome, DomainError):
            each.errors = outcome.errors
        else:
            each.outcome, each.registration_id = RowOutcome(outcome.outcome), outcome.registration_id


async def _keep(session: WriteSession, upload: BulkUpload, chunk: Sequence[ParsedRow]) -> None:
    await store.add_rows(
        session,
        upload.id,
        [
            {
                "line": each.row.line,
                "outcome": each.outcome,
                "reference": each.reference,
                "registration_id": each.registration_id,
                "problems": [_problem(each.row.line, error) for error in each.errors],
                "sealed_cells": _sealed_cells(session, each) if each.errors else None,
            }
            for each in chunk
        ],
    )


def _sealed_cells(session: WriteSession, each: ParsedRow) -> bytes:
    return session.keyring.seal_text(SEALED_CELLS, json.dumps(each.row.cells))


def _problem(line: int, error: FieldError) -> dict[str, Any]:
    return {"line": line, "column": rules.column_of(error), "code": error.code, "detail": error.detail}


async def _checkpoint(session: WriteSession, upload: BulkUpload, chunk: Sequence[ParsedRow]) -> BulkUpload:
    outcomes = [each.outcome for each in chunk]
    counted = {name.value: getattr(upload, name) + outcomes.count(name) for name in RowOutcome}
    done = min(chunk[-1].row.end, upload.bytes)  # a workbook's rows are longer than it is
    values = {"rows_done": upload.rows_done + len(chunk), "bytes_done": done, **counted}
    if not await store.advance(session, upload, values):
        raise Superseded
    moved = await store.waiting_upload(session, upload.id)
    assert moved is not None
    return moved


async def _complete(database: Database, principal: Principal, upload: BulkUpload) -> None:
    counts = {name.value: getattr(upload, name) for name in RowOutcome}
    values = {"status": UploadStatus.COMPLETED, "completed_at": datetime.now(UTC), "bytes_done": upload.bytes}
    async with database.write() as session:
        if not await store.advance(session, upload, values):
            raise Superseded
        await store.drop_parts(session, upload.id)
        details = {"dry_run": upload.dry_run, "total": upload.total, **counts}
        await events.record(
            session, principal, [Happening("bulk_upload.completed", upload.id, upload.partner_id, details=details)]
        )


async def _fail(database: Database, upload_id: UUID, broken: Invalid) -> None:
    problem = problem_of(broken, f"/v1/bulk-uploads/{upload_id}").model_dump(mode="json")
    values = {"status": UploadStatus.FAILED, "completed_at": datetime.now(UTC), "problem": problem}
    async with database.write() as session:
        upload = await store.waiting_upload(session, upload_id)
        if upload and await store.advance(session, upload, values):
            await store.drop_parts(session, upload.id)
            happening = Happening("bulk_upload.failed", upload.id, upload.partner_id, details={"code": broken.code})
            await events.record(session, None, [happening])
