"""Registration of the rows of a chunk: their applicants, the cases that they replace, and the cases themselves."""

from dataclasses import dataclass, field, replace
from uuid import UUID

from app.applicants import service as applicants
from app.applicants.merging import PlannedRecords, Policy
from app.applicants.store import Identity
from app.bulk_uploads.ingestion.applicant_cache import ApplicantCache, decode_particulars
from app.bulk_uploads.ingestion.bloom_filter import BloomFilter
from app.bulk_uploads.ingestion.outcomes import ChunkOutcomes
from app.bulk_uploads.models import BulkUpload
from app.core.database.transaction import Transaction
from app.core.errors import DomainError, Invalid
from app.core.principal import Principal
from app.registrations.intake import renewal
from app.registrations.intake import service as intake
from app.registrations.intake.batch import Batch
from app.registrations.rules import AcceptedNetworks


@dataclass(slots=True)
class DryRunState:
    """Networks, applicants and replaced cases that a dry run has accepted, since its chunks are rolled back."""

    networks: AcceptedNetworks = field(default_factory=AcceptedNetworks)
    applicants: PlannedRecords = field(default_factory=PlannedRecords)
    replaced: set[UUID] = field(default_factory=set)


@dataclass(slots=True)
class UploadContext:
    """State that the chunks of an upload share; ``upload`` is as of the latest checkpoint."""

    upload: BulkUpload
    submitter: Principal
    references: BloomFilter
    dry_run: DryRunState | None
    applicants: ApplicantCache = field(default_factory=ApplicantCache)


async def register(tx: Transaction, context: UploadContext, outcomes: ChunkOutcomes) -> None:
    """Register the rows of a chunk. If a row that is refused has changed its applicant, all are undone without it.

    A row that was refused stays refused: judged again, rows might change the outcomes of one another without end.
    """
    while True:
        accepted = AcceptedNetworks(context.dry_run.networks) if context.dry_run else None
        async with tx.savepoint() as savepoint:
            await _register_once(tx, context, outcomes, accepted)
            if outcomes.applicants.keys().isdisjoint(outcomes.refused):
                break
            await savepoint.rollback()
        if context.dry_run:
            context.dry_run.applicants.forget()
        outcomes.undo()
    if accepted:
        accepted.settle()
    if context.dry_run:
        context.dry_run.replaced.update(outcomes.replaces.values())
        return
    for place, record in outcomes.recorded.items():
        context.applicants.add(outcomes.rows.applicants[place], record)


async def _register_once(
    tx: Transaction, context: UploadContext, outcomes: ChunkOutcomes, accepted: AcceptedNetworks | None
) -> None:
    rows = outcomes.rows
    identities = await _record_applicants(tx, context, outcomes)
    batch = replace(
        rows.batch,
        applicants=[identities[index] for index in rows.applicant_indexes],
        bulk_upload_id=context.upload.id,
        accepted=accepted,
    )
    batch = await _find_replaced(tx, context, batch, outcomes)
    places = [i for i in range(len(batch.items)) if i not in outcomes.refused]
    submitted = await intake.submit(tx, context.submitter, batch.at(places))
    for i, outcome in submitted.others.items():
        if isinstance(outcome, DomainError):
            outcomes.refused[places[i]] = outcome.errors
        else:
            outcomes.existing[places[i]] = outcome
    outcomes.replaces |= {i: id_ for i in places if (id_ := batch.items[i].replaces) and i not in outcomes.refused}


async def _find_replaced(tx: Transaction, context: UploadContext, batch: Batch, outcomes: ChunkOutcomes) -> Batch:
    """Return the batch with the cases that its items replace; refuse the rows that name none."""
    renew = bool(context.upload.options.get("renew"))
    references = {place: each for place, each in outcomes.rows.replaces.items() if place not in outcomes.refused}
    taken = context.dry_run.replaced if context.dry_run else set[UUID]()
    found = await renewal.find_replaced(tx, context.submitter, batch, references, renew=renew, taken=taken)
    outcomes.refused.update((place, errors) for place, errors in found.errors.items() if place not in outcomes.refused)
    return found.batch


async def _record_applicants(tx: Transaction, context: UploadContext, outcomes: ChunkOutcomes) -> list[Identity | None]:
    """Find or create the applicants of a chunk, by their index in ``rows.applicants``; refuse the rows of others."""
    rows = outcomes.rows
    identities = await applicants.without_erased(tx, context.applicants.find(rows.applicants))
    indexes = enumerate(rows.applicant_indexes)
    unknown = [(i, index) for i, index in indexes if identities[index] is None and i not in outcomes.refused]
    particulars = {index: decode_particulars(rows.applicants[index]) for index in {index for _, index in unknown}}
    policy = Policy.RENAME if context.upload.options.get("rename") else Policy.MERGE
    planned = context.dry_run.applicants if context.dry_run else None
    recorded = await applicants.record(
        tx, context.submitter, [particulars[index] for _, index in unknown], policy, planned=planned
    )
    for (i, index), record in zip(unknown, recorded, strict=True):
        if isinstance(record, Invalid):
            outcomes.refused[i] = record.errors
            continue
        identities[index] = record.identity
        if record.created or record.changes:
            outcomes.applicants[i] = record
        outcomes.recorded.pop(index, None)  # the latest of an applicant comes last
        outcomes.recorded[index] = record.identity
    return identities
