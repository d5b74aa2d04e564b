"""Tables of uploads: the upload, its file in parts, and one outcome per row."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Text, false, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.bulk_uploads.rules import RowOutcome, UploadFormat, UploadStatus
from app.core.database.base import Base, Identified, Versioned, one_of, sealed_column
from app.partners.models import Partner

SEALED_CELLS = "bulk_upload_rows.sealed_cells"


class BulkUpload(Identified, Versioned, Base):
    """A file of registrations. ``rows_done`` is the checkpoint: rows up to it are registered, none beyond it are.

    ``options`` are those of the request (``rules.UploadOptions``). ``layout`` is a ``readers.layout.Layout`` as JSON,
    null until a workbook has been opened. ``normalized`` counts, by column, the cells taken in another form.
    ``unchanged_not_in_force`` counts the unchanged rows whose case was ``rules.NOT_IN_FORCE`` when they were processed.

    ``faults`` counts internal errors; after one, the upload is retried from ``retry_at`` on. ``erased_at`` is when the
    cells of refused rows were erased, or all rows of a dry run.

    ``attempt_id`` is set before a worker starts and cleared when it ends in an orderly way. ``attempt_place`` is the
    progress of that attempt: ``rows_done``, ``rules.OPENING_WORKBOOK`` or ``rules.READING_FILE``. A worker that finds
    an attempt still set knows that its predecessor was killed: ``kills`` counts all kills, and ``killed_there`` the
    latest in a row at ``killed_place``.
    """

    __tablename__ = "bulk_uploads"
    __table_args__ = (
        one_of("status", UploadStatus),
        one_of("format", UploadFormat),
        Index(None, "partner_id", "id"),
        Index("bulk_uploads_waiting_idx", "id", postgresql_where=text("status IN ('received', 'processing')")),
        Index(None, "dry_run", "completed_at", postgresql_where=text("erased_at IS NULL")),
        Index(None, "partner_id", "is_small", "taken_at"),
    )

    partner_id: Mapped[UUID] = mapped_column(ForeignKey(Partner.id))
    client_id: Mapped[UUID]
    dry_run: Mapped[bool]
    status: Mapped[str] = mapped_column(server_default=text(f"'{UploadStatus.RECEIVED}'"))
    format: Mapped[str]
    options: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    columns: Mapped[list[str]] = mapped_column(ARRAY(Text))
    layout: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    warnings: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    sha256: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    bytes_done: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    rows_done: Mapped[int] = mapped_column(server_default=text("0"))
    total: Mapped[int | None]
    created: Mapped[int] = mapped_column(server_default=text("0"))
    unchanged: Mapped[int] = mapped_column(server_default=text("0"))
    updated: Mapped[int] = mapped_column(server_default=text("0"))
    refused: Mapped[int] = mapped_column(server_default=text("0"))
    unchanged_not_in_force: Mapped[int] = mapped_column(server_default=text("0"))
    applicants_created: Mapped[int] = mapped_column(server_default=text("0"))
    applicants_changed: Mapped[int] = mapped_column(server_default=text("0"))
    normalized: Mapped[dict[str, int]] = mapped_column(JSONB, server_default=text("'{}'"))
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    faults: Mapped[int] = mapped_column(server_default=text("0"))
    retry_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]
    # size and lines of the parts, uncompressed; once a workbook is converted, of its rows
    held_bytes: Mapped[int | None] = mapped_column(BigInteger)
    held_lines: Mapped[int | None]
    is_small: Mapped[bool] = mapped_column(server_default=false())
    taken_at: Mapped[datetime | None]  # start of the latest attempt
    attempt_id: Mapped[UUID | None]
    attempt_place: Mapped[int | None]
    killed_place: Mapped[int | None]
    killed_there: Mapped[int] = mapped_column(server_default=text("0"))
    kills: Mapped[int] = mapped_column(server_default=text("0"))


class BulkUploadPart(Base):
    """At most 1 MiB of an upload's bytes, compressed and sealed; deleted when the upload ends.

    ``size`` is the uncompressed size; None for uncompressed parts, which were stored before migration 0017.
    """

    __tablename__ = "bulk_upload_parts"

    bulk_upload_id: Mapped[UUID] = mapped_column(ForeignKey(BulkUpload.id), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    sealed: Mapped[bytes] = sealed_column()
    size: Mapped[int | None]


class BulkUploadRow(Base):
    """Outcome of a row that begins on ``line`` of the file; the cells of a refused row are kept, sealed.

    ``row`` is the row as a spreadsheet counts it, null where it follows from ``line``. ``normalized`` lists cells taken
    in another form, ``applicant_changes`` the changes to the applicant's record; personal data is masked in both.
    """

    __tablename__ = "bulk_upload_rows"
    __table_args__ = (
        one_of("outcome", RowOutcome),
        Index(None, "reference", "bulk_upload_id"),  # erasure looks up a reference in all uploads
        Index("bulk_upload_rows_outcome_idx", "bulk_upload_id", "outcome", "line"),
    )

    bulk_upload_id: Mapped[UUID] = mapped_column(ForeignKey(BulkUpload.id), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    outcome: Mapped[str]
    reference: Mapped[str | None]
    registration_id: Mapped[UUID | None]
    row: Mapped[int | None]
    replaces: Mapped[UUID | None]
    problems: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    normalized: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    applicant_changes: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    sealed_cells: Mapped[bytes | None] = sealed_column()
