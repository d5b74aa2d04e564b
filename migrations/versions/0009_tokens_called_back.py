"""The time of the last revocation of a client's access tokens.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("clients", sa.Column("tokens_not_before", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.create_index("clients_tokens_not_before_idx", "clients", ["tokens_not_before"])


def downgrade() -> None:
    """Revert."""
    op.drop_index("clients_tokens_not_before_idx", "clients")
    op.drop_column("clients", "tokens_not_before")
