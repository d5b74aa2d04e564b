"""Request parameters and response bodies of uploads."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from app.bulk_uploads.rules import MAX_COLUMNS, Encoding, RowOutcome, UploadFormat, UploadOptions, UploadStatus
from app.core.database.pagination import PageQuery
from app.core.validation.schemas import AnyOf, Examples, Page, Problem, Query, Resource, ServiceText, Timestamp
from app.registrations.rules import Status

MAX_NAMES_LENGTH = 500  # of one value of ``ignore_columns``
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
    "counts": {
        "total": 19_840,
        "created": 1_490,
        "unchanged": 500,
        "updated": 0,
        "refused": 10,
        "unchanged_not_in_force": 3,
    },
    "applicants": {"created": 640, "changed": 2},
    "normalized": {"mobile": 1_204, "networks": 17},
    "clear": False,
    "rename": False,
    "renew": False,
    "read_as": {"encoding": "utf-8", "separator": ";", "header_row": 1, "sheets": [], "ignored_columns": ["Remarks"]},
    "warnings": [],
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
    clear: Annotated[
        bool,
        Field(
            description="`-` in a cell of `mobile`, `cnic`, `pseb_number` or `pasha_number` clears what is known, "
            "except the number that identifies the applicant. A blank cell never does"
        ),
    ] = False
    rename: Annotated[bool, Field(description="Take another name for an applicant that is known by its number")] = False
    renew: Annotated[
        bool,
        Field(
            description="Submit a successor of each case that a row's reference leads to and that expires within "
            "60 days, or is lapsed or expired"
        ),
    ] = False
    encoding: Annotated[
        Encoding | None, Field(description="Of a text file that is not Unicode; by default it is found out")
    ] = None
    ignore_columns: Annotated[
        tuple[Annotated[str, Field(max_length=MAX_NAMES_LENGTH)], ...],
        Field(
            max_length=MAX_COLUMNS,
            description="Unknown columns to leave out, by their names in the header; separated by commas, or repeated",
            examples=[["Remarks"]],
        ),
    ] = ()

    @property
    def options(self) -> UploadOptions:
        """The options that the upload keeps. A name with commas is tried as a whole first, then by its parts."""
        names = [name for value in self.ignore_columns for name in (value, *(value.split(",") if "," in value else ()))]
        given = dict.fromkeys(stripped for name in names if (stripped := name.strip()))
        return UploadOptions(self.clear, self.rename, self.encoding, list(given), self.renew)


class Counts(Resource):
    """Rows by outcome; `total` is null until the file has been read to its end."""

    model_config = ConfigDict(from_attributes=True)

    total: int | None
    created: int
    unchanged: int
    updated: int
    refused: int
    unchanged_not_in_force: Annotated[
        int, Field(description="Unchanged rows whose case was neither on the list nor under review when it was read")
    ]


class ApplicantCounts(Resource):
    """Applicants that the rows named for the first time, and applicants whose record they changed."""

    created: int
    changed: int


class ReadAs(Resource):
    """How the file was read.

    `encoding` and `separator` are null for a workbook, `header_row` for NDJSON. `sheets` are the sheets that were read.
    """

    encoding: str | None
    separator: str | None
    header_row: int | None
    sheets: Sequence[str]
    ignored_columns: Sequence[str]


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
    applicants: ApplicantCounts
    normalized: Annotated[
        dict[str, int], Field(description="Cells that were taken in another form than they were written, by column")
    ]
    clear: bool
    rename: bool
    renew: bool
    read_as: Annotated[ReadAs | None, Field(description="Null until a workbook has been opened")]
    warnings: Annotated[Sequence[str], Field(description="What was assumed, or is worth a look, in sentences")]
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
    """A problem of a row: where, what was read, what is wrong, and what to write."""

    sheet: str | None
    row: int
    line: int
    letter: Annotated[str, Field(description="Of the column in a spreadsheet; empty for the whole row")]
    column: str
    code: str
    given: Annotated[ServiceText | None, Field(description="What was read; personal data is masked")]
    detail: ServiceText
    remedy: str


class NormalizedCell(Resource):
    """A cell that was taken in another form than it was written; personal data is masked."""

    column: str
    given: ServiceText
    taken: ServiceText


class ApplicantValueChange(Resource):
    """A change to the record of the row's applicant; null stands for no value, and personal data is masked."""

    column: str
    before: ServiceText | None
    after: ServiceText | None


ROW_EXAMPLE: Examples = {
    "sheet": "Sheet1",
    "row": 7,
    "line": 7,
    "outcome": "refused",
    "reference": "PSEB-2026-000123",
    "registration_id": None,
    "replaces": None,
    "status": None,
    "in_force": None,
    "expires_at": None,
    "problems": [
        {
            "sheet": "Sheet1",
            "row": 7,
            "line": 7,
            "letter": "G",
            "column": "email",
            "code": "email_malformed",
            "given": "it.indus.example.pk",
            "detail": "Not an e-mail address.",
            "remedy": "Write one address of at most 254 characters, such as it@company.example.pk.",
        }
    ],
    "normalized": [{"column": "mobile", "given": "0300-***567", "taken": "+92300***567"}],
    "applicant_changes": [],
}


class UploadRow(Resource):
    """Outcome of a row.

    `row` is the row as a spreadsheet counts it, in the `sheet` of a workbook (null in a text file). `line` is unique in
    the upload: in a text file, the line on which the row begins.

    `status`, `in_force` and `expires_at` are those of the row's case as it is now, at this request; null without a
    case. `in_force` is true while the case is approved or lapsed and all its networks are on the published list.
    """

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [ROW_EXAMPLE]})

    sheet: str | None
    row: int
    line: int
    outcome: RowOutcome
    reference: str | None
    registration_id: UUID | None
    replaces: Annotated[UUID | None, Field(description="The case that the new case of the row is to supersede")]
    status: Status | None
    in_force: bool | None
    expires_at: Timestamp | None
    problems: Sequence[RowProblem]
    normalized: Sequence[NormalizedCell]
    applicant_changes: Sequence[ApplicantValueChange]


UploadRowPage = Page[UploadRow]


class RowsQuery(PageQuery):
    """Filters of an upload's rows."""

    outcome: AnyOf[RowOutcome] = None
    status: Annotated[AnyOf[Status], Field(description="Of the row's case as it is now")] = None
