"""Receipts: the number of each case, and of its receipt.

Revision ID: 0026
Revises: 0023
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. The table is rewritten once to number the cases that it has, which takes seconds for a million."""
    number = sa.Identity(always=True, maxvalue=2**30 - 1)
    op.add_column("registrations", sa.Column("case_number", sa.Integer(), number, nullable=False))
    op.create_unique_constraint(op.f("registrations_case_number_key"), "registrations", ["case_number"])
    op.add_column(
        "registrations", sa.Column("receipt_number", sa.Integer(), server_default=sa.text("1"), nullable=False)
    )


def downgrade() -> None:
    """Revert. Receipts that were given out end for ever."""
    op.drop_column("registrations", "receipt_number")
    op.drop_constraint(op.f("registrations_case_number_key"), "registrations")
    op.drop_column("registrations", "case_number")
