"""Ingestion of one upload: each chunk is validated, registered and checkpointed in one transaction."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import prometheus_client as metrics
import structlog

from app.bulk_uploads import rules, store
from app.bulk_uploads.ingestion import scheduling
from app.bulk_uploads.ingestion.bloom_filter import BloomFilter
from app.bulk_uploads.ingestion.chunks import Chunk, Superseded, find_segments, read_chunks
from app.bulk_uploads.ingestion.opening import open_file
from app.bulk_uploads.ingestion.outcomes import ChunkOutcomes, save_outcomes
from app.bulk_uploads.ingestion.registering import DryRunState, UploadContext, register
from app.bulk_uploads.ingestion.segments import (
    RefusedRow,
    Segment,
    SegmentRows,
    duplicate_reference,
    segment_executor,
)
from app.bulk_uploads.models import BulkUpload
from app.bulk_uploads.readers.layout import Layout
from app.bulk_uploads.rules import RowOutcome, UploadStatus
from app.core.database.batches import values_of
from app.core.database.engine import Database
from app.core.database.outages import is_outage
from app.core.database.transaction import Transaction
from app.core.errors import DomainError, FieldError, Internal, Invalid
from app.core.http.problems import problem_of
from app.events import store as events
from app.events.store import NewEvent
from app.registrations.errors import ReferenceDuplicate

ZERO_AT_START = (
    "rows_done", "bytes_done", "created", "unchanged", "updated", "refused", "unchanged_not_in_force",
    "applicants_created", "applicants_changed", "attempt_place",
)  # fmt: skip
ROWS = metrics.Counter("bulk_upload_rows", "Rows of uploads by outcome", ["outcome"])
log = structlog.get_logger(__name__)


async def ingest(
    database: Database, upload_id: UUID, chunk_rows: int, max_rows: int, *, only_small: bool = False
) -> bool:
    """Process an upload from its checkpoint to its end; return False when another worker has it.

    With ``only_small``, a workbook that turns out to be large is converted and left for the lane of large files.

    The file is read to its end before its first row is registered, so that a malformed file, or one of more than
    ``max_rows``, changes nothing (ADR 0008). An internal error schedules a retry, sets the problem that the submitter
    sees, and is raised. An upload at which workers were killed repeatedly fails.
    """
    async with scheduling.lock_upload(database, upload_id) as is_locked:
        if not is_locked:
            return False
        try:
            async with scheduling.count_attempt(database, upload_id):
                await _ingest(database, upload_id, chunk_rows, max_rows, only_small=only_small)
        except Invalid as error:
            await _fail(database, upload_id, error)
        except Superseded:
            log.info("another worker moved the upload on", bulk_upload_id=str(upload_id))
        except Exception as error:
            if not is_outage(error):
                await _schedule_retry(database, upload_id)
            raise
        return True


async def _ingest(database: Database, upload_id: UUID, chunk_rows: int, max_rows: int, *, only_small: bool) -> None:
    upload = await _find_unfinished(database, upload_id)
    if upload is None:
        return
    upload, layout = await open_file(database, upload)
    if only_small and not upload.is_small:
        return
    with segment_executor(upload.held_bytes or upload.bytes) as executor:
        segments = await find_segments(database, upload, layout, chunk_rows, max_rows)
        upload = await _start(database, upload, segments)
        await _process_chunks(database, upload, layout, segments[1:], executor)


async def _find_unfinished(database: Database, upload_id: UUID) -> BulkUpload | None:
    async with database.transaction(read_only=True) as tx:
        return await store.find_unfinished(tx, upload_id)


async def _start(database: Database, upload: BulkUpload, segments: Sequence[Segment]) -> BulkUpload:
    """Record the number of rows and the place of the first chunk. A dry run always starts at its first row."""
    if upload.total is not None and not upload.dry_run:
        async with database.transaction() as tx:
            await store.set_internal(tx, upload.id, {"attempt_place": upload.rows_done})
        return upload
    total = sum(each.rows for each in segments)
    async with store.transaction_for(database, upload) as tx:
        initial: dict[str, Any] = dict.fromkeys(ZERO_AT_START, 0) | {"normalized": {}}
        await store.delete_rows(tx, upload.id)
        return await _advance(tx, upload, {"status": UploadStatus.PROCESSING, "total": total, **initial})


async def _advance(tx: Transaction, upload: BulkUpload, values: dict[str, Any]) -> BulkUpload:
    """Update an upload and return it. Raises ``Superseded``."""
    if not await store.advance(tx, upload, values):
        raise Superseded
    advanced = await store.find_unfinished(tx, upload.id)
    assert advanced is not None
    return advanced


async def _process_chunks(
    database: Database, upload: BulkUpload, layout: Layout, segments: Sequence[Segment], executor: Executor | None
) -> None:
    context = UploadContext(
        upload,
        store.submitter_of(upload),
        references=BloomFilter(is_empty=upload.rows_done == 0),
        dry_run=DryRunState() if upload.dry_run else None,
    )
    async with aclosing(read_chunks(database, upload, layout, segments, executor)) as chunks:
        async for chunk in chunks:
            async with store.transaction_for(database, upload) as tx:
                outcomes = await _process_rows(tx, context, chunk.rows, layout)
                await save_outcomes(tx, upload, layout, chunk, outcomes)
                context.upload = await _checkpoint(tx, context.upload, chunk, outcomes)
            for outcome, count in outcomes.counts().items():
                ROWS.labels(outcome.value).inc(count)
    await _complete(database, context)


async def _process_rows(tx: Transaction, context: UploadContext, rows: SegmentRows, layout: Layout) -> ChunkOutcomes:
    """Register the rows of a chunk and return their outcomes; a dry run rolls the registrations back."""
    outcomes = await _refuse_duplicates(tx, context, rows, layout)
    if context.dry_run is None:
        await register(tx, context, outcomes)
    else:
        async with tx.dry_run():
            await register(tx, context, outcomes)
    return outcomes


async def _refuse_duplicates(
    tx: Transaction, context: UploadContext, rows: SegmentRows, layout: Layout
) -> ChunkOutcomes:
    """Refuse the rows whose reference is in an earlier chunk of the upload."""
    repeats = context.references.possible_repeats(values_of(rows.references))
    lines = await store.find_earlier_lines(tx, context.upload.id, repeats) if repeats else {}
    items = rows.batch.items if lines else ()
    refused: dict[int, Sequence[FieldError]] = {
        i: [duplicate_reference(each.reference, lines[each.reference], layout)]
        for i, each in enumerate(items)
        if each.reference in lines
    }
    return ChunkOutcomes(rows, [_refuse_duplicate(each, lines, layout) for each in rows.refused], refused)


def _refuse_duplicate(row: RefusedRow, lines: Mapping[str, int], layout: Layout) -> RefusedRow:
    if row.reference is None or row.reference not in lines:
        return row
    others = [each for each in row.errors if each.code != ReferenceDuplicate.code]
    return row._replace(errors=[*others, duplicate_reference(row.reference, lines[row.reference], layout)])


async def _checkpoint(tx: Transaction, upload: BulkUpload, chunk: Chunk, outcomes: ChunkOutcomes) -> BulkUpload:
    counts = outcomes.counts()
    totals = {name.value: getattr(upload, name) + counts[name] for name in RowOutcome}
    bytes_done = min(chunk.segment.end, upload.bytes)  # a converted workbook may be longer than the upload
    rows_done = upload.rows_done + chunk.segment.rows
    values: dict[str, Any] = {"rows_done": rows_done, "attempt_place": rows_done, "bytes_done": bytes_done, **totals}
    values["unchanged_not_in_force"] = upload.unchanged_not_in_force + outcomes.unchanged_not_in_force
    values["applicants_created"] = upload.applicants_created + outcomes.applicants_created
    values["applicants_changed"] = upload.applicants_changed + len(outcomes.applicant_changes)
    values["normalized"] = dict(sorted((Counter(upload.normalized) + outcomes.normalized_columns()).items()))
    if not upload.dry_run:  # a dry run starts again from its first row, so a chunk does not mean that an error is past
        values["faults"] = 0
    return await _advance(tx, upload, values)


async def _complete(database: Database, context: UploadContext) -> None:
    upload = context.upload
    counts = {name.value: getattr(upload, name) for name in RowOutcome}
    values = {"status": UploadStatus.COMPLETED, "completed_at": datetime.now(UTC), "bytes_done": upload.bytes}
    async with store.transaction_for(database, upload) as tx:
        if not await store.advance(tx, upload, values):
            raise Superseded
        await store.delete_parts(tx, upload.id)
        counts["unchanged_not_in_force"] = upload.unchanged_not_in_force
        details = {"dry_run": upload.dry_run, "total": upload.total, **counts}
        event = NewEvent("bulk_upload.completed", upload.id, upload.partner_id, details=details)
        await events.record(tx, context.submitter, [event])


async def _schedule_retry(database: Database, upload_id: UUID) -> None:
    upload = await _find_unfinished(database, upload_id)
    if upload is None:
        return
    retry_at = datetime.now(UTC) + rules.retry_delay(upload.faults + 1)
    detail = (
        f"An internal error interrupted the upload after {upload.rows_done} rows, which are processed. The service "
        f"continues with the others at {retry_at:%Y-%m-%dT%H:%M:%SZ}; there is no need to send the file again."
    )
    async with store.transaction_for(database, upload) as tx:
        await store.schedule_retry(tx, upload, retry_at, _problem_json(Internal(detail), upload_id))


async def _fail(database: Database, upload_id: UUID, error: Invalid) -> None:
    upload = await _find_unfinished(database, upload_id)
    if upload is None:
        return
    problem = _problem_json(error, upload_id)
    values = {"status": UploadStatus.FAILED, "completed_at": datetime.now(UTC), "problem": problem}
    async with store.transaction_for(database, upload) as tx:
        if await store.advance(tx, upload, values):
            await store.delete_parts(tx, upload.id)
            event = NewEvent("bulk_upload.failed", upload.id, upload.partner_id, details={"code": error.code})
            await events.record(tx, None, [event])


def _problem_json(error: DomainError, upload_id: UUID) -> dict[str, Any]:
    return problem_of(error, f"/v1/bulk-uploads/{upload_id}").model_dump(mode="json")
