"""The register's clock, and the statuses of a case that is renewed, given back or in its grace period.

Revision ID: 0022
Revises: 0021
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

BEFORE = (
    "submitted", "in_review", "information_requested", "approved", "rejected", "suspended", "revoked", "expired",
    "withdrawn",
)  # fmt: skip
AFTER = (
    "submitted", "in_review", "information_requested", "approved", "lapsed", "rejected", "suspended", "revoked",
    "expired", "superseded", "surrendered", "withdrawn",
)  # fmt: skip
# PostgreSQL inlines it; tests replace it to move the clock.
CLOCK = "CREATE FUNCTION register_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT now()'"

STATUS_CHECK = "registrations_status_check"
FORMER_STATUS_CHECK = "registrations_registrations_status_check_check"  # as migration 0001 named it
CLOCKED = {"registrations": "submitted_at", "review_decisions": "decided_at", "allowlist_entries": "granted_at"}


def _allow(statuses: tuple[str, ...], former: str, name: str) -> None:
    op.drop_constraint(op.f(former), "registrations")
    listed = ", ".join(f"'{status}'" for status in statuses)
    op.create_check_constraint(op.f(name), "registrations", f"status IN ({listed})")


def _set_defaults(clock: str) -> None:
    for table, column in CLOCKED.items():
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {clock}()")


def upgrade() -> None:
    """Apply."""
    op.execute(CLOCK)
    _set_defaults("register_now")
    _allow(AFTER, FORMER_STATUS_CHECK, STATUS_CHECK)


def downgrade() -> None:
    """Revert. Fails while a case has one of the new statuses."""
    _allow(BEFORE, STATUS_CHECK, FORMER_STATUS_CHECK)
    _set_defaults("now")
    op.execute("DROP FUNCTION register_now()")
