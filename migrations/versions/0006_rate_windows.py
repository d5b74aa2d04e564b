"""Leases of each rate limit, by minute.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import protect

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "rate_windows",
        sa.Column("rate_class", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("window_start", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("granted", sa.Integer(), nullable=False),
        sa.Column("leased", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("rate_class", "subject", "window_start", name="rate_windows_pkey"),
        prefixes=["UNLOGGED"],
    )
    op.create_index("rate_windows_window_start_idx", "rate_windows", ["window_start"])
    protect("rate_windows", tenant=None)


def downgrade() -> None:
    """Revert."""
    op.drop_table("rate_windows")
