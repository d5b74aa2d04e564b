"""Public keys and a second secret of clients, used assertions, and subjects of external issuers.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import protect

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ADDED = {
    "token_endpoint_auth_method": sa.Text(),
    "jwks": postgresql.JSONB(),
    "jwks_uri": sa.Text(),
    "previous_secret_hash": sa.Text(),
    "previous_secret_expires_at": postgresql.TIMESTAMP(timezone=True),
    "external_issuer": sa.Text(),
    "external_subject": sa.Text(),
}


def upgrade() -> None:
    """Apply."""
    for name, kind in ADDED.items():
        op.add_column("clients", sa.Column(name, kind, nullable=True))
    op.alter_column("clients", "secret_hash", nullable=True)
    op.create_unique_constraint(
        op.f("clients_partner_id_external_issuer_external_subject_key"),
        "clients",
        ["partner_id", "external_issuer", "external_subject"],
    )
    op.create_check_constraint(
        op.f("clients_token_endpoint_auth_method_check"), "clients", "token_endpoint_auth_method IN ('private_key_jwt')"
    )
    op.create_check_constraint(op.f("clients_one_key_source_check"), "clients", "num_nonnulls(jwks, jwks_uri) <= 1")
    op.create_table(
        "used_assertions",
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("jti", sa.Text(), nullable=False),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.id"], name="used_assertions_client_id_fkey"),
        sa.PrimaryKeyConstraint("client_id", "jti", name="used_assertions_pkey"),
    )
    op.create_index("used_assertions_expires_at_idx", "used_assertions", ["expires_at"])
    protect("used_assertions", tenant=None)


def downgrade() -> None:
    """Revert. A client without a secret gets a hash that no secret matches."""
    op.drop_table("used_assertions")
    op.drop_constraint(op.f("clients_one_key_source_check"), "clients")
    op.drop_constraint(op.f("clients_token_endpoint_auth_method_check"), "clients")
    op.drop_constraint(op.f("clients_partner_id_external_issuer_external_subject_key"), "clients")
    op.execute("SET LOCAL ROLE register_service")  # under forced row-level security the owner sees no rows
    op.execute("UPDATE clients SET secret_hash = '' WHERE secret_hash IS NULL")
    op.execute("SET LOCAL ROLE NONE")
    op.alter_column("clients", "secret_hash", nullable=False)
    for name in ADDED:
        op.drop_column("clients", name)
