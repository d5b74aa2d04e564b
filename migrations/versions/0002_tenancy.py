"""Row-level security on all tables, and data keys that can be rotated.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import SERVICE, TENANT, protect, unprotect

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Roles are shared by all databases of a cluster; another one may have created them.
MAKE_ROLE = """
DO $$ BEGIN
  CREATE ROLE {role} NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""
OWN = "partner_id = tenant_partner()"
OF_OWN_CASE = "EXISTS (SELECT FROM registrations WHERE registrations.id = registration_id)"
OF_OWN_UPLOAD = "EXISTS (SELECT FROM bulk_uploads WHERE bulk_uploads.id = bulk_upload_id)"
OF_OWN_CLIENT = "EXISTS (SELECT FROM clients WHERE clients.id = idempotency_keys.client_id)"
NEVER_REWRITTEN = "SELECT, INSERT"
NEVER_DELETED = "SELECT, INSERT, UPDATE"
TABLES: dict[str, dict[str, str | None]] = {
    "data_keys": {"tenant": None, "service_may": NEVER_DELETED},
    "signing_keys": {"tenant": None, "service_may": NEVER_DELETED},
    "workers": {"tenant": None},
    "operators": {"tenant": "true", "tenant_may": "SELECT"},
    "operator_prefixes": {"tenant": "true", "tenant_may": "SELECT"},
    "country_prefixes": {"tenant": "true", "tenant_may": "SELECT"},
    "partners": {"tenant": "id = tenant_partner()", "tenant_may": "SELECT", "service_may": NEVER_DELETED},
    "clients": {"tenant": OWN, "tenant_may": "SELECT", "service_may": NEVER_DELETED},
    "idempotency_keys": {"tenant": OF_OWN_CLIENT, "tenant_may": NEVER_REWRITTEN},
    "applicants": {"tenant": OWN, "tenant_may": NEVER_DELETED, "service_may": NEVER_DELETED},
    "registrations": {
        "tenant": f"{OWN} OR operator = tenant_operator()",
        "tenant_writes": OWN,
        "tenant_may": NEVER_DELETED,
        "service_may": NEVER_DELETED,
    },
    "registration_networks": {"tenant": OF_OWN_CASE},
    "review_decisions": {"tenant": OF_OWN_CASE, "tenant_may": "SELECT", "service_may": NEVER_REWRITTEN},
    "bulk_uploads": {"tenant": OWN, "tenant_may": NEVER_REWRITTEN, "service_may": NEVER_DELETED},
    "bulk_upload_parts": {"tenant": OF_OWN_UPLOAD, "tenant_may": NEVER_REWRITTEN},
    "bulk_upload_rows": {"tenant": OF_OWN_UPLOAD, "tenant_may": "SELECT"},
    "events": {
        "tenant": f"{OWN} OR operator = tenant_operator() OR (partner_id IS NULL AND operator IS NULL)",
        "tenant_writes": OWN,
        "tenant_may": NEVER_REWRITTEN,
        "service_may": NEVER_REWRITTEN,
    },
    "allowlist_feed": {"tenant": "true", "tenant_may": "SELECT", "service_may": "SELECT"},
    "publications": {"tenant": "true", "tenant_may": "SELECT", "service_may": NEVER_REWRITTEN},
    "held_changes": {"tenant": None, "service_may": NEVER_DELETED},
    # every partner reads the list, but not the holder of a network
    "allowlist_entries": {
        "tenant": "true",
        "tenant_may": "SELECT (id, network, added_serial, removed_serial, withdrawn_reason)",
        "service_may": NEVER_DELETED,
    },
}
SEALED_TEXTS = {"applicants": "sealed_cnic", "bulk_upload_rows": "sealed_cells", "signing_keys": "sealed_jwk"}
SEALED_BYTES = {"bulk_upload_parts": "sealed", "idempotency_keys": "sealed_body"}
FIRST_KEY = r"'\x00000000'::bytea"


def upgrade() -> None:
    """Apply."""
    for role in (SERVICE, TENANT):
        op.execute(MAKE_ROLE.format(role=role))
        op.execute(f"GRANT {role} TO CURRENT_USER")
        op.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
    for function, kind in (("partner", "uuid"), ("operator", "text")):
        op.execute(
            f"CREATE FUNCTION tenant_{function}() RETURNS {kind} LANGUAGE sql STABLE "
            f"AS $$ SELECT nullif(current_setting('register.{function}', true), '')::{kind} $$"
        )
    op.create_table(
        "data_keys",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("retired_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="data_keys_pkey"),
    )
    for table, column in SEALED_TEXTS.items():
        op.execute(
            f"ALTER TABLE {table} ALTER COLUMN {column} TYPE bytea USING {FIRST_KEY} || decode({column}, 'base64')"
        )
    for table, column in SEALED_BYTES.items():
        op.execute(f"UPDATE {table} SET {column} = {FIRST_KEY} || {column}")  # noqa: S608 - our own names
    # `migrate`, which has the keys, seals the values right after this migration
    for column in ("email", "mobile"):
        op.execute(f"ALTER TABLE applicants ALTER COLUMN {column} DROP NOT NULL")
        op.execute(f"ALTER TABLE applicants ALTER COLUMN {column} TYPE bytea USING convert_to({column}, 'UTF8')")
        op.alter_column("applicants", column, new_column_name=f"sealed_{column}")
    op.add_column("applicants", sa.Column("email_hash", sa.Text(), nullable=True))
    op.add_column("applicants", sa.Column("erased_at", postgresql.TIMESTAMP(timezone=True), nullable=True))
    op.create_index("applicants_partner_id_email_hash_idx", "applicants", ["partner_id", "email_hash"])
    op.execute(f"GRANT SELECT ON alembic_version TO {SERVICE}")
    for table, access in TABLES.items():
        protect(table, **access)  # type: ignore[arg-type]  # the keys are its parameters


def downgrade() -> None:
    """Revert."""
    for table in TABLES:
        unprotect(table)
    op.execute(f"REVOKE ALL ON alembic_version FROM {SERVICE}")
    op.drop_index("applicants_partner_id_email_hash_idx", "applicants")
    op.drop_column("applicants", "erased_at")
    op.drop_column("applicants", "email_hash")
    for column in ("email", "mobile"):
        op.alter_column("applicants", f"sealed_{column}", new_column_name=column)
        op.execute(f"ALTER TABLE applicants ALTER COLUMN {column} TYPE text USING encode({column}, 'base64')")
    op.execute("ALTER TABLE applicants ALTER COLUMN email SET NOT NULL")
    for table, column in SEALED_BYTES.items():
        op.execute(f"UPDATE {table} SET {column} = substring({column} FROM 5)")  # noqa: S608 - our own names
    for table, column in SEALED_TEXTS.items():
        op.execute(
            f"ALTER TABLE {table} ALTER COLUMN {column} TYPE text USING encode(substring({column} FROM 5), 'base64')"
        )
    op.drop_table("data_keys")
    op.execute("DROP FUNCTION tenant_partner(), tenant_operator()")
    for role in (SERVICE, TENANT):
        op.execute(f"REVOKE USAGE ON SCHEMA public FROM {role}")
