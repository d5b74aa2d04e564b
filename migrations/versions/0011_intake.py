"""The role of intake: it reads the networks and grants of all partners and writes the rows of one.

Revision ID: 0011
Revises: 0010
"""

from typing import Any

from alembic import op

from migrations.policies import INTAKE, close_to_intake, open_to_intake

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Roles are shared by all databases of a cluster; another one may have created it, even at this moment.
MAKE_ROLE = f"""
DO $$ BEGIN
  IF to_regrole('{INTAKE}') IS NULL THEN
    CREATE ROLE {INTAKE} NOLOGIN;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""
OWN = "partner_id = tenant_partner()"
OF_OWN_CASE = "EXISTS (SELECT FROM registrations WHERE registrations.id = registration_id)"
OF_OWN_UPLOAD = "EXISTS (SELECT FROM bulk_uploads WHERE bulk_uploads.id = bulk_upload_id)"
OF_OWN_CLIENT = "EXISTS (SELECT FROM clients WHERE clients.id = idempotency_keys.client_id)"
TABLES: dict[str, dict[str, Any]] = {
    "operators": {"may": "SELECT", "everybodys": True},
    "operator_prefixes": {"may": "SELECT", "everybodys": True},
    "country_prefixes": {"may": "SELECT", "everybodys": True},
    "clients": {"may": "SELECT (id, partner_id)", "own": OWN},
    "idempotency_keys": {"may": "SELECT, INSERT", "own": OF_OWN_CLIENT},
    "applicants": {"may": "SELECT, INSERT, UPDATE", "own": OWN},
    # IS TRUE prevents that the planner uses an index by partner for the policy: cases are looked up by their ids
    "registrations": {"may": "SELECT, INSERT, UPDATE", "own": f"({OWN}) IS TRUE"},
    # a condition would prevent the index by address; the policy of ``registrations`` hides whose a network is
    "registration_networks": {"may": "SELECT, INSERT, DELETE", "own": OF_OWN_CASE, "everybodys": True},
    "allowlist_entries": {"may": "SELECT (network, registration_id, removed_serial)", "everybodys": True},
    "bulk_uploads": {"may": "SELECT, UPDATE", "own": OWN},
    "bulk_upload_parts": {"may": "SELECT, INSERT, DELETE", "own": OF_OWN_UPLOAD},
    "bulk_upload_rows": {"may": "SELECT, INSERT, DELETE", "own": OF_OWN_UPLOAD},
    "events": {"may": "INSERT", "own": OWN},
}


def upgrade() -> None:
    """Apply."""
    op.execute(MAKE_ROLE)
    op.execute(f"GRANT {INTAKE} TO CURRENT_USER")
    op.execute(f"GRANT USAGE ON SCHEMA public TO {INTAKE}")
    for table, access in TABLES.items():
        open_to_intake(table, **access)


def downgrade() -> None:
    """Revert."""
    for table in TABLES:
        close_to_intake(table)
    op.execute(f"REVOKE USAGE ON SCHEMA public FROM {INTAKE}")
