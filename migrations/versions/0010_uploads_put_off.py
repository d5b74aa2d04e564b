"""The number of internal errors of an upload, and the time of the next attempt.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("bulk_uploads", sa.Column("faults", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("bulk_uploads", sa.Column("retry_at", postgresql.TIMESTAMP(timezone=True), nullable=True))


def downgrade() -> None:
    """Revert."""
    op.drop_column("bulk_uploads", "retry_at")
    op.drop_column("bulk_uploads", "faults")
