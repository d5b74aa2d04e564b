"""Uploads: options, layout, warnings, applicants and normalized cells; rows: their row, normalized cells and changes.

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

FORMAT_CHECK = "bulk_uploads_format_check"
FORMER_FORMAT_CHECK = "bulk_uploads_bulk_uploads_format_check_check"  # as migration 0007 named it


def upgrade() -> None:
    """Apply. Uploads that wait get their layout when a worker reads them."""
    for name, kind, default in (
        ("options", postgresql.JSONB(), "'{}'"),
        ("layout", postgresql.JSONB(), None),
        ("warnings", postgresql.JSONB(), "'[]'"),
        ("applicants_created", sa.Integer(), "0"),
        ("applicants_changed", sa.Integer(), "0"),
        ("normalized", postgresql.JSONB(), "'{}'"),
    ):
        server_default = sa.text(default) if default else None
        column = sa.Column(name, kind, nullable=default is None, server_default=server_default)
        op.add_column("bulk_uploads", column)
    op.add_column("bulk_upload_rows", sa.Column("row", sa.Integer(), nullable=True))
    op.add_column("bulk_upload_rows", sa.Column("normalized", postgresql.JSONB(), nullable=True))
    op.add_column("bulk_upload_rows", sa.Column("applicant_changes", postgresql.JSONB(), nullable=True))
    op.drop_constraint(op.f(FORMER_FORMAT_CHECK), "bulk_uploads")
    op.create_check_constraint(
        op.f(FORMAT_CHECK), "bulk_uploads", "format IN ('csv', 'ndjson', 'xlsx', 'ods', 'xls', 'zip')"
    )


def downgrade() -> None:
    """Revert. Fails while there are uploads of the new formats."""
    op.drop_constraint(op.f(FORMAT_CHECK), "bulk_uploads")
    op.create_check_constraint(op.f(FORMER_FORMAT_CHECK), "bulk_uploads", "format IN ('csv', 'ndjson', 'xlsx')")
    for name in ("applicant_changes", "normalized", "row"):
        op.drop_column("bulk_upload_rows", name)
    for name in ("normalized", "applicants_changed", "applicants_created", "warnings", "layout", "options"):
        op.drop_column("bulk_uploads", name)
