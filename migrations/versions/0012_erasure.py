"""Erasure: erasable details of events, and the times of retention checks.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import SERVICE

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INSTANT = postgresql.TIMESTAMP(timezone=True)
# The only change of an event for roles other than the owner: its reference is removed, and it is marked as erased.
ONLY_ERASE = """
CREATE FUNCTION events_only_erase() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NOT pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE') AND (
    NOT OLD.details ? 'reference'
    OR NEW.details IS DISTINCT FROM (OLD.details - 'reference') || '{"erased": ["reference"]}'::jsonb
  ) THEN RAISE EXCEPTION 'permission denied: of an event only its reference can be erased'
    USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END $$
"""


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "applicants",
        sa.Column("retention_check_at", INSTANT, server_default=sa.text("now() + interval '1 day'"), nullable=True),
    )
    op.create_index(
        "applicants_retention_check_at_idx",
        "applicants",
        ["retention_check_at"],
        postgresql_where=sa.text("retention_check_at IS NOT NULL"),
    )
    op.add_column("bulk_uploads", sa.Column("erased_at", INSTANT, nullable=True))
    op.create_index(
        "bulk_uploads_dry_run_completed_at_idx",
        "bulk_uploads",
        ["dry_run", "completed_at"],
        postgresql_where=sa.text("erased_at IS NULL"),
    )
    op.drop_index("bulk_upload_rows_bulk_upload_id_reference_idx", table_name="bulk_upload_rows")
    op.create_index(
        "bulk_upload_rows_reference_bulk_upload_id_idx", "bulk_upload_rows", ["reference", "bulk_upload_id"]
    )
    op.create_index("idempotency_keys_location_idx", "idempotency_keys", [sa.text("(headers ->> 'location')")])
    for column in ("erasable_salt", "erasable_commitment"):
        op.add_column("audit_leaves", sa.Column(column, sa.LargeBinary(), nullable=True))
    # any other change is found, because the event no longer matches the hash of its leaf
    op.execute(f"GRANT UPDATE (salt, erasable_salt) ON audit_leaves TO {SERVICE}")
    op.execute(f"GRANT UPDATE (details) ON events TO {SERVICE}")
    op.execute(ONLY_ERASE)
    op.execute(
        "CREATE TRIGGER events_only_erase BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION events_only_erase()"
    )


def downgrade() -> None:
    """Revert."""
    op.execute("DROP TRIGGER events_only_erase ON events")
    op.execute("DROP FUNCTION events_only_erase()")
    op.execute(f"REVOKE UPDATE (details) ON events FROM {SERVICE}")
    op.execute(f"REVOKE UPDATE (salt, erasable_salt) ON audit_leaves FROM {SERVICE}")
    for column in ("erasable_commitment", "erasable_salt"):
        op.drop_column("audit_leaves", column)
    op.drop_index("idempotency_keys_location_idx", "idempotency_keys")
    op.drop_index("bulk_upload_rows_reference_bulk_upload_id_idx", "bulk_upload_rows")
    op.create_index(
        "bulk_upload_rows_bulk_upload_id_reference_idx", "bulk_upload_rows", ["bulk_upload_id", "reference"]
    )
    op.drop_index("bulk_uploads_dry_run_completed_at_idx", "bulk_uploads")
    op.drop_column("bulk_uploads", "erased_at")
    op.drop_index("applicants_retention_check_at_idx", "applicants")
    op.drop_column("applicants", "retention_check_at")
