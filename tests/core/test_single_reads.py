"""Reads of one statement keep partners apart too, cannot write, and go on when their connections were cut."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import Boolean, Integer, bindparam, func, literal, select, text

from app.core.connections import Connections
from app.core.db import SERVICE, TENANT, is_outage
from app.core.principal import PartnerKind, Principal
from app.core.single_reads import SingleRead
from app.registrations.models import Registration
from tests.support import cases, postgres
from tests.support.service import Caller, Service

WHO = SingleRead(
    select(
        func.pg_backend_pid(),
        func.current_user(),
        func.coalesce(func.current_setting("register.partner", literal(True, Boolean)), ""),
    )
)
WHOSE = SingleRead(select(Registration.partner_id))
HALF = SingleRead(select(literal(1, Integer) / bindparam("by", type_=Integer)))


def acting_for(caller: Caller, kind: PartnerKind = "association") -> Principal:
    return Principal(caller.credentials.id, caller.credentials.partner_id, kind, None, frozenset())


async def test_a_read_cannot_write(service: Service, officer: Caller) -> None:
    lock = SingleRead(select(Registration.id).with_for_update())
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await service.database.fetch(acting_for(officer, "regulator"), lock)


async def test_connections_that_were_cut_are_replaced_before_they_are_used_again(
    service: Service, pseb: Caller
) -> None:
    principal = acting_for(pseb)
    await asyncio.gather(*(service.database.fetch(principal, WHO) for _ in range(3)))
    cut = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    await postgres.execute(service.settings.database_url, f"{cut} AND datname = current_database()")
    assert len(await service.database.fetch(principal, WHO)) == 1


async def test_a_database_that_is_away_is_an_outage_and_a_wrong_statement_is_not(
    service: Service, pseb: Caller
) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError) as fault:
        await service.database.fetch(acting_for(pseb), HALF, by=0)
    assert not is_outage(fault.value)
    assert [tuple(row) for row in await service.database.fetch(acting_for(pseb), HALF, by=1)] == [(1,)]
    away = Service(postgres.settings_for("postgresql://u@127.0.0.1:1/d"))
    with pytest.raises(OSError) as outage:  # noqa: PT011 - which one is the machine's
        await away.database.fetch(acting_for(pseb), WHO)
    assert is_outage(outage.value)
    await away.close()


async def test_a_read_acts_for_whoever_asks(service: Service, pseb: Caller, pasha: Caller, officer: Caller) -> None:
    for caller, kind, expected in (
        (pseb, "association", (TENANT, str(pseb.credentials.partner_id))),
        (officer, "regulator", (SERVICE, "")),
        (pasha, "association", (TENANT, str(pasha.credentials.partner_id))),
    ):
        ((_, *who),) = await service.database.fetch(acting_for(caller, kind), WHO)
        assert tuple(who) == expected


async def test_a_connection_acts_for_nobody_after_a_read(service: Service, pseb: Caller) -> None:
    await cases.submitted(pseb)
    reads = Connections(service.settings.database_url, {"role": TENANT}, 1, 5.0)
    partner = str(pseb.credentials.partner_id)
    acting = {"tenant_partner": partner, "tenant_operator": ""}
    ((first, *who),) = await reads.fetch(WHO.as_tenant, acting)
    assert who == [TENANT, partner]
    assert len(await reads.fetch(WHOSE.as_tenant, acting)) == 1
    ((second, *nobody),) = await reads.fetch(WHO.as_service, {})
    assert (nobody, second) == ([TENANT, ""], first)
    assert await reads.fetch(WHOSE.as_service, {}) == []
    await reads.close()


async def test_reads_side_by_side_never_mix_partners(service: Service, pseb: Caller, pasha: Caller) -> None:
    for caller in (pseb, pasha):
        await cases.submitted(caller)
    callers = [pseb, pasha] * 100
    found = await asyncio.gather(*(service.database.fetch(acting_for(caller), WHOSE) for caller in callers))
    assert [[row[0] for row in rows] for rows in found] == [[caller.credentials.partner_id] for caller in callers]


async def test_a_read_that_is_broken_off_acts_for_nobody_after(service: Service, pseb: Caller, officer: Caller) -> None:
    sleep = SingleRead(select(func.pg_sleep(60)))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await service.database.fetch(acting_for(pseb), sleep)
    ((_, *who),) = await service.database.fetch(acting_for(officer, "regulator"), WHO)
    assert who == [SERVICE, ""]


async def test_the_one_that_waits_too_long_for_a_connection_meets_an_outage(database_url: str, pseb: Caller) -> None:
    service = Service(postgres.settings_for(database_url, lock_timeout_ms=100, database_pool=5))
    sleep = SingleRead(select(func.pg_sleep(1)).select_from(text("(SELECT 1) AS one")))
    reads = [service.database.fetch(acting_for(pseb), sleep) for _ in range(6)]
    ends = await asyncio.gather(*reads, return_exceptions=True)
    refused = [end for end in ends if isinstance(end, BaseException)]
    assert len(refused) == 1
    assert is_outage(refused[0])
    await service.close()
