"""Enforcers: what operators' firewalls have loaded, and their states over time.

Revision ID: 0025
Revises: 0026
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import protect

revision = "0025"
down_revision = "0026"
branch_labels = None
depends_on = None

INSTANT = postgresql.TIMESTAMP(timezone=True)
STATES = "state IN ('in_step', 'behind', 'diverged', 'silent')"
OWN = "partner_id = tenant_partner()"


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, INSTANT, server_default=sa.text("register_now()"), nullable=False)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "enforcers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("grade", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("session", sa.Uuid(), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("applied_at", INSTANT, nullable=True),
        _now("first_seen_at"),
        _now("seen_at"),
        sa.Column("state", sa.Text(), server_default=sa.text("'in_step'"), nullable=False),
        _now("state_since"),
        sa.CheckConstraint("grade IN ('applied', 'fetched')", name=op.f("enforcers_grade_check")),
        sa.CheckConstraint(STATES, name=op.f("enforcers_state_check")),
        sa.ForeignKeyConstraint(["partner_id"], ["partners.id"], name=op.f("enforcers_partner_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("enforcers_pkey")),
    )
    for name, columns, grade in (
        ("enforcers_applied_key", ["partner_id", "name"], "applied"),
        ("enforcers_fetched_key", ["client_id"], "fetched"),
    ):
        op.create_index(name, "enforcers", columns, unique=True, postgresql_where=sa.text(f"grade = '{grade}'"))
    for columns in (["partner_id", "id"], ["operator"], ["seen_at"]):
        op.create_index(op.f(f"enforcers_{'_'.join(columns)}_idx"), "enforcers", columns)
    op.create_table(
        "enforcer_states",
        sa.Column("enforcer_id", sa.Uuid(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.CheckConstraint(STATES, name=op.f("enforcer_states_state_check")),
        sa.ForeignKeyConstraint(
            ["enforcer_id"], ["enforcers.id"], name=op.f("enforcer_states_enforcer_id_fkey"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["partner_id"], ["partners.id"], name=op.f("enforcer_states_partner_id_fkey")),
        sa.PrimaryKeyConstraint("enforcer_id", "since", name=op.f("enforcer_states_pkey")),
    )
    op.create_index(op.f("enforcer_states_partner_id_idx"), "enforcer_states", ["partner_id"])
    protect("enforcers", tenant=OWN, tenant_may="SELECT, INSERT, UPDATE")
    protect("enforcer_states", tenant=OWN, tenant_may="SELECT, INSERT")


def downgrade() -> None:
    """Revert."""
    op.drop_table("enforcer_states")
    op.drop_table("enforcers")
