"""Fingerprints of applicants, to detect changes; the order of an upload's cases.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("applicants", sa.Column("fingerprint", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.drop_index("registrations_bulk_upload_id_idx", table_name="registrations")
    op.create_index("registrations_bulk_upload_id_id_idx", "registrations", ["bulk_upload_id", "id"])
    op.drop_index("allowlist_entries_network_idx", table_name="allowlist_entries")
    op.create_index(
        "allowlist_entries_gone_idx",
        "allowlist_entries",
        ["network"],
        postgresql_using="spgist",
        postgresql_where=sa.text("removed_serial IS NOT NULL"),
    )
    for column in ("removed_serial", "held_id"):
        name = f"allowlist_entries_{column}_idx"
        op.drop_index(name, table_name="allowlist_entries")
        op.create_index(name, "allowlist_entries", [column], postgresql_where=sa.text(f"{column} IS NOT NULL"))


def downgrade() -> None:
    """Revert."""
    for column in ("removed_serial", "held_id"):
        name = f"allowlist_entries_{column}_idx"
        op.drop_index(name, table_name="allowlist_entries")
        op.create_index(name, "allowlist_entries", [column])
    op.drop_index("allowlist_entries_gone_idx", table_name="allowlist_entries")
    op.create_index("allowlist_entries_network_idx", "allowlist_entries", ["network"], postgresql_using="spgist")
    op.drop_index("registrations_bulk_upload_id_id_idx", table_name="registrations")
    op.create_index("registrations_bulk_upload_id_idx", "registrations", ["bulk_upload_id"])
    op.drop_column("applicants", "fingerprint")
