"""The time of a signing key's revocation.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("signing_keys", sa.Column("revoked_at", postgresql.TIMESTAMP(timezone=True), nullable=True))


def downgrade() -> None:
    """Revert."""
    op.drop_column("signing_keys", "revoked_at")
