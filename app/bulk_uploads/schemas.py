"""Request parameters and response bodies of uploads."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from app.bulk_uploads.rules import RowOutcome, UploadFormat, UploadStatus
from app.core.database.pagination import PageQuery
from app.core.validation.schemas import AnyOf, Examples, Page, Problem, Query, Resource, Timestamp

UPLOAD_ID = "019b2f6e-7000-7b1a-8c44-1f2e3d4c5b6a"
EXAMPLE: Examples = {
    "id": UPLOAD_ID,
    "partner_id": "019b2f6e-5e00-7d2b-9a33-2e3d4c5b6a7f",
    "dry_run": False,
    "status": "processing",
    "format": "csv",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "bytes": 4_194_304,
    "bytes_done": 419_430,
    "rows_done": 2_000,
    "counts": {"total": 19_840, "created": 1_990, "unchanged": 0, "updated": 0, "refused": 10},
    "problem": None,
    "version": 3,
    "created_at": "2026-11-21T09:00:00.000000Z",
    "updated_at": "2026-11-21T09:00:01.000000Z",
    "completed_at": None,
    "erased_at": None,
}


class UploadQuery(Query):
    """Parameters of an upload."""

    dry_run: Annotated[bool, Field(description="Validate every row and register none")] = False


class Counts(Resource):
    """Rows by outcome; `total` is null until the file has been read to its end."""

    model_config = ConfigDict(from_attributes=True)

    total: int | None
    created: int
    unchanged: int
    updated: int
    refused: int


class BulkUpload(Resource):
    """An upload and its progress."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [EXAMPLE]})

    id: UUID
    partner_id: UUID
    dry_run: bool
    status: UploadStatus
    format: UploadFormat
    sha256: Annotated[str, Field(description="Of the uncompressed file")]
    bytes: Annotated[int, Field(description="Size of the uncompressed file")]
    bytes_done: int
    rows_done: int
    counts: Counts
    problem: Annotated[Problem | None, Field(description="Why the upload failed, or why it is delayed")]
    version: int
    created_at: Timestamp
    updated_at: Timestamp
    completed_at: Timestamp | None
    erased_at: Annotated[
        Timestamp | None, Field(description="When the cells of refused rows were erased, or all rows of a dry run")
    ]


BulkUploadPage = Page[BulkUpload]


class BulkUploadsQuery(PageQuery):
    """Filters of a list of uploads."""

    status: AnyOf[UploadStatus] = None


class RowProblem(Resource):
    """A problem of a row."""

    line: int
    column: str
    code: str
    detail: str


class UploadRow(Resource):
    """Outcome of a row. `line` is its first line in the file, or its row in the sheet; a header is line 1."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "line": 7,
                    "outcome": "refused",
                    "reference": "PSEB-2026-000123",
                    "registration_id": None,
                    "problems": [
                        {"line": 7, "column": "email", "code": "email_malformed", "detail": "Not an e-mail address."}
                    ],
                }
            ]
        },
    )

    line: int
    outcome: RowOutcome
    reference: str | None
    registration_id: UUID | None
    problems: Sequence[RowProblem]


UploadRowPage = Page[UploadRow]


class RowsQuery(PageQuery):
    """Filters of an upload's rows."""

    outcome: AnyOf[RowOutcome] = None
