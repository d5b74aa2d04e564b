"""Upload formats other than CSV.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("bulk_uploads", sa.Column("format", sa.Text(), server_default=sa.text("'csv'"), nullable=False))
    op.alter_column("bulk_uploads", "format", server_default=None)
    op.create_check_constraint("bulk_uploads_format_check", "bulk_uploads", "format IN ('csv', 'ndjson', 'xlsx')")


def downgrade() -> None:
    """Revert."""
    op.drop_column("bulk_uploads", "format")
