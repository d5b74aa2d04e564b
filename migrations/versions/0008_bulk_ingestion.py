"""Fingerprints of applicants, to tell a record that says something else without reading it whole.

Revision ID: 0008
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("applicants", sa.Column("fingerprint", sa.Text(), server_default=sa.text("''"), nullable=False))


def downgrade() -> None:
    """Take back."""
    op.drop_column("applicants", "fingerprint")
