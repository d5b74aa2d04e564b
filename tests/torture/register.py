"""The facts of the register at the end, read from its database without the service."""

from collections import Counter
from typing import Any

import asyncpg

from tests.torture.journal import Fact

# Each statement gives the facts of one kind; UUIDs and networks as their texts.
FACTS = {
    "upload": """SELECT id::text, status, version, completed_at, created, refused, total, unchanged, updated
        FROM bulk_uploads""",
    "row": """SELECT bulk_upload_id::text, line, outcome, reference, registration_id::text FROM bulk_upload_rows""",
    "part of an upload": "SELECT bulk_upload_id::text, position FROM bulk_upload_parts",
    "registration": """SELECT r.id::text, p.name, n.network::text, reference, status FROM registrations r
        JOIN partners p ON p.id = r.partner_id LEFT JOIN registration_networks n ON n.registration_id = r.id""",
    "applicant": "SELECT p.name, ntn FROM applicants JOIN partners p ON p.id = partner_id",
    "event": """SELECT e.name, coalesce(a.ntn, e.subject_id::text) FROM events e
        LEFT JOIN applicants a ON a.id = e.subject_id
        WHERE split_part(e.name, '.', 1) IN ('applicant', 'bulk_upload', 'registration')""",
    "decision": "SELECT registration_id::text, action FROM review_decisions",
    "entry": "SELECT network::text, withdrawn_at IS NULL FROM allowlist_entries",
}
UNSETTLED = """SELECT (SELECT count(*) FROM allowlist_entries
        WHERE added_serial IS NULL OR withdrawn_at IS NOT NULL AND removed_serial IS NULL)
    + (SELECT count(*) FROM events) - (SELECT coalesce(max(size), 0) FROM audit_checkpoints)"""
GAPS = "SELECT coalesce(max(serial), 0) - count(*) FROM publications"
# what a database raises that is being killed, or not back yet
AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


class Register:
    """The database of the register."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def one(self, statement: str, *arguments: Any) -> Any:
        """Return the single value of a statement."""
        connection = await asyncpg.connect(self._url, timeout=10)
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            await connection.close()

    async def facts(self) -> Counter[Fact]:
        """Return every fact of the register, with its count."""
        found: Counter[Fact] = Counter()
        connection = await asyncpg.connect(self._url)
        try:
            for kind, statement in FACTS.items():
                found.update((kind, *row) for row in await connection.fetch(statement))
        finally:
            await connection.close()
        return found

    async def is_durable(self) -> bool:
        """Return whether PostgreSQL flushes a commit before it acknowledges it."""
        return all([await self.one(f"SHOW {name}") == "on" for name in DURABLE])

    async def is_settled(self) -> bool:
        """Return whether no change waits to be published and the audit tree has every event."""
        return bool(await self.one(UNSETTLED) == 0)

    async def publications_missing(self) -> int:
        """Count the serials before the last that were never published."""
        return int(await self.one(GAPS))
