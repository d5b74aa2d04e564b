"""Uploads: the number of unchanged rows not in force; rows: the case that a new case replaces.

Revision ID: 0031
Revises: 0030
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Earlier uploads count no row that is not in force: what was in force then is not known."""
    counter = sa.Column("unchanged_not_in_force", sa.Integer(), nullable=False, server_default=sa.text("0"))
    op.add_column("bulk_uploads", counter)
    op.add_column("bulk_upload_rows", sa.Column("replaces", sa.Uuid(), nullable=True))


def downgrade() -> None:
    """Revert."""
    op.drop_column("bulk_upload_rows", "replaces")
    op.drop_column("bulk_uploads", "unchanged_not_in_force")
