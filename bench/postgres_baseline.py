"""Baseline of uploads: the same rows by PostgreSQL alone, with COPY and one statement a table and step."""

import csv
import hashlib
import io
import time
from collections.abc import Sequence
from uuid import UUID, uuid4

import asyncpg
from uuid_utils.compat import uuid7

COLUMNS = (
    "line", "id", "applicant_id", "subject", "reference", "track", "kind", "legal_name", "ntn", "cnic", "email",
    "mobile", "pseb_number", "pasha_number", "purpose", "protocol", "operator", "subscriber_id", "network",
    "description",
)  # fmt: skip
STAGING = """CREATE UNLOGGED TABLE staged (line int, id uuid, applicant_id uuid, subject text, reference text,
    track text, kind text, legal_name text, ntn text, cnic text, email text, mobile text, pseb_number text,
    pasha_number text, purpose text, protocol text, operator text, subscriber_id text, network cidr,
    description text)"""
PARTNER = "INSERT INTO partners (id, name, kind) VALUES ($1, 'baseline', 'association')"
UPLOAD = """INSERT INTO bulk_uploads (id, partner_id, client_id, dry_run, format, columns, sha256, bytes)
    VALUES ($1, $1, $1, false, 'csv', '{}', '', 0)"""
INGEST = (
    """INSERT INTO applicants (id, partner_id, subject, kind, legal_name, ntn, sealed_cnic, cnic_hash, sealed_email,
           email_hash, sealed_mobile, pseb_number, pasha_number)
       SELECT DISTINCT ON (subject) applicant_id, $1::uuid, subject, kind, legal_name, ntn, cnic::bytea, cnic,
           email::bytea, email, mobile::bytea, pseb_number, pasha_number FROM staged ORDER BY subject""",
    """INSERT INTO events (id, name, subject_id, partner_id, actor_client_id, actor_partner_id)
       SELECT gen_random_uuid(), 'applicant.created', id, $1::uuid, $1, $1 FROM applicants""",
    """INSERT INTO registrations (id, partner_id, client_id, applicant_id, subject, track, purpose, protocol, operator,
           subscriber_id, reference, description, bulk_upload_id, due_at)
       SELECT id, $1::uuid, $1, applicant_id, subject, track, purpose, protocol, operator, subscriber_id, reference,
           description, $1, now() FROM staged""",
    "INSERT INTO registration_networks SELECT id, 0, network FROM staged WHERE $1::uuid IS NOT NULL",
    """INSERT INTO events (id, name, subject_id, partner_id, operator, actor_client_id, actor_partner_id, details)
       SELECT id, 'registration.submitted', id, $1::uuid, operator, $1, $1, jsonb_build_object('status', 'submitted',
           'networks', jsonb_build_array(network), 'reference', reference) FROM staged""",
    """INSERT INTO bulk_upload_rows (bulk_upload_id, line, outcome, reference, registration_id, problems)
       SELECT $1::uuid, line, 'created', reference, id, '[]' FROM staged""",
)
APPROVE = (
    """INSERT INTO allowlist_entries (network, registration_id, holder, granted_by, granted_in_mass)
       SELECT network, id, subject, $1::uuid, true FROM staged ON CONFLICT DO NOTHING""",
    """UPDATE registrations SET status = 'approved', decided_at = now(), updated_at = now(), version = version + 1,
           expires_at = now() + interval '1 year' WHERE $1::uuid IS NOT NULL""",
    """INSERT INTO review_decisions (id, batch_id, registration_id, action, reason_codes, officer)
       SELECT id, $1::uuid, id, 'approve', '{}', $1 FROM staged""",
    """INSERT INTO events (id, name, subject_id, partner_id, operator, actor_client_id, actor_partner_id, details)
       SELECT gen_random_uuid(), 'registration.approved', id, $1::uuid, operator, $1, $1,
           jsonb_build_object('status', 'approved', 'batch_id', $1, 'reason_codes', '[]'::jsonb) FROM staged""",
)
PUBLISH = ("UPDATE allowlist_entries SET added_serial = 1 WHERE added_serial IS NULL AND $1::uuid IS NOT NULL",)
LATER = {"approval": APPROVE, "publication": PUBLISH}


async def measure(url: str, body: bytes, steps: Sequence[str]) -> dict[str, float]:
    """Return the seconds of each of ``steps``, of which the upload is the first."""
    staged = _copy_text(body)
    connection = await asyncpg.connect(url)
    partner_id = uuid4()
    await connection.execute(STAGING)
    await connection.execute(PARTNER, partner_id)
    await connection.execute(UPLOAD, partner_id)
    began = time.perf_counter()
    await connection.copy_to_table("staged", source=io.BytesIO(staged), columns=COLUMNS)
    seconds = {"upload": time.perf_counter() - began}
    seconds["upload"] += await _in_one_transaction(connection, INGEST, partner_id)
    for step in steps[1:]:
        seconds[step] = await _in_one_transaction(connection, LATER[step], partner_id)
    await connection.close()
    return seconds


async def _in_one_transaction(connection: asyncpg.Connection, statements: tuple[str, ...], partner_id: UUID) -> float:
    began = time.perf_counter()
    async with connection.transaction():
        for statement in statements:
            await connection.execute(statement, partner_id)
    return time.perf_counter() - began


def _copy_text(body: bytes) -> bytes:
    """Return the valid rows in COPY's text format, with the ids and hashes that the service would give them."""
    known: dict[str, tuple[UUID, str]] = {}
    out = io.StringIO()
    for line, row in enumerate(csv.DictReader(io.StringIO(body.decode(), newline="")), 2):
        if row["track"] != "vpn_company" or row["networks"].startswith("192.168.") or row["networks"].endswith(".300"):
            continue
        applicant = known.setdefault(row["ntn"], (uuid7(), hashlib.sha256(row["ntn"].encode()).hexdigest()))
        given = {**row, "kind": row["applicant_kind"], "network": f"{row['networks']}/32"}
        cells = [line, uuid7(), *applicant, *(given[name] or None for name in COLUMNS[4:])]
        out.write("\t".join("\\N" if cell is None else str(cell) for cell in cells) + "\n")
    return out.getvalue().encode()
