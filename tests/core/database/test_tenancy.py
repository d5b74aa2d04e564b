"""Row-level security separates partners whatever the statement."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import cycle
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from app.core.database.engine import Database
from app.core.database.roles import INTAKE, SERVICE, TENANT
from app.core.database.statement import Statement
from app.core.database.transaction import Transaction
from app.core.principal import PartnerKind, Principal
from app.registrations.models import Registration
from tests.support import cases, postgres, uploads
from tests.support.service import Caller, Service

# Not a table of the service's: Alembic, which owns it, writes its one row.
ALEMBICS = {"alembic_version"}
UNPROTECTED = """
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
  AND NOT (relrowsecurity AND relforcerowsecurity
           AND EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid))
"""
# Tables that say whose a row is, or lead to one that does.
PARTNERS_OWN = """
SELECT DISTINCT table_name FROM information_schema.columns
WHERE table_schema = 'public' AND column_name IN ('partner_id', 'client_id', 'registration_id', 'bulk_upload_id')
"""
OPEN_TO_TENANTS = """
SELECT polrelid::regclass::text FROM pg_policy
WHERE 'register_tenant'::regrole = ANY(polroles) AND pg_get_expr(polqual, polrelid) = 'true'
"""
READABLE = """
SELECT table_name FROM information_schema.role_table_grants
WHERE grantee = 'register_tenant' AND privilege_type = 'SELECT' ORDER BY 1
"""
# what every reader of the list is told: networks and serials, and not whose they are
THE_LIST = {"allowlist_entries"}
MADE_BY_THE_WORKER = {"audit_leaves", "webhook_deliveries"}
OF_OPERATORS = {"enforcers", "enforcer_states"}
SHARED = {
    "operators",
    "operator_prefixes",
    "country_prefixes",
    "allowlist_feed",
    "publications",
    "incidents",
    "audit_nodes",
    "audit_checkpoints",
}

PARTNERS = Statement(select(Registration.partner_id))


def acting_for(caller: Caller, kind: PartnerKind = "association", operator: str | None = None) -> Principal:
    return Principal(caller.credentials.id, caller.credentials.partner_id, kind, operator, frozenset())


async def names(tx: Transaction, statement: str) -> set[str]:
    return set(await tx.scalars(text(statement)))


async def create_one_of_each(caller: Caller, officer: Caller) -> None:
    case = await cases.submitted(caller, reference=f"{caller.credentials.client_id}")
    await cases.decide(officer, case, "request_information", reason_codes=["other"], note="A note")
    await caller.post("/v1/applicants", json=cases.company(), headers={"Idempotency-Key": "once"})
    prefix = caller.credentials.client_id[:12]
    await uploads.ingest(caller, uploads.csv_of([uploads.row(f"{prefix}-1"), uploads.row(f"{prefix}-2", email="@")]))
    await uploads.send(caller, uploads.csv_of([uploads.row(f"{prefix}-3")]))
    hook = {"url": "https://hooks.example.pk/register", "event_types": ["*"]}
    assert (await caller.post("/v1/webhooks", json=hook)).status_code == 201
    report = {"address": "9.9.9.9", "observed_from": datetime.now(UTC).isoformat(), "symptom": "slow"}
    assert (await caller.post("/v1/disruption-reports", json=report)).status_code == 201


async def test_no_table_is_without_forced_row_level_security_and_a_policy(service: Service) -> None:
    async with service.database.transaction(read_only=True) as tx:
        assert await names(tx, UNPROTECTED) == ALEMBICS
        assert await names(tx, PARTNERS_OWN) & await names(tx, OPEN_TO_TENANTS) == THE_LIST


async def test_a_new_table_without_a_policy_would_be_found(service: Service, database_url: str) -> None:
    await postgres.execute(database_url, "CREATE TABLE forgotten (partner_id uuid)")
    async with service.database.transaction(read_only=True) as tx:
        assert "forgotten" in await names(tx, UNPROTECTED)


async def test_the_applications_roles_own_nothing_and_are_above_no_policy(service: Service) -> None:
    async with service.database.transaction(read_only=True) as tx:
        assert await tx.scalar(text("SELECT current_user")) == SERVICE
        for role in (SERVICE, TENANT, INTAKE):
            found = await tx.execute(
                text("SELECT rolsuper, rolbypassrls, rolcreaterole, rolcanlogin FROM pg_roles WHERE rolname = :role"),
                {"role": role},
            )
            assert tuple(found.one()) == (False, False, False, False)
            owned = text("SELECT count(*) FROM pg_class WHERE relowner = CAST(:role AS regrole)")
            assert await tx.scalar(owned, {"role": role}) == 0


async def test_a_partner_meets_no_row_of_anothers_in_any_table(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    await create_one_of_each(pseb, officer)
    mine, theirs = acting_for(pseb), acting_for(pasha)
    async with (
        service.database.transaction(mine, read_only=True) as own,
        service.database.transaction(theirs, read_only=True) as other,
    ):
        readable = await names(own, READABLE) - SHARED - THE_LIST
        met = {table: await own.scalar(text(f"SELECT count(*) FROM {table}")) for table in readable}
        assert {table for table, count in met.items() if not count} <= MADE_BY_THE_WORKER | OF_OPERATORS
        for table in readable:
            statement = f"SELECT whole::text FROM {table} AS whole"
            overlap = await names(own, statement) & await names(other, statement)
            assert overlap == set() or table == "events", table
            assert str(pseb.credentials.partner_id) not in " ".join(await names(other, statement)), table


async def test_an_unknown_partner_sees_no_rows(service: Service, pseb: Caller, officer: Caller) -> None:
    await create_one_of_each(pseb, officer)
    nobody = Principal(UUID(int=0), UUID(int=0), "operator", "", frozenset())
    async with service.database.transaction(nobody, read_only=True) as tx:
        for table in await names(tx, READABLE) - SHARED - THE_LIST - {"events"}:
            assert await tx.scalar(text(f"SELECT count(*) FROM {table}")) == 0, table


async def test_an_operator_meets_the_cases_that_name_it_and_no_applicant(
    service: Service, pseb: Caller, nayatel: Caller
) -> None:
    named = await cases.submitted(pseb, operator="nayatel")
    await cases.submitted(pseb, operator="ptcl")
    async with service.database.transaction(acting_for(nayatel, "operator", "nayatel"), read_only=True) as tx:
        assert await names(tx, "SELECT id::text FROM registrations") == {named["id"]}
        assert await names(tx, "SELECT id::text FROM applicants") == set()
        assert await names(tx, "SELECT DISTINCT operator FROM events WHERE operator IS NOT NULL") == {"nayatel"}


WRITES = [
    "INSERT INTO partners (id, name, kind) VALUES (:partner, 'x', 'regulator')",
    "INSERT INTO bulk_uploads SELECT gen_random_uuid(), :partner, client_id FROM registrations",
    "INSERT INTO events (id, name, partner_id) VALUES (gen_random_uuid(), 'x', :partner)",
    "INSERT INTO events (id, name) VALUES (gen_random_uuid(), 'everybodys')",
    "UPDATE applicants SET partner_id = :partner",
    "UPDATE registrations SET partner_id = :partner",
    "DELETE FROM applicants",
    "DELETE FROM registrations",
    "UPDATE events SET name = 'x'",
    "DELETE FROM events",
    "TRUNCATE events",
    "UPDATE partners SET kind = 'regulator'",
    "UPDATE clients SET scopes = '{partners:admin}'",
    "UPDATE allowlist_entries SET network = '8.8.8.8'",
    "INSERT INTO publications (serial, count, added, removed, digest) VALUES (9, 0, 0, 0, '')",
    "SELECT holder FROM allowlist_entries",
    "SELECT * FROM signing_keys",
    "SELECT * FROM data_keys",
    "SELECT * FROM held_changes",
]


@pytest.mark.parametrize("statement", WRITES)
async def test_a_partner_cannot_write_for_another_nor_touch_what_is_the_registers(
    service: Service, pseb: Caller, pasha: Caller, statement: str
) -> None:
    await cases.submitted(pseb)
    values = {"partner": pasha.credentials.partner_id} if ":partner" in statement else {}
    with pytest.raises(DBAPIError, match=r"row-level security|permission denied"):
        async with service.database.transaction(acting_for(pseb)) as tx:
            await tx.execute(text(statement), values)


@pytest.mark.parametrize("statement", ["UPDATE events SET name = 'x'", "DELETE FROM events", "TRUNCATE events"])
async def test_not_even_the_service_rewrites_the_log(service: Service, statement: str) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with service.database.transaction() as tx:
            await tx.execute(text(statement))


BEYOND_ONES_OWN = """
SELECT polrelid::regclass::text FROM pg_policy
WHERE 'register_intake'::regrole = ANY(polroles) AND pg_get_expr(polqual, polrelid) = 'true'
"""


async def test_intake_reads_of_others_their_networks_and_what_is_granted_and_nothing_else(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    granted = await cases.approved(pseb, officer)
    other = await cases.submitted(pseb)
    await create_one_of_each(pseb, officer)
    shared = {"operators", "operator_prefixes", "country_prefixes"}
    async with service.database.transaction(acting_for(pasha), role=INTAKE) as tx:
        assert await tx.scalar(text("SELECT current_user")) == INTAKE
        assert await names(tx, BEYOND_ONES_OWN) == {"registration_networks", "allowlist_entries", *shared}
        readable = await names(tx, READABLE.replace("register_tenant", INTAKE)) - shared - {"registration_networks"}
        for table in readable:
            assert await tx.scalar(text(f"SELECT count(*) FROM {table}")) == 0, table
        networks = await names(tx, "SELECT network::text FROM registration_networks")
        assert {*granted["networks"], *other["networks"]} <= networks
        entries = await names(tx, "SELECT network::text FROM allowlist_entries WHERE removed_serial IS NULL")
        assert entries == set(granted["networks"])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE registrations SET partner_id = :partner",
        "UPDATE applicants SET partner_id = :partner",
        "INSERT INTO events (id, name, partner_id) VALUES (gen_random_uuid(), 'x', :partner)",
        "INSERT INTO registration_networks VALUES (gen_random_uuid(), 0, '8.8.8.8')",
        "INSERT INTO bulk_upload_rows (bulk_upload_id, line, outcome) VALUES (gen_random_uuid(), 1, 'created')",
        "UPDATE registration_networks SET network = '8.8.8.8'",
        "DELETE FROM registrations",
        "SELECT * FROM events",
        "SELECT holder FROM allowlist_entries",
        "SELECT granted_by FROM allowlist_entries",
        "SELECT secret_hash FROM clients",
        "SELECT * FROM partners",
        "SELECT * FROM signing_keys",
        "UPDATE allowlist_entries SET network = '8.8.8.8'",
    ],
)
async def test_intake_cannot_write_for_another_nor_read_what_it_does_not_compare_with(
    service: Service, pseb: Caller, pasha: Caller, statement: str
) -> None:
    await cases.submitted(pseb)
    values = {"partner": pasha.credentials.partner_id} if ":partner" in statement else {}
    with pytest.raises(DBAPIError, match=r"row-level security|permission denied"):
        async with service.database.transaction(acting_for(pseb), role=INTAKE) as tx:
            await tx.execute(text(statement), values)


async def test_intake_takes_no_networks_of_another_partners_case_away(
    service: Service, pseb: Caller, pasha: Caller
) -> None:
    case = await cases.submitted(pseb)
    async with service.database.transaction(acting_for(pasha), role=INTAKE) as tx:
        await tx.execute(text("DELETE FROM registration_networks"))
    assert (await pseb.get(f"/v1/registrations/{case['id']}")).json()["networks"] == case["networks"]


async def read_interleaved(database: Database, partners: Sequence[Principal], rounds: int) -> int:
    """Read every table as each partner in turn, on any free connection; count other partners' rows."""
    strangers = 0
    for principal, _ in zip(cycle(partners), range(rounds), strict=False):
        async with database.transaction(principal, read_only=True) as tx:
            seen = await tx.fetch(PARTNERS)
            strangers += sum(partner_id != principal.partner_id for (partner_id,) in seen)
    return strangers


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_hundred_thousand_interleaved_transactions_on_pooled_connections_never_mix_partners(
    service: Service, pseb: Caller, pasha: Caller
) -> None:
    for caller in (pseb, pasha):
        await cases.submitted(caller)
    partners = [acting_for(pseb), acting_for(pasha)]
    rounds = [read_interleaved(service.database, partners[i % 2 :] + partners[: i % 2], 10_000) for i in range(10)]
    assert await asyncio.gather(*rounds) == [0] * 10
