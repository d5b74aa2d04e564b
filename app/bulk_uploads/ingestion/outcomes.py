"""What becomes of the rows of a chunk, and how it is kept."""

import json
from collections import Counter as Counted
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.bulk_uploads import rules, store
from app.bulk_uploads.ingestion.chunks import Chunk
from app.bulk_uploads.ingestion.segments import BrokenRow, ReadRows, cells_as_sent
from app.bulk_uploads.models import SEALED_CELLS, BulkUpload
from app.bulk_uploads.rules import RowOutcome
from app.core.database.batches import column_text, values_at
from app.core.database.transaction import Transaction
from app.core.errors import FieldError
from app.registrations.intake.service import Registered


@dataclass(slots=True)
class Verdict:
    """What becomes of the rows of a chunk, sound ones by their place: refused, or known. The others are made cases."""

    refused: dict[int, Sequence[FieldError]]
    broken: Sequence[BrokenRow]
    known: dict[int, Registered] = field(default_factory=dict)

    def counts(self, rows: ReadRows) -> Counted[RowOutcome]:
        """How many rows have which outcome."""
        known = Counted(RowOutcome(each.outcome) for each in self.known.values())
        refused = len(self.refused) + len(self.broken)
        created = len(rows.batch.items) - len(self.refused) - len(self.known)
        return known + Counted({RowOutcome.REFUSED: refused, RowOutcome.CREATED: created})


async def keep(tx: Transaction, upload: BulkUpload, chunk: Chunk, verdict: Verdict) -> None:
    """Write the outcome of each row of a chunk, and what was wrong with it."""
    batch = chunk.rows.batch
    references = column_text(item.reference for item in batch.items)
    created = {"line": chunk.rows.lines, "reference": references, "registration_id": column_text(batch.ids)}
    apart = verdict.refused.keys() | verdict.known.keys()
    await store.add_created(tx, upload.id, created, apart, dry_run=upload.dry_run)
    if apart or verdict.broken:
        refused = [*_refused_later(chunk, upload.format, verdict), *verdict.broken]
        others = [*_known(chunk.rows, verdict, upload.dry_run), *(_refused(tx, each) for each in refused)]
        await store.add_rows(tx, upload.id, others)


def _known(rows: ReadRows, verdict: Verdict, dry_run: bool) -> Iterator[dict[str, Any]]:
    lines, references = _places(rows, verdict.known)
    for line, reference, each in zip(lines, references, verdict.known.values(), strict=True):
        is_there = each.outcome == "unchanged" or not dry_run
        case = each.registration_id if is_there else None
        said: dict[str, Any] = {"outcome": each.outcome, "reference": reference, "registration_id": case}
        yield {"line": line, "problems": [], **said}


def _refused_later(chunk: Chunk, upload_format: str, verdict: Verdict) -> Iterator[BrokenRow]:
    """The rows that were sound by themselves, and are refused for what the register says."""
    lines, references = _places(chunk.rows, verdict.refused)
    for line, reference, (i, errors) in zip(lines, references, verdict.refused.items(), strict=True):
        begin, end = chunk.rows.bounds[2 * i : 2 * i + 2]
        yield BrokenRow(line, reference, cells_as_sent(chunk.body[begin:end], upload_format, line), errors)


def _places(rows: ReadRows, places: Collection[int]) -> tuple[Iterator[int], list[str | None]]:
    """Lines and references of the sound rows at some places."""
    return map(int, values_at(rows.lines, places)), [rows.batch.items[place].reference for place in places]


def _refused(tx: Transaction, row: BrokenRow) -> dict[str, Any]:
    return {
        "line": row.line,
        "outcome": RowOutcome.REFUSED,
        "reference": row.reference,
        "problems": [_problem(row.line, error) for error in row.errors],
        "sealed_cells": _sealed(tx, row.cells),
    }


def _sealed(tx: Transaction, cells: Sequence[str]) -> bytes:
    return tx.keyring.seal_text(SEALED_CELLS, json.dumps(cells))


def _problem(line: int, error: FieldError) -> dict[str, Any]:
    return {"line": line, "column": rules.column_of(error), "code": error.code, "detail": error.detail}
