"""The time at which a partner was disabled.

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("partners", sa.Column("disabled_at", postgresql.TIMESTAMP(timezone=True), nullable=True))


def downgrade() -> None:
    """Revert. Partners that are disabled are enabled by it."""
    op.drop_column("partners", "disabled_at")
