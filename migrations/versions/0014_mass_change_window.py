"""Counts for the bounds on mass changes: exempt changes of publications, and the window of held changes.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    for name in ("exempt_added", "exempt_removed"):
        op.add_column("publications", sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False))
    for name in ("in_window", "bound"):
        op.add_column("held_changes", sa.Column(name, sa.Integer(), nullable=True))


def downgrade() -> None:
    """Revert."""
    for name in ("bound", "in_window"):
        op.drop_column("held_changes", name)
    for name in ("exempt_removed", "exempt_added"):
        op.drop_column("publications", name)
