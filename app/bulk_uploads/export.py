"""An upload's problems and refused rows as CSV that no spreadsheet runs and that can be sent again."""

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable, Sequence

from app.bulk_uploads import store
from app.bulk_uploads.models import BulkUpload, BulkUploadRow
from app.bulk_uploads.rules import guarded
from app.core.db import Database
from app.core.keyring import Keyring

PROBLEM_COLUMNS = ("line", "column", "code", "detail")


async def problems_csv(database: Database, upload: BulkUpload) -> AsyncIterator[bytes]:
    """``line,column,code,detail``, one line a problem."""
    yield _csv([PROBLEM_COLUMNS])
    async for row in store.refused_rows(database, upload.id):
        yield _csv([str(problem[name]) for name in PROBLEM_COLUMNS] for problem in row.problems)


async def refused_csv(database: Database, upload: BulkUpload) -> AsyncIterator[bytes]:
    """The refused rows in the upload's own columns, to correct and send again."""
    yield _csv([upload.columns])
    async for row in store.refused_rows(database, upload.id):
        yield _csv([_cells(database.keyring, row)])


def _cells(keyring: Keyring, row: BulkUploadRow) -> Sequence[str]:
    cells: list[str] = json.loads(keyring.unseal_text(row.sealed_cells or ""))
    return cells


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([guarded(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8", "surrogateescape")
