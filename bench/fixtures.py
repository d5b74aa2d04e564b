"""Fills a database for benchmarks: a published allowlist, applicants, and copies of a submitted case."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import asyncpg

from app.allowlist.publisher import Publisher
from app.core.database.engine import Database
from app.migrating import migrate
from bench.partners import Caller, settings

CASES, ENTRIES, READ_CASES = 20_000, 20_000, 2_000
ALLOWLIST = """INSERT INTO allowlist_entries (network, registration_id, holder)
          SELECT ('39.32.0.0'::inet + 2 * i)::cidr, gen_random_uuid(), 'bench' FROM generate_series(0, $1 - 1) i"""
COPIES = """
WITH made AS (
  INSERT INTO registrations (id, partner_id, client_id, applicant_id, subject, track, purpose, protocol, operator,
                             subscriber_id, reference, description, due_at)
  SELECT gen_random_uuid(), partner_id, client_id, applicant_id, subject, track, purpose, protocol, operator,
         subscriber_id, reference || i, description, due_at
  FROM registrations, generate_series(1, $1) i RETURNING id)
INSERT INTO registration_networks
SELECT id, position, ('58.27.0.0'::inet + 2 * row_number() OVER () + position)::cidr
FROM made, generate_series(0, 1) position"""


async def migrate_and_publish(url: str) -> None:
    """Migrate the database and publish an allowlist."""
    await migrate(settings(url))
    connection, database = await asyncpg.connect(url), Database(settings(url))
    await connection.execute(ALLOWLIST, ENTRIES)
    await Publisher(database).publish()
    await connection.close()
    await database.close()


async def copy_case(url: str) -> list[str]:
    """Copy the only submitted case; returns the ids of some copies, in random order."""
    connection = await asyncpg.connect(url)
    await connection.execute(COPIES, CASES)
    await connection.execute("VACUUM ANALYZE")
    found = await connection.fetch("SELECT id::text FROM registrations ORDER BY random() LIMIT $1", READ_CASES)
    await connection.close()
    return [row["id"] for row in found]


def make_applicant(caller: Caller, number: int) -> dict[str, Any]:
    """Create a company of the caller."""
    name = f"Indus Softworks {number}"
    company = {"kind": "company", "legal_name": name, "ntn": f"{number:07d}-{number % 10}",
               "email": f"it@indus{number}.example.pk", "mobile": "+923001234567"}  # fmt: skip
    applicant: dict[str, Any] = caller.call("POST", "/v1/applicants", json=company)
    return applicant


def submissions(applicants: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield bodies of registrations with distinct addresses, for each applicant in turn."""
    for number in count():
        scattered = number * 2_654_435_761 % 2**22
        address = f"154.{128 + (scattered >> 16)}.{scattered >> 8 & 255}.{scattered & 255}"
        yield {
            "applicant_id": applicants[number % len(applicants)]["id"], "track": "vpn_company",
            "purpose": "it_services", "protocol": "wireguard", "operator": "nayatel",
            "subscriber_id": "NAYATEL-00001234", "networks": [address],
            "reference": f"BENCH-{number}", "description": "Remote access to the head office",
        }  # fmt: skip
