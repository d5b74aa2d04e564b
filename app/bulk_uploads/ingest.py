"""The worker's part: one upload, chunk by chunk, one transaction a chunk, through the services of the JSON API."""

import asyncio
import json
from collections import Counter as Counted
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
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
from app.bulk_uploads.models import BulkUpload
from app.bulk_uploads.reading import SoundRow, Stretch, cells_of_lines, reading_beside, sound_rows, stretches
from app.bulk_uploads.rules import RowOutcome, UploadStatus
from app.core.db import Database, WriteSession
from app.core.errors import DomainError, FieldError, Invalid
from app.core.problems import problem_of
from app.core.security import Principal
from app.events import store as events
from app.events.store import Happening
from app.registrations import service as registrations
from app.registrations.errors import ReferenceDuplicate
from app.registrations.rules import Asked, Ledger

READ_AHEAD = 2
ROWS = Counter("bulk_upload_rows", "Rows of uploads by outcome", ["outcome"])
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class JudgedRow:
    """A row on its way to its outcome."""

    row: SoundRow
    errors: Sequence[FieldError]
    outcome: RowOutcome = RowOutcome.REFUSED
    registration_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of the file with its bytes and rows."""

    stretch: Stretch
    body: bytes
    rows: Sequence[JudgedRow]


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


class Superseded(Exception):
    """Another worker has moved the upload on; nothing of this chunk is kept."""


async def ingest(database: Database, upload_id: UUID, chunk_rows: int) -> bool:
    """Bring an upload to its end from wherever it stands; False when another worker has it.

    The file is read to its end before its first row is acted on, so that a broken file changes nothing. Rows are
    parsed and validated beside while those before them are registered.
    """
    async with store.claimed(database, upload_id) as is_mine:
        if not is_mine:
            return False
        async with database.read() as session:
            upload = await store.waiting_upload(session, upload_id)
        if upload is None:
            return True
        try:
            with reading_beside(upload.bytes) as executor:
                found = await _stretches(database, upload, chunk_rows)
                upload = await _start(database, upload, found)
                await _take_chunks(database, upload, found[1:], executor)
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


async def _stretches(database: Database, upload: BulkUpload, chunk_rows: int) -> list[Stretch]:
    """The file read to its end and cut into what is done and each chunk to come. Raises ``CsvMalformed``."""
    done = 0 if upload.dry_run else upload.rows_done
    parts = _parts(database, upload.id, asyncio.get_running_loop())
    return await asyncio.to_thread(stretches, parts, done, chunk_rows)


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
    async for chunk in _chunks(database, upload, found, executor):
        async with database.write() as session:
            await _judge(session, principal, upload, chunk.rows, series)
            await _keep(session, upload, chunk)
            upload = await _checkpoint(session, upload, chunk)
        for outcome, count in Counted(each.outcome for each in chunk.rows).items():
            ROWS.labels(outcome).inc(count)
    await _complete(database, principal, upload)


async def _chunks(
    database: Database, upload: BulkUpload, found: Sequence[Stretch], executor: Executor | None
) -> AsyncIterator[Chunk]:
    """Each chunk in order; the next ones are parsed and validated while one is registered."""
    loop = asyncio.get_running_loop()
    source = _Source(database, upload.id)
    ahead: deque[tuple[Stretch, bytes, asyncio.Future[list[SoundRow]]]] = deque()
    for stretch in found:
        body = await source.read(stretch.begin, stretch.end)
        ahead.append((stretch, body, loop.run_in_executor(executor, sound_rows, body, stretch.line, upload.columns)))
        if len(ahead) > READ_AHEAD:
            yield await _next(ahead)
    while ahead:
        yield await _next(ahead)


async def _next(ahead: deque[tuple[Stretch, bytes, asyncio.Future[list[SoundRow]]]]) -> Chunk:
    stretch, body, reading = ahead.popleft()
    return Chunk(stretch, body, [JudgedRow(row, row.errors) for row in await reading])


class _Source:
    """An upload's bytes in order, a part at a time in memory."""

    def __init__(self, database: Database, upload_id: UUID) -> None:
        self._database = database
        self._upload_id = upload_id
        self._position = 0  # of the next part
        self._begin = 0  # the place of the buffer's first byte in the file
        self._buffer = b""

    async def read(self, begin: int, end: int) -> bytes:
        """The bytes from ``begin`` to ``end``, not before those of the last call."""
        while self._begin + len(self._buffer) < end:
            kept = self._buffer[max(0, begin - self._begin) :]
            self._begin += len(self._buffer) - len(kept)
            async with self._database.read() as session:
                part = await store.read_part(session, self._upload_id, self._position)
            if part is None:  # another worker has come to the end
                raise Superseded
            self._buffer = kept + part
            self._position += 1
        return self._buffer[begin - self._begin : end - self._begin]


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
    known: list[tuple[JudgedRow, Asked]] = []
    identities: dict[UUID, Identity] = {}
    for each, record in zip(sound, recorded, strict=True):
        if isinstance(record, Invalid):
            each.errors = record.errors
        elif each.row.asked:
            identities[record.identity.id] = record.identity
            known.append((each, each.row.asked._replace(applicant_id=record.identity.id)))
    submitted = await registrations.submit(
        session,
        principal,
        [asked for _, asked in known],
        applicants=identities,
        bulk_upload_id=upload.id,
        ledger=rehearsal.ledger if rehearsal else None,
    )
    for (each, _), outcome in zip(known, submitted, strict=True):
        if isinstance(outcome, DomainError):
            each.errors = outcome.errors
        else:
            each.outcome, each.registration_id = RowOutcome(outcome.outcome), outcome.registration_id


async def _keep(session: WriteSession, upload: BulkUpload, chunk: Chunk) -> None:
    refused = {each.row.line for each in chunk.rows if each.errors}
    cells = cells_of_lines(chunk.body, chunk.stretch.line, refused) if refused else {}
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


def _sealed(session: WriteSession, cells: Sequence[str]) -> str:
    return session.keyring.seal_text(json.dumps(cells))


def _problem(line: int, error: FieldError) -> dict[str, Any]:
    return {"line": line, "column": rules.column_of(error), "code": error.code, "detail": error.detail}


async def _checkpoint(session: WriteSession, upload: BulkUpload, chunk: Chunk) -> BulkUpload:
    outcomes = Counted(each.outcome for each in chunk.rows)
    counted = {name.value: getattr(upload, name) + outcomes[name] for name in RowOutcome}
    values = {"rows_done": upload.rows_done + chunk.stretch.rows, "bytes_done": chunk.stretch.end, **counted}
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
