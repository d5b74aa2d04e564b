"""Indexes of events by type, by partner and by operator, each in the order of the log.

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

PLACE = ("transaction_id", "sequence")
INDEXES = {
    "events_name_transaction_id_sequence_idx": ("name", None),
    "events_partner_id_transaction_id_sequence_idx": ("partner_id", None),
    "events_operator_transaction_id_sequence_idx": ("operator", "operator IS NOT NULL"),
}


def upgrade() -> None:
    """Apply."""
    for name, (column, condition) in INDEXES.items():
        where = sa.text(condition) if condition else None
        op.create_index(name, "events", [column, *PLACE], postgresql_where=where)


def downgrade() -> None:
    """Revert."""
    for name in INDEXES:
        op.drop_index(name, "events")
