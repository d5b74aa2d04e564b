"""Outcomes of the rows of a chunk, and their storage."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from app.applicants.merging import Change
from app.applicants.service import RecordedApplicant
from app.applicants.store import Identity
from app.bulk_uploads import rules, store
from app.bulk_uploads.ingestion.chunks import Chunk
from app.bulk_uploads.ingestion.segments import RefusedRow, SegmentRows, normalized_values, read_row
from app.bulk_uploads.models import SEALED_CELLS, BulkUpload
from app.bulk_uploads.normalization import mask
from app.bulk_uploads.readers.layout import Layout
from app.bulk_uploads.rules import RowOutcome
from app.core.database.batches import column_text, values_at
from app.core.database.transaction import Transaction
from app.core.errors import FieldError
from app.registrations.intake.service import Registered
from app.registrations.rules import NOT_IN_FORCE


@dataclass(slots=True)
class ChunkOutcomes:
    """Outcomes of the rows of a chunk.

    ``invalid`` rows are refused by themselves. Valid rows are known by their place in ``rows.batch``: ``refused`` by
    the register, ``existing`` (unchanged or updated), and otherwise created. ``applicants`` has those that created or
    changed the record of their applicant, and ``recorded`` the identities of ``rows.applicants`` by their index.
    ``replaces`` has the case that the row's is to supersede.
    """

    rows: SegmentRows
    invalid: Sequence[RefusedRow]
    refused: dict[int, Sequence[FieldError]]
    existing: dict[int, Registered] = field(default_factory=dict)
    applicants: dict[int, RecordedApplicant] = field(default_factory=dict)
    recorded: dict[int, Identity] = field(default_factory=dict)
    replaces: dict[int, UUID] = field(default_factory=dict)

    def undo(self) -> None:
        """Forget all but the rows that are refused."""
        for each in (self.existing, self.applicants, self.recorded, self.replaces):
            each.clear()

    @property
    def applicant_changes(self) -> dict[int, Sequence[Change]]:
        """The changes of applicants' records by the place of their row."""
        return {place: each.changes for place, each in self.applicants.items() if each.changes}

    @property
    def applicants_created(self) -> int:
        """The number of applicants whose record a row created."""
        return sum(each.created for each in self.applicants.values())

    def counts(self) -> Counter[RowOutcome]:
        """Count the rows by outcome."""
        existing = Counter(RowOutcome(each.outcome) for each in self.existing.values())
        refused = len(self.refused) + len(self.invalid)
        created = len(self.rows.batch.items) - len(self.refused) - len(self.existing)
        return existing + Counter({RowOutcome.REFUSED: refused, RowOutcome.CREATED: created})

    @property
    def unchanged_not_in_force(self) -> int:
        """The number of unchanged rows whose case is off the list and not under review."""
        return sum(made.outcome == "unchanged" and made.status in NOT_IN_FORCE for made in self.existing.values())

    def normalized_columns(self) -> Counter[str]:
        """Count, by column, the cells of rows not refused that were taken in another form."""
        counts = Counter(self.rows.normalized_columns)
        if counts:
            for normalized in values_at(self.rows.normalized, self.refused):
                counts.subtract(each["column"] for each in json.loads(normalized or "[]"))
        return +counts


async def save_outcomes(
    tx: Transaction, upload: BulkUpload, layout: Layout, chunk: Chunk, outcomes: ChunkOutcomes
) -> None:
    """Insert the outcome of each row of a chunk; refused rows with their problems and sealed cells."""
    rows = outcomes.rows
    created = {
        "line": rows.lines,
        "row": rows.rows,
        "reference": column_text(item.reference for item in rows.batch.items),
        "registration_id": column_text(rows.batch.ids),
        "replaces": column_text(_ids_at(outcomes.replaces, len(rows.batch.items))),
        "normalized": rows.normalized,
    }
    others = outcomes.refused.keys() | outcomes.existing.keys() | outcomes.applicant_changes.keys()
    await store.add_created_rows(tx, upload.id, created, others, dry_run=upload.dry_run)
    if others or outcomes.invalid:
        accepted = sorted(others - outcomes.refused.keys())
        values = [*_accepted_values(outcomes, accepted, upload.dry_run)]
        values += _refused_values(tx, upload.format, layout, chunk, outcomes)
        values += [_invalid_values(tx, layout, each) for each in outcomes.invalid]
        await store.add_rows(tx, upload.id, values)


def _ids_at(found: Mapping[int, UUID], count: int) -> Iterator[str | None]:
    return (str(found[place]) if place in found else None for place in range(count))


def _accepted_values(outcomes: ChunkOutcomes, places: Sequence[int], dry_run: bool) -> Iterator[dict[str, Any]]:
    """Yield the values of rows that are unchanged or updated, or created with changes of their applicant."""
    for place, values in zip(places, _valid_values(outcomes, places), strict=True):
        made = outcomes.existing.get(place) or Registered(UUID(outcomes.rows.batch.ids[place]), "created")
        # a dry run names a registration only when it would change nothing
        registration_id = made.registration_id if made.outcome == "unchanged" or not dry_run else None
        replaces = None if made.outcome == "unchanged" else outcomes.replaces.get(place)
        told = {"outcome": made.outcome, "registration_id": registration_id, "replaces": replaces}
        yield {**values, **told, "problems": []}


def _refused_values(
    tx: Transaction, upload_format: str, layout: Layout, chunk: Chunk, outcomes: ChunkOutcomes
) -> Iterator[dict[str, Any]]:
    """Yield the values of valid rows that the register refused, with their cells read again from the chunk."""
    for values, (place, errors) in zip(
        _valid_values(outcomes, outcomes.refused), outcomes.refused.items(), strict=True
    ):
        begin, end = chunk.rows.bounds[2 * place : 2 * place + 2]
        cells = read_row(chunk.body[begin:end], upload_format, layout).cells
        yield {**values, **_refusal(tx, layout, values["line"], cells, errors)}


def _valid_values(outcomes: ChunkOutcomes, places: Collection[int]) -> Iterator[dict[str, Any]]:
    """Yield the values of valid rows by their places, whatever their outcome."""
    rows, changes = outcomes.rows, outcomes.applicant_changes
    columns = (values_at(each, places) for each in (rows.lines, rows.rows, rows.normalized))
    for place, line, row, normalized in zip(places, *columns, strict=True):
        yield {
            "line": int(line),
            "row": row and int(row),
            "reference": rows.batch.items[place].reference,
            "normalized": normalized and json.loads(normalized),
            "applicant_changes": _changes(changes.get(place, ())),
        }


def _invalid_values(tx: Transaction, layout: Layout, row: RefusedRow) -> dict[str, Any]:
    normalized = normalized_values(row.normalized) or None
    values = {"line": row.line, "row": row.row, "reference": row.reference, "normalized": normalized}
    return {**values, **_refusal(tx, layout, row.line, row.cells, row.errors)}


def _refusal(
    tx: Transaction, layout: Layout, line: int, cells: Sequence[str], errors: Sequence[FieldError]
) -> dict[str, Any]:
    given = dict(zip(layout.columns, cells, strict=False))  # a refused row may have cells without a column
    return {
        "outcome": RowOutcome.REFUSED,
        "problems": [_problem(line, given, error) for error in errors],
        "sealed_cells": tx.keyring.seal_text(SEALED_CELLS, json.dumps(cells)),
    }


def _problem(line: int, cells: dict[str, str], error: FieldError) -> dict[str, Any]:
    """Return a problem as it is stored; the cell that has it is masked."""
    column = rules.error_column(error)
    cell = cells.get(column, "")
    return {
        "line": line,
        "column": column,
        "code": error.code,
        "detail": rules.error_detail(error, cell),
        "given": mask(column, cell),
    }


def _changes(changes: Sequence[Change]) -> list[dict[str, str | None]] | None:
    """Return the changes of an applicant as they are stored, with personal data masked; None without any."""
    told = [
        {
            "column": (column := rules.COLUMN_OF_FIELD.get(each.field, each.field)),
            "before": each.before and mask(column, each.before),
            "after": each.after and mask(column, each.after),
        }
        for each in changes
    ]
    return told or None
