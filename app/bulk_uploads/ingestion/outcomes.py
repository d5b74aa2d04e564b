"""Outcomes of the rows of a chunk, and their storage."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.applicants.service import RecordedApplicant
from app.bulk_uploads import rules, store
from app.bulk_uploads.ingestion.chunks import Chunk
from app.bulk_uploads.ingestion.segments import RefusedRow, SegmentRows, read_cells
from app.bulk_uploads.models import SEALED_CELLS, BulkUpload
from app.bulk_uploads.rules import RowOutcome
from app.core.database.batches import column_text, values_at
from app.core.database.transaction import Transaction
from app.core.errors import FieldError
from app.registrations.intake.service import Registered


@dataclass(slots=True)
class ChunkOutcomes:
    """Outcomes of the rows of a chunk.

    ``invalid`` rows are refused by themselves. Valid rows are known by their place in ``rows.batch``: ``refused`` by
    the register, ``existing`` (unchanged or updated), and otherwise created. ``applicants`` has those that created or
    changed the record of their applicant, even if they were refused afterwards.
    """

    rows: SegmentRows
    invalid: Sequence[RefusedRow]
    refused: dict[int, Sequence[FieldError]]
    existing: dict[int, Registered] = field(default_factory=dict)
    applicants: dict[int, RecordedApplicant] = field(default_factory=dict)

    def counts(self) -> Counter[RowOutcome]:
        """Count the rows by outcome."""
        existing = Counter(RowOutcome(each.outcome) for each in self.existing.values())
        refused = len(self.refused) + len(self.invalid)
        created = len(self.rows.batch.items) - len(self.refused) - len(self.existing)
        return existing + Counter({RowOutcome.REFUSED: refused, RowOutcome.CREATED: created})


async def save_outcomes(tx: Transaction, upload: BulkUpload, chunk: Chunk, outcomes: ChunkOutcomes) -> None:
    """Insert the outcome of each row of a chunk; refused rows with their problems and sealed cells."""
    rows = outcomes.rows
    references = column_text(item.reference for item in rows.batch.items)
    created = {"line": rows.lines, "reference": references, "registration_id": column_text(rows.batch.ids)}
    not_created = outcomes.refused.keys() | outcomes.existing.keys()
    await store.add_created_rows(tx, upload.id, created, not_created, dry_run=upload.dry_run)
    if not_created or outcomes.invalid:
        refused = [*_refused_rows(chunk, upload.format, outcomes), *outcomes.invalid]
        others = [*_existing_values(outcomes, upload.dry_run), *(_refused_values(tx, each) for each in refused)]
        await store.add_rows(tx, upload.id, others)


def _existing_values(outcomes: ChunkOutcomes, dry_run: bool) -> Iterator[dict[str, Any]]:
    lines, references = _lines_and_references(outcomes.rows, outcomes.existing)
    for line, reference, each in zip(lines, references, outcomes.existing.values(), strict=True):
        # a dry run names a registration only when it would change nothing
        registration_id = each.registration_id if each.outcome == "unchanged" or not dry_run else None
        values: dict[str, Any] = {"line": line, "outcome": each.outcome, "reference": reference}
        yield {**values, "registration_id": registration_id, "problems": []}


def _refused_rows(chunk: Chunk, upload_format: str, outcomes: ChunkOutcomes) -> Iterator[RefusedRow]:
    """Yield the valid rows that the register refused, with their cells read again from the chunk."""
    lines, references = _lines_and_references(chunk.rows, outcomes.refused)
    for line, reference, (i, errors) in zip(lines, references, outcomes.refused.items(), strict=True):
        begin, end = chunk.rows.bounds[2 * i : 2 * i + 2]
        yield RefusedRow(line, reference, read_cells(chunk.body[begin:end], upload_format, line), errors)


def _lines_and_references(rows: SegmentRows, places: Collection[int]) -> tuple[Iterator[int], list[str | None]]:
    return map(int, values_at(rows.lines, places)), [rows.batch.items[place].reference for place in places]


def _refused_values(tx: Transaction, row: RefusedRow) -> dict[str, Any]:
    return {
        "line": row.line,
        "outcome": RowOutcome.REFUSED,
        "reference": row.reference,
        "problems": [_problem(row.line, error) for error in row.errors],
        "sealed_cells": tx.keyring.seal_text(SEALED_CELLS, json.dumps(row.cells)),
    }


def _problem(line: int, error: FieldError) -> dict[str, Any]:
    return {"line": line, "column": rules.error_column(error), "code": error.code, "detail": error.detail}
