"""Uploads: their stored bytes and lines, fair scheduling, attempts that killed a worker, compressed parts.

Revision ID: 0017
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0015"
branch_labels = None
depends_on = None

INDEX = "bulk_uploads_partner_id_is_small_taken_at_idx"


def upgrade() -> None:
    """Apply."""
    for column in (
        sa.Column("held_bytes", sa.BigInteger(), nullable=True),
        sa.Column("held_lines", sa.Integer(), nullable=True),
        sa.Column("is_small", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("taken_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("attempt_id", sa.Uuid(), nullable=True),
        sa.Column("attempt_place", sa.Integer(), nullable=True),
        sa.Column("killed_place", sa.Integer(), nullable=True),
        sa.Column("killed_there", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("kills", sa.Integer(), server_default=sa.text("0"), nullable=False),
    ):
        op.add_column("bulk_uploads", column)
    op.create_index(INDEX, "bulk_uploads", ["partner_id", "is_small", "taken_at"])
    op.add_column("bulk_upload_parts", sa.Column("size", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Revert. Earlier versions cannot read compressed parts, so finish all uploads first."""
    op.drop_column("bulk_upload_parts", "size")
    op.drop_index(INDEX, table_name="bulk_uploads")
    for column in (
        "kills", "killed_there", "killed_place", "attempt_place", "attempt_id", "taken_at", "is_small", "held_lines",
        "held_bytes",
    ):  # fmt: skip
        op.drop_column("bulk_uploads", column)
