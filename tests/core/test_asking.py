"""Transactions of the driver's own keep partners apart, end as they should, and plan their statements once."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import Boolean, Integer, Uuid, bindparam, func, literal, select, update

from app.core.asking import Asker, Transaction
from app.core.compiled import Compiled
from app.core.db import Database
from app.core.principal import PartnerKind, Principal
from app.core.tenancy import INTAKE, SERVICE
from app.registrations.models import Registration
from tests.support import cases
from tests.support.service import Caller, Service

WHO = Compiled(
    select(func.current_user(), func.coalesce(func.current_setting("register.partner", literal(True, Boolean)), ""))
)
COUNT = Compiled(select(func.count()).select_from(Registration))
HALF = Compiled(select(literal(1, Integer) / bindparam("by", type_=Integer)))
SLEEP = Compiled(select(func.pg_sleep(60)))
WITHDRAWN = Compiled(update(Registration).values(status="withdrawn").where(Registration.status == "submitted"))
STATUS = Compiled(select(Registration.status).where(Registration.id == bindparam("id", type_=Uuid)))
CUSTOM = "SELECT statement FROM pg_prepared_statements WHERE custom_plans > 0 AND statement NOT LIKE '%pg_prepared%'"


def acting_for(caller: Caller, kind: PartnerKind = "association") -> Principal:
    return Principal(caller.credentials.id, caller.credentials.partner_id, kind, None, frozenset())


@pytest.fixture
async def mine(pseb: Caller) -> Principal:
    await cases.submitted(pseb)
    return acting_for(pseb)


async def counted(asker: Asker) -> int:
    ((count,),) = await asker.fetch(COUNT, {})
    return int(count)


async def status(database: Database, principal: Principal, case: str) -> str:
    async with database.write_few(principal) as transaction:
        ((found,),) = await transaction.fetch(STATUS, {"id": case})
    return str(found)


async def test_a_transaction_acts_for_whoever_asks_and_its_connection_for_nobody_after(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    for caller, kind, expected in (
        (pseb, "association", (INTAKE, str(pseb.credentials.partner_id))),
        (officer, "regulator", (SERVICE, "")),
        (pasha, "association", (INTAKE, str(pasha.credentials.partner_id))),
    ):
        async with service.database.write_few(acting_for(caller, kind)) as transaction:
            for _ in range(2):
                assert [tuple(row) for row in await transaction.fetch(WHO, {})] == [expected]


async def test_a_partner_meets_its_own_rows_with_the_first_statement_and_with_later_ones(
    service: Service, mine: Principal, pasha: Caller
) -> None:
    for principal, expected in ((mine, 1), (acting_for(pasha), 0), (mine, 1)):
        async with service.database.write_few(principal) as transaction:
            assert [await counted(transaction) for _ in range(3)] == [expected] * 3


async def _withdraw(transaction: Transaction) -> None:
    await counted(transaction)
    await transaction.fetch(WITHDRAWN, {})


async def _withdraw_and(
    fault: Callable[[Transaction], Awaitable[None]], database: Database, principal: Principal
) -> None:
    async with database.write_few(principal) as transaction:
        await _withdraw(transaction)
        await fault(transaction)


async def test_what_is_done_is_there_when_the_block_has_ended_well(service: Service, pseb: Caller) -> None:
    case, mine = await cases.submitted(pseb), acting_for(pseb)
    async with service.database.write_few(mine) as transaction:
        await _withdraw(transaction)
    assert await status(service.database, mine, case["id"]) == "withdrawn"


async def test_nothing_of_a_block_that_fails_is_there_and_its_connection_is_used_again(
    service: Service, pseb: Caller
) -> None:
    case, mine = await cases.submitted(pseb), acting_for(pseb)

    async def fails(transaction: Transaction) -> None:
        await transaction.fetch(HALF, {"by": 0})

    async def raises(_: Transaction) -> None:
        raise LookupError

    async def is_called_off(transaction: Transaction) -> None:
        async with asyncio.timeout(0.2):
            await transaction.fetch(SLEEP, {})

    for fault, kind in ((fails, asyncpg.DivisionByZeroError), (raises, LookupError), (is_called_off, TimeoutError)):
        with pytest.raises(kind):
            await _withdraw_and(fault, service.database, mine)
        assert await status(service.database, mine, case["id"]) == "submitted"


async def test_a_transaction_that_has_lost_its_connection_raises_why(service: Service, pseb: Caller) -> None:
    mine = acting_for(pseb)
    cut = Compiled(select(func.pg_terminate_backend(func.pg_backend_pid())))
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError)):
        async with service.database.write_few(acting_for(pseb)) as transaction:
            await transaction.fetch(cut, {})
    assert await counted_by(service, mine) == 0


async def counted_by(service: Service, principal: Principal) -> int:
    async with service.database.write_few(principal) as transaction:
        return await counted(transaction)


async def test_no_statement_of_a_submission_is_planned_for_its_values(service: Service, pseb: Caller) -> None:
    applicant = (await pseb.post("/v1/applicants", json=cases.company())).json()["id"]
    for _ in range(8):
        headers = {"Idempotency-Key": uuid4().hex}
        body = cases.registration(applicant, reference=uuid4().hex)
        answer = await pseb.post("/v1/registrations", json=body, headers=headers)
        assert answer.status_code == 201
    async with service.app.state.database.write_few(acting_for(pseb)) as transaction:
        connection = transaction._connection
        assert [row[0] for row in await connection.fetch(CUSTOM)] == []
