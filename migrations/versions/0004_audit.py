"""The Merkle tree over the event log, and its checkpoints.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import protect

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEPT = "SELECT, INSERT"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "audit_leaves",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="audit_leaves_pkey"),
        sa.UniqueConstraint("event_id", name="audit_leaves_event_id_key"),
    )
    op.create_table(
        "audit_nodes",
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "position", name="audit_nodes_pkey"),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("signed_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("signed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("size", name="audit_checkpoints_pkey"),
    )
    # a leaf's salt opens the commitments of its event, so only readers of the event may see it
    shown = "EXISTS (SELECT 1 FROM events WHERE events.id = audit_leaves.event_id)"
    protect("audit_leaves", tenant=shown, tenant_may="SELECT", service_may=KEPT)
    protect("audit_nodes", tenant="true", tenant_may="SELECT", service_may=KEPT)
    # the newest checkpoint is signed again after a change of the signing key
    protect("audit_checkpoints", tenant="true", tenant_may="SELECT", service_may=f"{KEPT}, UPDATE")


def downgrade() -> None:
    """Revert."""
    op.drop_table("audit_checkpoints")
    op.drop_table("audit_nodes")
    op.drop_table("audit_leaves")
