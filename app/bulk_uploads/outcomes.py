"""What becomes of the rows of a chunk, and how it is kept."""

import json
from collections import Counter as Counted
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.bulk_uploads import rules, store
from app.bulk_uploads.models import SEALED_CELLS, BulkUpload
from app.bulk_uploads.reading import BrokenRow, ReadRows, cells_of_lines
from app.bulk_uploads.rules import RowOutcome
from app.bulk_uploads.source import Chunk
from app.core.db import WriteSession
from app.core.errors import FieldError
from app.core.orm import cells_of
from app.registrations.service import Registered

# the columns of a batch that a created row's outcome has, by its own names
CREATED = {"reference": "reference", "registration_id": "id"}


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
        created = len(rows.batch.tracks) - len(self.refused) - len(self.known)
        return known + Counted({RowOutcome.REFUSED: refused, RowOutcome.CREATED: created})


async def keep(session: WriteSession, upload: BulkUpload, chunk: Chunk, verdict: Verdict) -> None:
    """Write the outcome of each row of a chunk, and what was wrong with it."""
    created = {"line": chunk.rows.lines, **{name: chunk.rows.batch.columns[of] for name, of in CREATED.items()}}
    apart = verdict.refused.keys() | verdict.known.keys()
    await store.add_created(session, upload.id, created, apart, dry_run=upload.dry_run)
    if apart or verdict.broken:
        refused = [*_refused_later(chunk, upload.format, verdict), *verdict.broken]
        others = [*_known(chunk.rows, verdict, upload.dry_run), *(_refused(session, each) for each in refused)]
        await store.add_rows(session, upload.id, others)


def _known(rows: ReadRows, verdict: Verdict, dry_run: bool) -> Iterator[dict[str, Any]]:
    lines, references = cells_of(rows.lines), rows.batch.references()
    for i, each in verdict.known.items():
        is_there = each.outcome == "unchanged" or not dry_run
        case = each.registration_id if is_there else None
        said: dict[str, Any] = {
            "outcome": each.outcome,
            "reference": references[i],
            "registration_id": case,
            "problems": [],
        }
        yield {"line": int(lines[i]), **said}


def _refused_later(chunk: Chunk, upload_format: str, verdict: Verdict) -> list[BrokenRow]:
    """The rows that were sound by themselves, and are refused for what the register says."""
    if not verdict.refused:
        return []
    lines, references = [int(each) for each in cells_of(chunk.rows.lines)], chunk.rows.batch.references()
    cells = cells_of_lines(chunk.body, upload_format, chunk.stretch.line, {lines[i] for i in verdict.refused})
    return [
        BrokenRow(lines[i], references[i], cells[lines[i]], errors) for i, errors in sorted(verdict.refused.items())
    ]


def _refused(session: WriteSession, row: BrokenRow) -> dict[str, Any]:
    return {
        "line": row.line,
        "outcome": RowOutcome.REFUSED,
        "reference": row.reference,
        "problems": [_problem(row.line, error) for error in row.errors],
        "sealed_cells": _sealed(session, row.cells),
    }


def _sealed(session: WriteSession, cells: Sequence[str]) -> bytes:
    return session.keyring.seal_text(SEALED_CELLS, json.dumps(cells))


def _problem(line: int, error: FieldError) -> dict[str, Any]:
    return {"line": line, "column": rules.column_of(error), "code": error.code, "detail": error.detail}
