"""Places of certificates in the status list, and until when a retired key stays published for them.

Revision ID: 0027
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import SERVICE, protect

revision = "0027"
down_revision = "0022"
branch_labels = None
depends_on = None

INSTANT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "certificates",
        sa.Column("idx", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("registration_id", sa.Uuid(), nullable=False),
        sa.Column("issued_at", INSTANT, server_default=sa.text("register_now()"), nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("replaced_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["registration_id"], ["registrations.id"], name="certificates_registration_id_fkey"),
        sa.PrimaryKeyConstraint("idx", name="certificates_pkey"),
    )
    op.create_index(
        "certificates_current_key",
        "certificates",
        ["registration_id"],
        unique=True,
        postgresql_where=sa.text("replaced_at IS NULL"),
    )
    # partners get certificates from the service, which has checked that they may read the case
    protect("certificates", tenant=None, service_may="SELECT, INSERT, UPDATE")
    op.execute("CREATE SEQUENCE certificate_draws AS bigint")
    op.execute(f"GRANT USAGE ON SEQUENCE certificate_draws TO {SERVICE}")
    op.add_column("signing_keys", sa.Column("published_until", INSTANT, nullable=True))


def downgrade() -> None:
    """Revert."""
    op.drop_column("signing_keys", "published_until")
    op.execute("DROP SEQUENCE certificate_draws")
    op.drop_table("certificates")
