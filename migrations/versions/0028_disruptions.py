"""Disruption reports and incidents.

Revision ID: 0028
Revises: 0025
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import TENANT, protect

revision = "0028"
down_revision = "0025"
branch_labels = None
depends_on = None

INSTANT = postgresql.TIMESTAMP(timezone=True)
CHOICES = {
    "symptom": ("no_connection", "slow", "intermittent", "protocol_blocked"),
    "protocol": ("ipsec", "openvpn", "wireguard", "l2tp", "sstp", "other"),
    "verdict": (
        "not_registered", "not_in_force", "newly_in_force", "operator_behind", "operator_diverged", "in_force",
    ),
    "status": ("answered", "open", "acknowledged", "closed"),
    "finding": ("fixed", "was_behind", "not_ours", "cannot_reproduce", "upstream"),
}  # fmt: skip


# An operator records what it does with another partner's report in that partner's log.
ANSWERED_BY_OPERATOR = """
name LIKE 'disruption.%' AND operator = tenant_operator() AND EXISTS (
    SELECT FROM disruption_reports
    WHERE disruption_reports.id = events.subject_id
        AND disruption_reports.partner_id = events.partner_id
        AND disruption_reports.operator = events.operator
)"""


def _instant(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, INSTANT, nullable=nullable)


def _now(name: str, clock: str = "register_now") -> sa.Column[object]:
    return sa.Column(name, INSTANT, server_default=sa.text(f"{clock}()"), nullable=False)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "incidents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("operators", postgresql.ARRAY(sa.Text()), nullable=False),
        _instant("began_at", nullable=False),
        _now("opened_at"),
        _instant("closed_at"),
        _instant("last_report_at", nullable=False),
        sa.Column("reports", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("incidents_pkey")),
        sa.UniqueConstraint("number", name=op.f("incidents_number_key")),
    )
    op.create_table(
        "disruption_reports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=True),
        sa.Column("by_receipt", sa.Boolean(), nullable=False),
        sa.Column("registration_id", sa.Uuid(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=True),
        sa.Column("address", postgresql.INET(), nullable=False),
        _instant("observed_from", nullable=False),
        _instant("observed_until"),
        sa.Column("symptom", sa.Text(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        _instant("since"),
        sa.Column("status", sa.Text(), nullable=False),
        _now("reported_at"),
        _instant("due_at"),
        _instant("overdue_at"),
        _instant("acknowledged_at"),
        sa.Column("finding", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        _instant("ended_at"),
        sa.Column("incident_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        _now("created_at", "now"),
        _now("updated_at", "now"),
        *(_one_of(name, values) for name, values in CHOICES.items()),
        *(
            sa.ForeignKeyConstraint([name], [f"{table}.id"], name=op.f(f"disruption_reports_{name}_fkey"))
            for name, table in (
                ("partner_id", "partners"), ("registration_id", "registrations"), ("incident_id", "incidents"),
            )
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("disruption_reports_pkey")),
    )  # fmt: skip
    for columns in (["partner_id", "id"], ["operator", "id"], ["registration_id"], ["incident_id"], ["ended_at"]):
        op.create_index(op.f(f"disruption_reports_{'_'.join(columns)}_idx"), "disruption_reports", columns)
    op.create_index(
        "disruption_reports_pending_idx",
        "disruption_reports",
        ["due_at"],
        postgresql_where=sa.text("status IN ('open', 'acknowledged')"),
    )
    protect("incidents", tenant="true", tenant_may="SELECT")
    protect(
        "disruption_reports",
        tenant="partner_id = tenant_partner() OR (operator = tenant_operator() AND status <> 'answered')",
        tenant_may="SELECT, INSERT, UPDATE",
    )
    op.execute(f"CREATE POLICY events_of_reports ON events FOR INSERT TO {TENANT} WITH CHECK ({ANSWERED_BY_OPERATOR})")


def _one_of(name: str, values: tuple[str, ...]) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{name} IN ({listed})", name=op.f(f"disruption_reports_{name}_check"))


def downgrade() -> None:
    """Revert."""
    op.execute("DROP POLICY events_of_reports ON events")
    op.drop_table("disruption_reports")
    op.drop_table("incidents")
