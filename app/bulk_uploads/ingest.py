"""The worker's part: one upload, chunk by chunk, one transaction a chunk, through the services of the JSON API."""

import json
from collections import Counter as Counted
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import Counter

from app.applicants import service as applicants
from app.applicants.service import Acquainted
from app.applicants.store import Identity
from app.bulk_uploads import rules, store
from app.bulk_uploads.models import SEALED_CELLS, BulkUpload
from app.bulk_uploads.reading import Stretch, cells_of_lines, reading_beside
from app.bulk_uploads.rules import RowOutcome, UploadStatus
from app.bulk_uploads.source import Chunk, JudgedRow, Superseded, chunks, stretches_of
from app.bulk_uploads.unfolding import unfold
from app.core.db import Database, WriteSession
from app.core.errors import DomainError, FieldError, Invalid
from app.core.principal import Principal
from app.core.problems import problem_of
from app.events import store as events
from app.events.store import Happening
from app.registrations import service as registrations
from app.registrations.errors import ReferenceDuplicate
from app.registrations.rules import Asked, Ledger

ROWS = Counter("bulk_upload_rows", "Rows of uploads by outcome", ["outcome"])
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Rehearsal:
    """What a dry run has accepted so far, in place of the rows that it takes back."""

    ledger: Ledger = field(default_factory=Ledger)
    kinds: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Series:
    """What the chunks of an upload hand on to one another."""

    rehearsal: Rehearsal | None
    acquainted: Acquainted = field(default_factory=Acquainted)


async def ingest(database: Database, upload_id: UUID, chunk_rows: int, most_rows: int) -> bool:
    """Bring an upload to its end from wherever it stands; False when another worker has it.

    The file is read to its end before its first row is acted on, so that a file that is broken or has more than
    ``most_rows`` changes nothing. Rows are parsed and validated beside while those before them are registered.
    """
    async with store.claimed(database, upload_id) as is_mine:
        if not is_mine:
            return False
        async with database.read() as session:
            upload = await store.waiting_upload(session, upload_id)
        if upload is None:
            return True
        try:
            upload = await unfold(database, upload)
            with reading_beside(upload.bytes) as executor:
                found = await stretches_of(database, upload, chunk_rows, most_rows)
                upload = await _start(database, upload, found)
                await _take_chunks(database, upload, found[1:], executor)
        except Invalid as broken:
            await _fail(database, upload_id, broken)
        except Superseded:
            log.info("another worker moved the upload on", bulk_upload_id=str(upload_id))
        return True


async def _start(database: Database, upload: BulkUpload, found: Sequence[Stretch]) -> BulkUpload:
    """Note how many rows there are. A dry run starts at its first row."""
    if upload.total is not None and not upload.dry_run:
        return upload
    total = sum(each.rows for each in found)
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


async def _take_chunks(
    database: Database, upload: BulkUpload, found: Sequence[Stretch], executor: Executor | None
) -> None:
    principal = _submitter(upload)
    series = Series(Rehearsal() if upload.dry_run else None)
    async for chunk in chunks(database, upload, found, executor):
        async with database.write() as session:
            await _judge(session, principal, upload, chunk.rows, series)
            await _keep(session, upload, chunk)
            upload = await _checkpoint(session, upload, chunk)
        for outcome, count in Counted(each.outcome for each in chunk.rows).items():
            ROWS.labels(outcome).inc(count)
    await _complete(database, principal, upload)


async def _judge(
    session: WriteSession,
    principal: Principal,
    upload: BulkUpload,
    rows: Sequence[JudgedRow],
    series: Series,
) -> None:
    """Give each row of a chunk its outcome; a dry run takes back what the services did."""
    await _refuse_repeated(session, upload, rows)
    if series.rehearsal is None:
        await _register(session, principal, upload, rows, series)
        return
    savepoint = await session.begin_nested()
    await _register(session, principal, upload, rows, series)
    await savepoint.rollback()
    for each in rows:
        each.registration_id = each.registration_id if each.outcome == RowOutcome.UNCHANGED else None


async def _refuse_repeated(session: WriteSession, upload: BulkUpload, rows: Sequence[JudgedRow]) -> None:
    """A reference stands once in an upload: its second row is refused."""
    seen = await store.known_references(session, upload.id, {row.row.reference for row in rows if row.row.reference})
    for each in rows:
        line, reference = each.row.line, each.row.reference
        if reference is not None and (first := seen.setdefault(reference, line)) != line:
            said = f"The reference {reference!r} is on line {first} already."
            each.errors = [*each.errors, ReferenceDuplicate.at("/reference", said)]


async def _register(
    session: WriteSession,
    principal: Principal,
    upload: BulkUpload,
    rows: Sequence[JudgedRow],
    series: Series,
) -> None:
    sound = [each for each in rows if not each.errors]
    applying = [each.row.applicant for each in sound if each.row.applicant]
    rehearsal = series.rehearsal
    recorded = await applicants.record(
        session,
        principal,
        applying,
        kinds=rehearsal.kinds if rehearsal else None,
        acquainted=None if rehearsal else series.acquainted,
    )
    applied: list[tuple[JudgedRow, Asked]] = []
    identities: dict[UUID, Identity] = {}
    for each, record in zip(sound, recorded, strict=True):
        if isinstance(record, Invalid):
            each.errors = record.errors
        elif each.row.asked:
            identities[record.identity.id] = record.identity
            applied.append((each, each.row.asked._replace(applicant_id=record.identity.id)))
    submitted = await registrations.submit(
        session,
        principal,
        [asked for _, asked in applied],
        known=identities,
        bulk_upload_id=upload.id,
        ledger=rehearsal.ledger if rehearsal else None,
    )
    for (each, _), outcome in zip(applied, submitted, strict=True):
        if isinstance(outcome, DomainError):
            each.errors = outcome.errors
        else:
            each.outcome, each.registration_id = RowOutcome(outcome.outcome), outcome.registration_id


async def _keep(session: WriteSession, upload: BulkUpload, chunk: Chunk) -> None:
    refused = {each.row.line for each in chunk.rows if each.errors}
    cells = cells_of_lines(chunk.body, upload.format, chunk.stretch.line, refused) if refused else {}
    await store.add_rows(
        session,
        upload.id,
        [
            {
                "line": each.row.line,
                "outcome": each.outcome,
                "reference": each.row.reference,
                "registration_id": each.registration_id,
                "problems": [_problem(each.row.line, error) for error in each.errors],
                "sealed_cells": _sealed(session, cells[each.row.line]) if each.errors else None,
            }
            for each in chunk.rows
        ],
    )


def _sealed(session: WriteSession, cells: Sequence[str]) -> bytes:
    return session.keyring.seal_text(SEALED_CELLS, json.dumps(cells))


def _problem(line: int, error: FieldError) -> dict[str, Any]:
    return {"line": line, "column": rules.column_of(error), "code": error.code, "detail": error.detail}


async def _checkpoint(session: WriteSession, upload: BulkUpload, chunk: Chunk) -> BulkUpload:
    outcomes = Counted(each.outcome for each in chunk.rows)
    counted = {name.value: getattr(upload, name) + outcomes[name] for name in RowOutcome}
    done = min(chunk.stretch.end, upload.bytes)  # a workbook's rows are longer than it is
    values = {"rows_done": upload.rows_done + chunk.stretch.rows, "bytes_done": done, **counted}
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
