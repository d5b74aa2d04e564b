"""The person of a client, client changes that await a second person, authors of cases, and the end of claims.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import protect

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

INSTANT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Apply."""
    op.add_column("clients", sa.Column("person", sa.Text(), nullable=True))
    op.add_column(
        "registrations",
        sa.Column("content_by", postgresql.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column("registrations", sa.Column("claim_ends_at", INSTANT, nullable=True))
    op.create_table(
        "client_changes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("client_version", sa.Integer(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=True),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column("asked_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("settled_by", sa.Uuid(), nullable=True),
        sa.Column("settled_at", INSTANT, nullable=True),
        sa.CheckConstraint("action IN ('create', 'rotate', 'keys', 'change')", name="client_changes_action_check"),
        sa.CheckConstraint("outcome IN ('confirmed', 'withdrawn')", name="client_changes_outcome_check"),
        sa.ForeignKeyConstraint(["partner_id"], ["partners.id"], name="client_changes_partner_id_fkey"),
        sa.ForeignKeyConstraint(["asked_by"], ["clients.id"], name="client_changes_asked_by_fkey"),
        sa.ForeignKeyConstraint(["settled_by"], ["clients.id"], name="client_changes_settled_by_fkey"),
        sa.PrimaryKeyConstraint("id", name="client_changes_pkey"),
    )
    op.create_index("client_changes_partner_id_id_idx", "client_changes", ["partner_id", "id"])
    protect("client_changes", tenant=None, service_may="SELECT, INSERT, UPDATE")


def downgrade() -> None:
    """Revert."""
    op.drop_table("client_changes")
    op.drop_column("registrations", "claim_ends_at")
    op.drop_column("registrations", "content_by")
    op.drop_column("clients", "person")
