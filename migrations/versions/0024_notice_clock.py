"""The notice clock: the end of a case after its grace period, reminders, and decisions that are announced.

Approvals that are in force or suspended get the default grace period after ``expires_at``, since nobody was reminded of
their expiry. Cases that have ended keep the end that they had.

Revision ID: 0024
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import SERVICE

revision = "0024"
down_revision = "0022"
branch_labels = None
depends_on = None

INSTANT = postgresql.TIMESTAMP(timezone=True)
OF_CASES: dict[str, sa.types.TypeEngine[object]] = {
    "ends_at": INSTANT,
    "reminded_days": sa.SmallInteger(),
    "notice_decision_id": sa.Uuid(),
    "notice_action": sa.Text(),
    "notice_effective_at": INSTANT,
}
OF_DECISIONS: dict[str, sa.types.TypeEngine[object]] = {
    "grace_days": sa.SmallInteger(),
    "effective_at": INSTANT,
    "in_effect_at": INSTANT,
    "cancelled_at": INSTANT,
    "cancelled_by": sa.Uuid(),
    "voided_at": INSTANT,
}
CHANGED = "in_effect_at, cancelled_at, cancelled_by, voided_at"
INDEXES = {
    "registrations_reminder_idx": (["reminded_days", "expires_at"], "status = 'approved'"),
    "registrations_end_idx": (["ends_at"], "status = 'lapsed'"),
    "registrations_notice_idx": (["notice_effective_at"], "notice_decision_id IS NOT NULL"),
}
GRACE = "CASE WHEN status IN ('approved', 'lapsed', 'suspended') THEN interval '14 days' ELSE interval '0' END"
FORMER_ACTION_CHECK = "review_decisions_review_decisions_action_check_check"  # as migration 0001 named it
BEFORE = ("approve", "reject", "request_information", "suspend", "reinstate", "revoke")
AFTER = (*BEFORE, "extend")


def _allow(actions: tuple[str, ...], former: str, name: str) -> None:
    op.drop_constraint(op.f(former), "review_decisions")
    listed = ", ".join(f"'{action}'" for action in actions)
    op.create_check_constraint(op.f(name), "review_decisions", f"action IN ({listed})")


def upgrade() -> None:
    """Apply."""
    for name, kind in OF_CASES.items():
        op.add_column("registrations", sa.Column(name, kind, nullable=True))
    for name, kind in OF_DECISIONS.items():
        op.add_column("review_decisions", sa.Column(name, kind, nullable=True))
    op.add_column(
        "review_decisions", sa.Column("in_mass", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.execute(f"GRANT UPDATE ({CHANGED}) ON review_decisions TO {SERVICE}")
    op.execute(f"SET LOCAL ROLE {SERVICE}")  # under forced row-level security the owner sees no rows
    op.execute(f"UPDATE registrations SET ends_at = expires_at + {GRACE} WHERE expires_at IS NOT NULL")  # noqa: S608 - our own text
    op.execute("UPDATE review_decisions SET in_effect_at = decided_at")
    op.execute("SET LOCAL ROLE NONE")
    for name, (columns, condition) in INDEXES.items():
        op.create_index(name, "registrations", columns, postgresql_where=sa.text(condition))
    _allow(AFTER, FORMER_ACTION_CHECK, "review_decisions_action_check")


def downgrade() -> None:
    """Revert. Fails while there is a decision ``extend``."""
    _allow(BEFORE, "review_decisions_action_check", FORMER_ACTION_CHECK)
    op.execute(f"REVOKE UPDATE ({CHANGED}) ON review_decisions FROM {SERVICE}")
    for name in INDEXES:
        op.drop_index(name, "registrations")
    op.drop_column("review_decisions", "in_mass")
    for name in OF_DECISIONS:
        op.drop_column("review_decisions", name)
    for name in OF_CASES:
        op.drop_column("registrations", name)
