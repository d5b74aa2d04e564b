"""CSV exports of an upload: its problems, and its refused rows for correction; no cell runs as a formula."""

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable, Sequence

from app.bulk_uploads import store
from app.bulk_uploads.models import SEALED_CELLS, BulkUpload
from app.bulk_uploads.rules import escape_formula
from app.core.database.engine import Database
from app.core.principal import Principal

PROBLEM_COLUMNS = ("line", "column", "code", "detail")


async def problems_csv(database: Database, principal: Principal, upload: BulkUpload) -> AsyncIterator[bytes]:
    """Yield ``line,column,code,detail``, one line per problem."""
    yield _csv([PROBLEM_COLUMNS])
    async for row in store.refused_rows(database, principal, upload.id):
        yield _csv([str(problem[name]) for name in PROBLEM_COLUMNS] for problem in row.problems)


async def refused_csv(database: Database, principal: Principal, upload: BulkUpload) -> AsyncIterator[bytes]:
    """Yield the refused rows in the columns of the upload."""
    yield _csv([upload.columns])
    async for row in store.refused_rows(database, principal, upload.id):
        if row.sealed_cells is not None:  # None once they are erased
            cells: list[str] = json.loads(database.keyring.unseal_text(SEALED_CELLS, row.sealed_cells))
            yield _csv([cells])


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([escape_formula(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8", "surrogateescape")
