"""The oldest code that can run on this schema, so that a process knows it of migrations newer than its own.

A migration that drops or tightens what older code needs replaces the function, with the oldest migration whose code
still runs. One that only adds leaves it as it is.

Revision ID: 0030
Revises: 0029
"""

from alembic import op

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


def downgrade() -> None:
    """Revert."""
    op.execute("DROP FUNCTION register_oldest_code()")
