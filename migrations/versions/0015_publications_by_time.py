"""An index of publications by time, to find the newest at a given time.

Revision ID: 0015
Revises: 0014
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index("publications_published_at_idx", "publications", ["published_at"])


def downgrade() -> None:
    """Revert."""
    op.drop_index("publications_published_at_idx", "publications")
