"""Mail to applicants: verified contacts, mails to be sent, and the place in the log.

Revision ID: 0029
Revises: 0028
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import protect

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

INSTANT = postgresql.TIMESTAMP(timezone=True)
KINDS = (
    "code", "expiring", "lapsed", "expired", "extended", "notice_given", "notice_cancelled", "suspended", "revoked",
)  # fmt: skip


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "mail_contacts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("applicant_id", sa.Uuid(), nullable=False),
        sa.Column("address_hash", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.Text(), nullable=True),
        sa.Column("code_sent_at", INSTANT, nullable=True),
        sa.Column("code_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("verified_at", INSTANT, nullable=True),
        sa.Column("stopped_at", INSTANT, nullable=True),
        sa.Column("stop_token", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.ForeignKeyConstraint(["applicant_id"], ["applicants.id"], name="mail_contacts_applicant_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="mail_contacts_pkey"),
        sa.UniqueConstraint("applicant_id", "address_hash", name="mail_contacts_applicant_id_address_hash_key"),
        sa.UniqueConstraint("stop_token", name="mail_contacts_stop_token_key"),
    )
    op.create_index("mail_contacts_address_hash_idx", "mail_contacts", ["address_hash"])
    listed = ", ".join(f"'{kind}'" for kind in KINDS)
    op.create_table(
        "mails",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("date", INSTANT, nullable=True),
        sa.Column("sealed_code", sa.LargeBinary(), nullable=True),
        sa.Column("status", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", INSTANT, server_default=sa.text("now()"), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", INSTANT, nullable=True),
        sa.CheckConstraint(f"kind IN ({listed})", name=op.f("mails_kind_check")),
        sa.CheckConstraint("status IN ('pending', 'sent', 'failed')", name=op.f("mails_status_check")),
        sa.ForeignKeyConstraint(["contact_id"], ["mail_contacts.id"], name="mails_contact_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="mails_pkey"),
        sa.UniqueConstraint("contact_id", "event_id", name="mails_contact_id_event_id_key"),
    )
    op.create_index("mails_due_idx", "mails", ["next_attempt_at"], postgresql_where=sa.text("status = 'pending'"))
    op.create_index("mails_settled_at_idx", "mails", ["settled_at"])
    op.create_table(
        "mail_log_position",
        sa.Column("id", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("after", sa.Uuid(), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("mail_log_position_one_check")),
        sa.PrimaryKeyConstraint("id", name="mail_log_position_pkey"),
    )
    op.execute("INSERT INTO mail_log_position DEFAULT VALUES")
    for table in ("mail_contacts", "mails", "mail_log_position"):
        protect(table, tenant=None)


def downgrade() -> None:
    """Revert. Verified addresses are lost."""
    for table in ("mail_log_position", "mails", "mail_contacts"):
        op.drop_table(table)
