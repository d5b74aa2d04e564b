"""An index of publications by time: which was the newest at a time is asked without reading all that came after.

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
    """Undo."""
    op.drop_index("publications_published_at_idx", "publications")
