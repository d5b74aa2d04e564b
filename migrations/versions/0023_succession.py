"""Cases that replace one another, entries that change hands, surrenders, and codes of transfers.

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import INTAKE, SERVICE, close_to_intake, open_to_intake, protect

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

INSTANT = postgresql.TIMESTAMP(timezone=True)
NAMES_ITS_LINE = (
    "replaced_by IS NULL AND status NOT IN ('expired', 'rejected', 'revoked', 'superseded', 'surrendered', 'withdrawn')"
)
GRANTED = "withdrawn_at IS NULL"
PUBLISHED = "added_serial IS NOT NULL AND removed_serial IS NULL"
WITHDRAWN = "withdrawn_at IS NOT NULL AND removed_serial IS NULL"
OVERLAPS = {
    "allowlist_entries_granted_no_overlap": GRANTED,
    "allowlist_entries_published_no_overlap": PUBLISHED,
}
OF_OWN_CASE = "EXISTS (SELECT FROM registrations WHERE registrations.id = registration_id)"
OWN = "partner_id = tenant_partner()"

# A partner's transaction sees its own cases only. These functions let it replace another's, for a code or where a case
# of its own replaces it already. Without a tenant they act for the service.
MAY_REPLACE = """(
    tenant_partner() IS NULL
    OR replaced.partner_id = tenant_partner()
    OR EXISTS (SELECT FROM registrations own WHERE own.replaces = replaced.id AND own.partner_id = tenant_partner())
"""
FUNCTIONS = {
    "lock_replaced(ids uuid[], hashes text[])": f"""
        RETURNS TABLE (
            id uuid, partner_id uuid, status text, subject text, replaced_by uuid, code_hash text, is_listed boolean
        )
        LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
        WITH offered AS MATERIALIZED (
            SELECT codes.registration_id, codes.hash FROM transfer_codes codes
            WHERE codes.hash = ANY (hashes) AND codes.used_at IS NULL AND codes.expires_at > register_now()
            ORDER BY codes.hash FOR UPDATE
        )
        SELECT replaced.id, replaced.partner_id, replaced.status, replaced.subject, replaced.replaced_by,
               (SELECT min(offered.hash) FROM offered WHERE offered.registration_id = replaced.id),
               replaced.status = 'surrendered' AND EXISTS (
                 SELECT FROM allowlist_entries entry
                 WHERE entry.registration_id = replaced.id AND entry.removed_serial IS NULL)
        FROM registrations replaced
        WHERE replaced.id = ANY (ids || ARRAY(SELECT offered.registration_id FROM offered))
          AND ({MAY_REPLACE}) OR replaced.id IN (SELECT offered.registration_id FROM offered))
        ORDER BY replaced.id FOR UPDATE OF replaced
        $$""",  # noqa: S608 - our own condition
    "set_replaced_by(ids uuid[], before uuid[], after uuid[])": f"""
        RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
        UPDATE registrations replaced
        SET replaced_by = given.after, version = replaced.version + 1, updated_at = now()
        FROM unnest(ids, before, after) AS given (id, before, after)
        WHERE replaced.id = given.id AND replaced.replaced_by IS NOT DISTINCT FROM given.before
          AND {MAY_REPLACE} OR EXISTS (
            SELECT FROM transfer_codes codes
            WHERE codes.registration_id = replaced.id AND codes.used_by = tenant_partner()))
        $$""",  # noqa: S608 - our own condition
    "use_transfer_codes(hashes text[])": """
        RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
        UPDATE transfer_codes SET used_at = register_now(), used_by = tenant_partner()
        WHERE hash = ANY (hashes) AND used_at IS NULL
        $$""",
}


def _make_functions() -> None:
    for signature, body in FUNCTIONS.items():
        op.execute(f"CREATE FUNCTION {signature} {body}")
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO {SERVICE}, {INTAKE}")


def _change_registrations() -> None:
    op.add_column("registrations", sa.Column("replaces", sa.Uuid(), nullable=True))
    op.add_column("registrations", sa.Column("replaced_by", sa.Uuid(), nullable=True))
    op.add_column("registrations", sa.Column("handover_hours", sa.Integer(), nullable=True))
    op.create_foreign_key("registrations_replaces_fkey", "registrations", "registrations", ["replaces"], ["id"])
    op.create_check_constraint(
        op.f("registrations_handover_hours_check"), "registrations", "handover_hours BETWEEN 0 AND 168"
    )
    has_predecessor = sa.text("replaces IS NOT NULL")
    op.create_index("registrations_replaces_idx", "registrations", ["replaces"], postgresql_where=has_predecessor)
    op.drop_constraint("registrations_partner_id_reference_key", "registrations")
    named = {"postgresql_where": sa.text("reference IS NOT NULL")}
    op.create_index("registrations_partner_id_reference_idx", "registrations", ["partner_id", "reference"], **named)
    current = {"unique": True, "postgresql_where": sa.text(NAMES_ITS_LINE)}
    op.create_index("registrations_reference_key", "registrations", ["partner_id", "reference"], **current)


def _change_entries() -> None:
    op.add_column("allowlist_entries", sa.Column("held_from", INSTANT, nullable=True))
    op.add_column("allowlist_entries", sa.Column("leaves_at", INSTANT, nullable=True))
    for name, condition in OVERLAPS.items():
        op.create_exclude_constraint(
            name, "allowlist_entries", ("network", "&&"), using="spgist", where=sa.text(condition)
        )
    op.drop_constraint("allowlist_entries_no_overlap", "allowlist_entries")
    for name in ("in_order", "withdrawn", "added_serial"):
        op.drop_index(f"allowlist_entries_{name}_idx", "allowlist_entries")
    table, network = "allowlist_entries", ["network"]
    op.create_index("allowlist_entries_in_order_idx", table, network, postgresql_where=sa.text(PUBLISHED))
    # those that wait to be published are in allowlist_entries_pending_idx
    added = sa.text("added_serial IS NOT NULL")
    op.create_index("allowlist_entries_added_serial_idx", table, ["added_serial"], postgresql_where=added)
    withdrawn = {"postgresql_using": "spgist", "postgresql_where": sa.text(WITHDRAWN)}
    op.create_index("allowlist_entries_withdrawn_idx", table, network, **withdrawn)
    surrendered = sa.text("withdrawn_reason = 'surrendered'")
    op.create_index("allowlist_entries_surrendered_idx", table, ["withdrawn_at"], postgresql_where=surrendered)
    leaving = sa.text("leaves_at IS NOT NULL AND withdrawn_at IS NULL")
    op.create_index("allowlist_entries_leaving_idx", table, ["leaves_at"], postgresql_where=leaving)


def _open_entries_to_surrenders() -> None:
    read = "id, network, registration_id, added_serial, removed_serial, withdrawn_at, withdrawn_reason, held_id"
    written = "withdrawn_at, withdrawn_by, withdrawn_reason, withdrawn_in_mass, held_id, added_serial, removed_serial"
    op.execute(f"GRANT SELECT ({read}), UPDATE ({written}) ON allowlist_entries TO {INTAKE}")
    op.execute(
        f"CREATE POLICY allowlist_entries_intake ON allowlist_entries FOR UPDATE TO {INTAKE} "
        f"USING ({OF_OWN_CASE}) WITH CHECK ({OF_OWN_CASE})"
    )
    op.add_column("held_changes", sa.Column("partner_id", sa.Uuid(), nullable=True))
    op.create_foreign_key("held_changes_partner_id_fkey", "held_changes", "partners", ["partner_id"], ["id"])
    waiting = sa.text("partner_id IS NOT NULL AND released_at IS NULL")
    op.create_index(
        "held_changes_partner_id_key", "held_changes", ["partner_id"], unique=True, postgresql_where=waiting
    )
    open_to_intake("publications", "SELECT (serial, count)", everybodys=True)
    open_to_intake("held_changes", "SELECT, INSERT, UPDATE (count, in_window, bound)", own=OWN)


def upgrade() -> None:
    """Apply."""
    _change_registrations()
    _change_entries()
    op.create_table(
        "entry_holdings",
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("registration_id", sa.Uuid(), nullable=False),
        sa.Column("held_from", INSTANT, nullable=False),
        sa.Column("held_until", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("entry_id", "held_until", name="entry_holdings_pkey"),
    )
    op.create_index("entry_holdings_registration_id_idx", "entry_holdings", ["registration_id"])
    protect("entry_holdings", tenant=None, service_may="SELECT, INSERT")
    op.create_table(
        "transfer_codes",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("registration_id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("used_at", INSTANT, nullable=True),
        sa.Column("used_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["registration_id"], ["registrations.id"], name="transfer_codes_registration_id_fkey"),
        sa.PrimaryKeyConstraint("hash", name="transfer_codes_pkey"),
    )
    op.create_index("transfer_codes_registration_id_idx", "transfer_codes", ["registration_id"])
    protect("transfer_codes", tenant=None)
    _open_entries_to_surrenders()
    _make_functions()


def downgrade() -> None:
    """Revert. Fails while a reference is that of two cases, or a granted network overlaps a published one."""
    for signature in FUNCTIONS:
        op.execute(f"DROP FUNCTION {signature.partition('(')[0]}")
    for table in ("publications", "held_changes"):
        close_to_intake(table)
    op.drop_index("held_changes_partner_id_key", "held_changes")
    op.drop_column("held_changes", "partner_id")
    op.execute("DROP POLICY allowlist_entries_intake ON allowlist_entries")
    op.execute(f"REVOKE ALL ON allowlist_entries FROM {INTAKE}")
    op.execute(f"GRANT SELECT (network, registration_id, removed_serial) ON allowlist_entries TO {INTAKE}")
    op.drop_table("transfer_codes")
    op.drop_table("entry_holdings")
    for name in ("leaving", "surrendered", "withdrawn", "added_serial", "in_order"):
        op.drop_index(f"allowlist_entries_{name}_idx", "allowlist_entries")
    op.create_index("allowlist_entries_added_serial_idx", "allowlist_entries", ["added_serial"])
    op.create_index("allowlist_entries_withdrawn_idx", "allowlist_entries", ["id"], postgresql_where=sa.text(WITHDRAWN))
    in_force = sa.text("removed_serial IS NULL")
    op.create_index("allowlist_entries_in_order_idx", "allowlist_entries", ["network"], postgresql_where=in_force)
    op.create_exclude_constraint(
        "allowlist_entries_no_overlap", "allowlist_entries", ("network", "&&"), using="spgist", where=in_force
    )
    for name in OVERLAPS:
        op.drop_constraint(name, "allowlist_entries")
    for column in ("leaves_at", "held_from"):
        op.drop_column("allowlist_entries", column)
    op.drop_index("registrations_reference_key", "registrations")
    op.drop_index("registrations_partner_id_reference_idx", "registrations")
    op.create_unique_constraint("registrations_partner_id_reference_key", "registrations", ["partner_id", "reference"])
    op.drop_index("registrations_replaces_idx", "registrations")
    for column in ("handover_hours", "replaced_by", "replaces"):
        op.drop_column("registrations", column)
