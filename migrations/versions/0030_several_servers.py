"""The oldest code that can run on this schema, and what is known of each session of the feed after a failover.

Processes know by ``register_oldest_code()`` of migrations newer than their own whether they can run on them. A
migration that drops or tightens what older code needs replaces it, with the oldest migration whose code still runs. One
that only adds leaves it as it is.

Revision ID: 0030
Revises: 0029
"""

import sqlalchemy as sa
from alembic import op

from migrations.policies import protect, unprotect

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

OLDEST_CODE = (
    "CREATE FUNCTION register_oldest_code() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT '0030' $$"
)


def upgrade() -> None:
    """Apply."""
    op.execute(OLDEST_CODE)
    op.create_table(
        "allowlist_sessions",
        sa.Column("session", sa.Uuid(), nullable=False),
        sa.Column("timeline", sa.Text(), nullable=True),
        sa.Column("served_serial", sa.Integer(), nullable=True),
        sa.Column("served_digest", sa.Text(), nullable=True),
        sa.Column("reported_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("session", name="allowlist_sessions_pkey"),
    )
    protect("allowlist_sessions", tenant=None, service_may="SELECT, INSERT, UPDATE")
    op.execute("GRANT UPDATE (session) ON allowlist_feed TO register_service")


def downgrade() -> None:
    """Revert."""
    op.execute("REVOKE UPDATE (session) ON allowlist_feed FROM register_service")
    unprotect("allowlist_sessions")
    op.drop_table("allowlist_sessions")
    op.execute("DROP FUNCTION register_oldest_code()")
