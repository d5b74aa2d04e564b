"""The worker's part: one upload, chunk by chunk, one transaction a chunk, through the services of the JSON API."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import Counter

from app.applicants import service as applicants
from app.applicants.store import Identity
from app.bulk_uploads import rules, store
from app.bulk_uploads.ingestion import scheduling
from app.bulk_uploads.ingestion.applicant_cache import ApplicantCache, particulars_of
from app.bulk_uploads.ingestion.bloom_filter import BloomFilter
from app.bulk_uploads.ingestion.chunks import Chunk, Superseded, chunks, stretches_of
from app.bulk_uploads.ingestion.outcomes import Verdict, keep
from app.bulk_uploads.ingestion.segments import BrokenRow, ReadRows, Segment, reading_beside, repeated
from app.bulk_uploads.ingestion.workbook_conversion import unfold
from app.bulk_uploads.models import BulkUpload
from app.bulk_uploads.rules import RowOutcome, UploadStatus
from app.core.database.batches import values_of
from app.core.database.engine import Database, is_outage
from app.core.database.transaction import Transaction
from app.core.errors import DomainError, FieldError, Internal, Invalid
from app.core.http.problems import problem_of
from app.core.principal import Principal
from app.events import store as events
from app.events.store import NewEvent
from app.registrations.errors import ReferenceDuplicate
from app.registrations.intake import service as intake
from app.registrations.rules import AcceptedNetworks

ROWS = Counter("bulk_upload_rows", "Rows of uploads by outcome", ["outcome"])
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class DryRunState:
    """What a dry run has accepted so far, in place of the rows that it takes back."""

    ledger: AcceptedNetworks = field(default_factory=AcceptedNetworks)
    kinds: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class UploadContext:
    """What the chunks of an upload hand on to one another."""

    rehearsal: DryRunState | None
    sieve: BloomFilter
    acquainted: ApplicantCache = field(default_factory=ApplicantCache)


async def ingest(
    database: Database, upload_id: UUID, chunk_rows: int, most_rows: int, *, only_small: bool = False
) -> bool:
    """Bring an upload to its end from wherever it stands; False when another worker has it.

    If it is to be ``only_small``, a workbook that turns out to hold many rows is left to wait with the large files.

    The file is read to its end before its first row is acted on, so that a file that is broken or has more than
    ``most_rows`` changes nothing. Rows are parsed and validated beside while those before them are registered.
    A fault of the service puts the upload off, says so in it, and is raised. An upload at which workers were killed
    again and again fails.
    """
    async with scheduling.claimed(database, upload_id) as is_mine:
        if not is_mine:
            return False
        try:
            async with scheduling.attempted(database, upload_id):
                await _ingest(database, upload_id, chunk_rows, most_rows, only_small=only_small)
        except Invalid as broken:
            await _fail(database, upload_id, broken)
        except Superseded:
            log.info("another worker moved the upload on", bulk_upload_id=str(upload_id))
        except Exception as fault:
            if not is_outage(fault):
                await _schedule_retry(database, upload_id)
            raise
        return True


async def _ingest(database: Database, upload_id: UUID, chunk_rows: int, most_rows: int, *, only_small: bool) -> None:
    async with database.transaction(read_only=True) as tx:
        upload = await store.waiting_upload(tx, upload_id)
    if upload is None:
        return
    upload = await unfold(database, upload)
    if only_small and not upload.is_small:
        return
    with reading_beside(upload.held_bytes or upload.bytes) as executor:
        found = await stretches_of(database, upload, chunk_rows, most_rows)
        upload = await _start(database, upload, found)
        await _take_chunks(database, upload, found[1:], executor)


async def _start(database: Database, upload: BulkUpload, found: Sequence[Segment]) -> BulkUpload:
    """Note how many rows there are, and that the first to be done are next. A dry run starts at its first row."""
    if upload.total is not None and not upload.dry_run:
        async with database.transaction() as tx:
            await store.mark(tx, upload.id, {"attempt_place": upload.rows_done})
        return upload
    total = sum(each.rows for each in found)
    async with store.writing_for(database, upload) as tx:
        fresh = {"rows_done": 0, "bytes_done": 0, "created": 0, "unchanged": 0, "updated": 0, "refused": 0}
        fresh["attempt_place"] = 0
        await store.drop_rows(tx, upload.id)
        if not await store.advance(tx, upload, {"status": UploadStatus.PROCESSING, "total": total, **fresh}):
            raise Superseded
        started = await store.waiting_upload(tx, upload.id)
        assert started is not None
        return started


async def _take_chunks(
    database: Database, upload: BulkUpload, found: Sequence[Segment], executor: Executor | None
) -> None:
    principal = store.submitter_of(upload)
    series = UploadContext(DryRunState() if upload.dry_run else None, BloomFilter(is_first=upload.rows_done == 0))
    async with aclosing(chunks(database, upload, found, executor)) as taken:
        async for chunk in taken:
            async with store.writing_for(database, upload) as tx:
                verdict = await _judge(tx, principal, upload, chunk.rows, series)
                await keep(tx, upload, chunk, verdict)
                upload = await _checkpoint(tx, upload, chunk, verdict)
            for outcome, count in verdict.counts(chunk.rows).items():
                ROWS.labels(outcome.value).inc(count)
    await _complete(database, principal, upload)


async def _judge(
    tx: Transaction, principal: Principal, upload: BulkUpload, rows: ReadRows, series: UploadContext
) -> Verdict:
    """Give each row of a chunk its outcome; a dry run takes back what the services did."""
    verdict = await _repeated(tx, upload, rows, series.sieve)
    if series.rehearsal is None:
        await _register(tx, principal, upload, rows, series, verdict)
        return verdict
    async with tx.dry_run():
        await _register(tx, principal, upload, rows, series, verdict)
    return verdict


async def _repeated(tx: Transaction, upload: BulkUpload, rows: ReadRows, sieve: BloomFilter) -> Verdict:
    """A reference stands once in an upload: the rows that repeat one of an earlier chunk are refused."""
    suspects = sieve.may_repeat(values_of(rows.references))
    seen = await store.known_references(tx, upload.id, suspects) if suspects else {}
    items = rows.batch.items if seen else ()
    again: dict[int, Sequence[FieldError]] = {
        i: [repeated(each.reference, seen[each.reference])] for i, each in enumerate(items) if each.reference in seen
    }
    return Verdict(again, [_once(each, seen) for each in rows.broken])


def _once(row: BrokenRow, seen: Mapping[str, int]) -> BrokenRow:
    if row.reference is None or row.reference not in seen:
        return row
    others = [each for each in row.errors if each.code != ReferenceDuplicate.code]
    return row._replace(errors=[*others, repeated(row.reference, seen[row.reference])])


async def _register(
    tx: Transaction,
    principal: Principal,
    upload: BulkUpload,
    rows: ReadRows,
    series: UploadContext,
    verdict: Verdict,
) -> None:
    rehearsal = series.rehearsal
    own = await _applicants(tx, principal, rows, series, verdict)
    batch = replace(
        rows.batch,
        applicants=[own[number] for number in rows.applicant_numbers],
        bulk_upload_id=upload.id,
        accepted=rehearsal.ledger if rehearsal else None,
    )
    places = [i for i in range(len(batch.items)) if i not in verdict.refused]
    outcomes = await intake.submit(tx, principal, batch.at(places))
    for place, outcome in outcomes.others.items():
        if isinstance(outcome, DomainError):
            verdict.refused[places[place]] = outcome.errors
        else:
            verdict.known[places[place]] = outcome


async def _applicants(
    tx: Transaction, principal: Principal, rows: ReadRows, series: UploadContext, verdict: Verdict
) -> list[Identity | None]:
    """Who the rows' applicants are, by their numbers: found or made, or the rows are refused."""
    own = await applicants.without_erased(tx, series.acquainted.recall(rows.applicants))
    numbers = enumerate(rows.applicant_numbers)
    unknown = [(i, number) for i, number in numbers if own[number] is None and i not in verdict.refused]
    given = [particulars_of(rows.applicants[number]) for _, number in unknown]
    kinds = series.rehearsal.kinds if series.rehearsal else None
    recorded = await applicants.record(tx, principal, given, kinds=kinds)
    for (i, number), record in zip(unknown, recorded, strict=True):
        if isinstance(record, Invalid):
            verdict.refused[i] = record.errors
            continue
        own[number] = record.identity
        if series.rehearsal is None:
            series.acquainted.remember(rows.applicants[number], record.identity)
    return own


async def _checkpoint(tx: Transaction, upload: BulkUpload, chunk: Chunk, verdict: Verdict) -> BulkUpload:
    outcomes = verdict.counts(chunk.rows)
    counted = {name.value: getattr(upload, name) + outcomes[name] for name in RowOutcome}
    done = min(chunk.stretch.end, upload.bytes)  # a workbook's rows are longer than it is
    rows_done = upload.rows_done + chunk.stretch.rows
    values = {"rows_done": rows_done, "attempt_place": rows_done, "bytes_done": done, **counted}
    if not upload.dry_run:  # one that is tried again from its first row has not got over a fault by getting this far
        values["faults"] = 0
    if not await store.advance(tx, upload, values):
        raise Superseded
    moved = await store.waiting_upload(tx, upload.id)
    assert moved is not None
    return moved


async def _complete(database: Database, principal: Principal, upload: BulkUpload) -> None:
    counts = {name.value: getattr(upload, name) for name in RowOutcome}
    values = {"status": UploadStatus.COMPLETED, "completed_at": datetime.now(UTC), "bytes_done": upload.bytes}
    async with store.writing_for(database, upload) as tx:
        if not await store.advance(tx, upload, values):
            raise Superseded
        await store.drop_parts(tx, upload.id)
        details = {"dry_run": upload.dry_run, "total": upload.total, **counts}
        await events.record(
            tx, principal, [NewEvent("bulk_upload.completed", upload.id, upload.partner_id, details=details)]
        )


async def _schedule_retry(database: Database, upload_id: UUID) -> None:
    async with database.transaction(read_only=True) as tx:
        upload = await store.waiting_upload(tx, upload_id)
    if upload is None:
        return
    retry_at = datetime.now(UTC) + rules.pause_after(upload.faults + 1)
    said = (
        f"The service failed after {upload.rows_done} rows of the file, which are judged and kept. It tries "
        f"the others again by itself at {retry_at:%Y-%m-%dT%H:%M:%SZ}; there is no need to send them again."
    )
    async with store.writing_for(database, upload) as tx:
        await store.put_off(tx, upload, retry_at, _told(Internal(said), upload_id))


def _told(problem: DomainError, upload_id: UUID) -> dict[str, Any]:
    return problem_of(problem, f"/v1/bulk-uploads/{upload_id}").model_dump(mode="json")


async def _fail(database: Database, upload_id: UUID, broken: Invalid) -> None:
    problem = _told(broken, upload_id)
    values = {"status": UploadStatus.FAILED, "completed_at": datetime.now(UTC), "problem": problem}
    async with database.transaction(read_only=True) as tx:
        upload = await store.waiting_upload(tx, upload_id)
    if upload is None:
        return
    async with store.writing_for(database, upload) as tx:
        if await store.advance(tx, upload, values):
            await store.drop_parts(tx, upload.id)
            event = NewEvent("bulk_upload.failed", upload.id, upload.partner_id, details={"code": broken.code})
            await events.record(tx, None, [event])
