"""The event log is append-only: the database roles of the service may insert and change nothing but an erasure."""

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.core.principal import Principal
from app.events import store as events
from app.events.store import NewEvent
from tests.support import cases
from tests.support.audit_trees import record_events, sequence_events
from tests.support.service import Caller, Service

ROLES = ("register_service", "register_tenant", "register_intake")
KEPT = ("events", "audit_leaves", "audit_nodes")


@pytest.mark.parametrize("table", KEPT)
@pytest.mark.parametrize("change", ["UPDATE {} SET {}", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_service_role_cannot_update_or_delete(service: Service, table: str, change: str) -> None:
    await record_events(service, "test.kept")
    await sequence_events(service)
    to_itself = {"events": "name = name", "audit_leaves": "event_id = event_id", "audit_nodes": "hash = hash"}[table]
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with service.database.transaction() as tx:
            await tx.execute(text(change.format(table, to_itself)))


async def test_no_role_has_more_than_select_and_insert(service: Service) -> None:
    asked = """SELECT r, t, p FROM unnest($1::text[]) r, unnest($2::text[]) t, unnest($3::text[]) p
               WHERE has_table_privilege(r, t, p)"""
    connection = await asyncpg.connect(service.settings.database_url)
    try:
        changing = ["UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "REFERENCES"]
        assert await connection.fetch(asked, list(ROLES), list(KEPT), changing) == []
        assert await connection.fetch(asked, ["register_service"], list(KEPT), ["INSERT"])
    finally:
        await connection.close()


ERASED = """details = details - 'reference' || '{"erased": ["reference"]}'"""
CHANGES = [
    "details = '{}'",
    """details = details || '{"reference": "B"}'""",
    """details = details || '{"erased": ["reference"]}'""",
    "details = details - 'reference'",
    "details = details - 'reference' - 'status' || '{\"erased\": [\"reference\"]}'",
    f"{ERASED}, occurred_at = now()",
    f"{ERASED}, name = 'test.other'",
]


async def with_reference(service: Service) -> None:
    """Record an event that has a reference."""
    async with service.database.transaction() as tx:
        details = {"status": "submitted", "reference": "A"}
        await events.record(tx, None, [NewEvent("test.kept", details=details)])


@pytest.mark.parametrize("change", CHANGES)
async def test_of_an_event_nothing_but_its_reference_can_be_taken_out(service: Service, change: str) -> None:
    await with_reference(service)
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with service.database.transaction() as tx:
            await tx.execute(text(f"UPDATE events SET {change}"))


async def test_a_reference_is_erased_once_and_cannot_be_replaced(service: Service) -> None:
    await with_reference(service)
    async with service.database.transaction() as tx:
        await tx.execute(text(f"UPDATE events SET {ERASED}"))
        assert await tx.scalar(text("SELECT details FROM events")) == {
            "status": "submitted",
            "erased": ["reference"],
        }
    for again in (ERASED, """details = details || '{"reference": "B"}'"""):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with service.database.transaction() as tx:
                await tx.execute(text(f"UPDATE events SET {again}"))


async def test_the_service_may_delete_a_salt_and_change_no_commitment(service: Service) -> None:
    await with_reference(service)
    await sequence_events(service)
    async with service.database.transaction() as tx:
        await tx.execute(text("UPDATE audit_leaves SET erasable_salt = NULL"))
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with service.database.transaction() as tx:
            await tx.execute(text("UPDATE audit_leaves SET erasable_commitment = NULL"))


async def test_a_partner_cannot_erase_from_the_log(service: Service, pseb: Caller) -> None:
    case = await cases.submitted(pseb, reference="A")
    principal = Principal(pseb.credentials.id, pseb.credentials.partner_id, "association", None, frozenset())
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with service.database.transaction(principal) as tx:
            await tx.execute(text(f"UPDATE events SET {ERASED} WHERE subject_id = :id"), {"id": case["id"]})
