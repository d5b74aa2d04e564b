"""The initial schema: all tables, and the feed with its session.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.core.database.base import XID8

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "allowlist_feed",
        sa.Column("id", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("session", sa.Uuid(), nullable=False),
        sa.CheckConstraint("id = 1", name="allowlist_feed_one_check"),
        sa.PrimaryKeyConstraint("id", name="allowlist_feed_pkey"),
    )
    op.create_table(
        "country_prefixes",
        sa.Column("prefix", postgresql.CIDR(), nullable=False),
        sa.PrimaryKeyConstraint("prefix", name="country_prefixes_pkey"),
    )
    op.create_index(
        "country_prefixes_prefix_idx", "country_prefixes", ["prefix"], unique=False, postgresql_using="spgist"
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("transaction_id", XID8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("sequence", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("occurred_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("partner_id", sa.Uuid(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=True),
        sa.Column("actor_client_id", sa.Uuid(), nullable=True),
        sa.Column("actor_partner_id", sa.Uuid(), nullable=True),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="events_pkey"),
    )
    op.create_index(
        "events_subject_id_transaction_id_sequence_idx",
        "events",
        ["subject_id", "transaction_id", "sequence"],
        unique=False,
    )
    op.create_index("events_transaction_id_sequence_idx", "events", ["transaction_id", "sequence"], unique=False)
    op.create_table(
        "held_changes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("in_force", sa.Integer(), nullable=False),
        sa.Column("held_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("released_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("released_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint("kind IN ('removal', 'growth')", name="held_changes_kind_check"),
        sa.PrimaryKeyConstraint("id", name="held_changes_pkey"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("sealed_body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "key", name="idempotency_keys_pkey"),
    )
    op.create_index("idempotency_keys_created_at_idx", "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "operators",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("asn", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("code", name="operators_pkey"),
    )
    op.create_table(
        "partners",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('regulator', 'association', 'operator')", name="partners_kind_check"),
        sa.PrimaryKeyConstraint("id", name="partners_pkey"),
        sa.UniqueConstraint("name", name="partners_name_key"),
    )
    op.create_table(
        "publications",
        sa.Column("serial", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "published_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("removed", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("previous_digest", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("serial", name="publications_pkey"),
    )
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("sealed_jwk", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("retired_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("kid", name="signing_keys_pkey"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seen_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="workers_pkey"),
    )
    op.create_table(
        "allowlist_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("network", postgresql.CIDR(), nullable=False),
        sa.Column("registration_id", sa.Uuid(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("granted_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("added_serial", sa.Integer(), nullable=True),
        sa.Column("granted_by", sa.Uuid(), nullable=True),
        sa.Column("granted_in_mass", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("withdrawn_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("withdrawn_by", sa.Uuid(), nullable=True),
        sa.Column("withdrawn_in_mass", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("held_id", sa.Uuid(), nullable=True),
        sa.Column("withdrawn_reason", sa.Text(), nullable=True),
        sa.Column("removed_serial", sa.Integer(), nullable=True),
        postgresql.ExcludeConstraint(
            (sa.column("network"), "&&"),
            where=sa.text("removed_serial IS NULL"),
            using="spgist",
            name="allowlist_entries_no_overlap",
        ),
        sa.ForeignKeyConstraint(["held_id"], ["held_changes.id"], name="allowlist_entries_held_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="allowlist_entries_pkey"),
    )
    op.create_index("allowlist_entries_added_serial_idx", "allowlist_entries", ["added_serial"], unique=False)
    op.create_index("allowlist_entries_held_id_idx", "allowlist_entries", ["held_id"], unique=False)
    op.create_index(
        "allowlist_entries_in_order_idx",
        "allowlist_entries",
        ["network"],
        unique=False,
        postgresql_where=sa.text("removed_serial IS NULL"),
    )
    op.create_index(
        "allowlist_entries_network_idx", "allowlist_entries", ["network"], unique=False, postgresql_using="spgist"
    )
    op.create_index(
        "allowlist_entries_pending_idx",
        "allowlist_entries",
        ["id"],
        unique=False,
        postgresql_where=sa.text("added_serial IS NULL"),
    )
    op.create_index("allowlist_entries_registration_id_idx", "allowlist_entries", ["registration_id"], unique=False)
    op.create_index("allowlist_entries_removed_serial_idx", "allowlist_entries", ["removed_serial"], unique=False)
    op.create_index(
        "allowlist_entries_withdrawn_idx",
        "allowlist_entries",
        ["id"],
        unique=False,
        postgresql_where=sa.text("withdrawn_at IS NOT NULL AND removed_serial IS NULL"),
    )
    op.create_table(
        "applicants",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("legal_name", sa.Text(), nullable=False),
        sa.Column("ntn", sa.Text(), nullable=True),
        sa.Column("sealed_cnic", sa.Text(), nullable=True),
        sa.Column("cnic_hash", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("mobile", sa.Text(), nullable=True),
        sa.Column("pseb_number", sa.Text(), nullable=True),
        sa.Column("pasha_number", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('company', 'individual')", name="applicants_kind_check"),
        sa.ForeignKeyConstraint(["partner_id"], ["partners.id"], name="applicants_partner_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="applicants_pkey"),
        sa.UniqueConstraint("partner_id", "subject", name="applicants_partner_id_subject_key"),
    )
    op.create_index("applicants_partner_id_cnic_hash_idx", "applicants", ["partner_id", "cnic_hash"], unique=False)
    op.create_index("applicants_partner_id_ntn_idx", "applicants", ["partner_id", "ntn"], unique=False)
    op.create_index("applicants_subject_idx", "applicants", ["subject"], unique=False)
    op.create_table(
        "bulk_uploads",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'received'"), nullable=False),
        sa.Column("columns", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("bytes_done", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("rows_done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("created", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("unchanged", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("refused", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("problem", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("completed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('received', 'processing', 'completed', 'failed')", name="bulk_uploads_status_check"
        ),
        sa.ForeignKeyConstraint(["partner_id"], ["partners.id"], name="bulk_uploads_partner_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="bulk_uploads_pkey"),
    )
    op.create_index("bulk_uploads_partner_id_id_idx", "bulk_uploads", ["partner_id", "id"], unique=False)
    op.create_index(
        "bulk_uploads_waiting_idx",
        "bulk_uploads",
        ["id"],
        unique=False,
        postgresql_where=sa.text("status IN ('received', 'processing')"),
    )
    op.create_table(
        "clients",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("disabled_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["partner_id"], ["partners.id"], name="clients_partner_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="clients_pkey"),
        sa.UniqueConstraint("client_id", name="clients_client_id_key"),
        sa.UniqueConstraint("partner_id", "name", name="clients_partner_id_name_key"),
    )
    op.create_table(
        "operator_prefixes",
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("prefix", postgresql.CIDR(), nullable=False),
        sa.ForeignKeyConstraint(["operator"], ["operators.code"], name="operator_prefixes_operator_fkey"),
        sa.PrimaryKeyConstraint("operator", "prefix", name="operator_prefixes_pkey"),
    )
    op.create_index(
        "operator_prefixes_prefix_idx", "operator_prefixes", ["prefix"], unique=False, postgresql_using="spgist"
    )
    op.create_table(
        "bulk_upload_parts",
        sa.Column("bulk_upload_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["bulk_upload_id"], ["bulk_uploads.id"], name="bulk_upload_parts_bulk_upload_id_fkey"),
        sa.PrimaryKeyConstraint("bulk_upload_id", "position", name="bulk_upload_parts_pkey"),
    )
    op.create_table(
        "bulk_upload_rows",
        sa.Column("bulk_upload_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("registration_id", sa.Uuid(), nullable=True),
        sa.Column("problems", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("sealed_cells", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('created', 'unchanged', 'updated', 'refused')", name="bulk_upload_rows_outcome_check"
        ),
        sa.ForeignKeyConstraint(["bulk_upload_id"], ["bulk_uploads.id"], name="bulk_upload_rows_bulk_upload_id_fkey"),
        sa.PrimaryKeyConstraint("bulk_upload_id", "line", name="bulk_upload_rows_pkey"),
    )
    op.create_index(
        "bulk_upload_rows_bulk_upload_id_reference_idx",
        "bulk_upload_rows",
        ["bulk_upload_id", "reference"],
        unique=False,
    )
    op.create_index(
        "bulk_upload_rows_outcome_idx", "bulk_upload_rows", ["bulk_upload_id", "outcome", "line"], unique=False
    )
    op.create_table(
        "registrations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("partner_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("applicant_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("track", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("subscriber_id", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default=sa.text("'submitted'"), nullable=False),
        sa.Column("flags", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("reason_codes", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("legal_basis", sa.Text(), nullable=True),
        sa.Column("claimed_by", sa.Uuid(), nullable=True),
        sa.Column("bulk_upload_id", sa.Uuid(), nullable=True),
        sa.Column("submitted_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("due_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("decided_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "protocol IN ('ipsec', 'openvpn', 'wireguard', 'l2tp', 'sstp', 'other')",
            name="registrations_protocol_check",
        ),
        sa.CheckConstraint(
            "purpose IN ('it_services', 'freelancing', 'banking', 'education', 'e_commerce', 'call_centre', 'video_conferencing', 'government', 'diplomatic', 'other')",
            name="registrations_purpose_check",
        ),
        sa.CheckConstraint(
            "status IN ('submitted', 'in_review', 'information_requested', 'approved', 'rejected', 'suspended', 'revoked', 'expired', 'withdrawn')",
            name="registrations_status_check",
        ),
        sa.CheckConstraint(
            "track IN ('vpn_company', 'vpn_freelancer', 'call_centre', 'video_conference')",
            name="registrations_track_check",
        ),
        sa.ForeignKeyConstraint(["applicant_id"], ["applicants.id"], name="registrations_applicant_id_fkey"),
        sa.ForeignKeyConstraint(["partner_id"], ["partners.id"], name="registrations_partner_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="registrations_pkey"),
        sa.UniqueConstraint("partner_id", "reference", name="registrations_partner_id_reference_key"),
    )
    op.create_index("registrations_applicant_id_idx", "registrations", ["applicant_id"], unique=False)
    op.create_index("registrations_bulk_upload_id_idx", "registrations", ["bulk_upload_id"], unique=False)
    op.create_index(
        "registrations_expiry_idx",
        "registrations",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("status = 'approved'"),
    )
    op.create_index("registrations_partner_id_id_idx", "registrations", ["partner_id", "id"], unique=False)
    op.create_index("registrations_status_id_idx", "registrations", ["status", "id"], unique=False)
    op.create_table(
        "registration_networks",
        sa.Column("registration_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("network", postgresql.CIDR(), nullable=False),
        sa.ForeignKeyConstraint(
            ["registration_id"], ["registrations.id"], name="registration_networks_registration_id_fkey"
        ),
        sa.PrimaryKeyConstraint("registration_id", "position", name="registration_networks_pkey"),
    )
    op.create_index(
        "registration_networks_network_idx",
        "registration_networks",
        ["network"],
        unique=False,
        postgresql_using="spgist",
    )
    op.create_table(
        "review_decisions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("registration_id", sa.Uuid(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("reason_codes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("legal_basis", sa.Text(), nullable=True),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("officer", sa.Uuid(), nullable=False),
        sa.Column("decided_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "action IN ('approve', 'reject', 'request_information', 'suspend', 'reinstate', 'revoke')",
            name="review_decisions_action_check",
        ),
        sa.ForeignKeyConstraint(
            ["registration_id"], ["registrations.id"], name="review_decisions_registration_id_fkey"
        ),
        sa.PrimaryKeyConstraint("id", name="review_decisions_pkey"),
    )
    op.create_index("review_decisions_batch_id_idx", "review_decisions", ["batch_id"], unique=False)
    op.create_index("review_decisions_officer_id_idx", "review_decisions", ["officer", "id"], unique=False)
    op.create_index("review_decisions_registration_id_idx", "review_decisions", ["registration_id"], unique=False)
    op.execute("INSERT INTO allowlist_feed (session) VALUES (gen_random_uuid())")


def downgrade() -> None:
    """Revert."""
    op.drop_index("review_decisions_registration_id_idx", table_name="review_decisions")
    op.drop_index("review_decisions_officer_id_idx", table_name="review_decisions")
    op.drop_index("review_decisions_batch_id_idx", table_name="review_decisions")
    op.drop_table("review_decisions")
    op.drop_index("registration_networks_network_idx", table_name="registration_networks", postgresql_using="spgist")
    op.drop_table("registration_networks")
    op.drop_index("registrations_status_id_idx", table_name="registrations")
    op.drop_index("registrations_partner_id_id_idx", table_name="registrations")
    op.drop_index(
        "registrations_expiry_idx", table_name="registrations", postgresql_where=sa.text("status = 'approved'")
    )
    op.drop_index("registrations_bulk_upload_id_idx", table_name="registrations")
    op.drop_index("registrations_applicant_id_idx", table_name="registrations")
    op.drop_table("registrations")
    op.drop_index("bulk_upload_rows_outcome_idx", table_name="bulk_upload_rows")
    op.drop_index("bulk_upload_rows_bulk_upload_id_reference_idx", table_name="bulk_upload_rows")
    op.drop_table("bulk_upload_rows")
    op.drop_table("bulk_upload_parts")
    op.drop_index("operator_prefixes_prefix_idx", table_name="operator_prefixes", postgresql_using="spgist")
    op.drop_table("operator_prefixes")
    op.drop_table("clients")
    op.drop_index(
        "bulk_uploads_waiting_idx",
        table_name="bulk_uploads",
        postgresql_where=sa.text("status IN ('received', 'processing')"),
    )
    op.drop_index("bulk_uploads_partner_id_id_idx", table_name="bulk_uploads")
    op.drop_table("bulk_uploads")
    op.drop_index("applicants_subject_idx", table_name="applicants")
    op.drop_index("applicants_partner_id_ntn_idx", table_name="applicants")
    op.drop_index("applicants_partner_id_cnic_hash_idx", table_name="applicants")
    op.drop_table("applicants")
    op.drop_index(
        "allowlist_entries_withdrawn_idx",
        table_name="allowlist_entries",
        postgresql_where=sa.text("withdrawn_at IS NOT NULL AND removed_serial IS NULL"),
    )
    op.drop_index("allowlist_entries_removed_serial_idx", table_name="allowlist_entries")
    op.drop_index("allowlist_entries_registration_id_idx", table_name="allowlist_entries")
    op.drop_index(
        "allowlist_entries_pending_idx",
        table_name="allowlist_entries",
        postgresql_where=sa.text("added_serial IS NULL"),
    )
    op.drop_index("allowlist_entries_network_idx", table_name="allowlist_entries", postgresql_using="spgist")
    op.drop_index(
        "allowlist_entries_in_order_idx",
        table_name="allowlist_entries",
        postgresql_where=sa.text("removed_serial IS NULL"),
    )
    op.drop_index("allowlist_entries_held_id_idx", table_name="allowlist_entries")
    op.drop_index("allowlist_entries_added_serial_idx", table_name="allowlist_entries")
    op.drop_table("allowlist_entries")
    op.drop_table("workers")
    op.drop_table("signing_keys")
    op.drop_table("publications")
    op.drop_table("partners")
    op.drop_table("operators")
    op.drop_index("idempotency_keys_created_at_idx", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_table("held_changes")
    op.drop_index("events_transaction_id_sequence_idx", table_name="events")
    op.drop_index("events_subject_id_transaction_id_sequence_idx", table_name="events")
    op.drop_table("events")
    op.drop_index("country_prefixes_prefix_idx", table_name="country_prefixes", postgresql_using="spgist")
    op.drop_table("country_prefixes")
    op.drop_table("allowlist_feed")
