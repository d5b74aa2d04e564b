"""A transaction has the role and tenant of its beginning, and commits or rolls back as a whole."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import Boolean, Integer, Uuid, bindparam, func, literal, select, text, update
from sqlalchemy.exc import DBAPIError, InternalError

from app.applicants.models import Applicant
from app.core.database.engine import Database
from app.core.database.outages import is_outage
from app.core.database.roles import INTAKE, SERVICE, TENANT, Role
from app.core.database.statement import Statement
from app.core.database.tenancy import begin_sql
from app.core.database.transaction import DRIVER_ERRORS, Transaction, to_dbapi_error
from app.core.principal import PartnerKind, Principal
from app.registrations.models import Registration
from tests.support import cases, postgres
from tests.support.service import Caller, Service

WHO = Statement(
    select(
        func.pg_backend_pid(),
        func.current_user(),
        func.coalesce(func.current_setting("register.partner", literal(True, Boolean)), ""),
    )
)
WHOSE = Statement(select(Registration.partner_id))
COUNT = Statement(select(func.count()).select_from(Registration))
HALF = Statement(select(literal(1, Integer) / bindparam("by", type_=Integer)))
SLEEP = Statement(select(func.pg_sleep(60)))
WITHDRAWN = Statement(update(Registration).values(status="withdrawn").where(Registration.status == "submitted"))
STATUS = Statement(select(Registration.status).where(Registration.id == bindparam("id", type_=Uuid)))
CUSTOM = "SELECT statement FROM pg_prepared_statements WHERE custom_plans > 0 AND statement NOT LIKE '%pg_prepared%'"


def acting_for(caller: Caller, kind: PartnerKind = "association", operator: str | None = None) -> Principal:
    return Principal(caller.credentials.id, caller.credentials.partner_id, kind, operator, frozenset())


@pytest.fixture
async def mine(pseb: Caller) -> Principal:
    await cases.submitted(pseb)
    return acting_for(pseb)


async def status(database: Database, principal: Principal, case: str) -> str:
    async with database.transaction(principal, read_only=True) as tx:
        ((found,),) = await tx.fetch(STATUS, id=case)
    return str(found)


async def who(database: Database, principal: Principal, role: Role | None = None) -> tuple[str, str]:
    async with database.transaction(principal, role=role) as tx:
        ((_, user, partner),) = await tx.fetch(WHO)
        assert (await tx.execute(text("SELECT current_user"))).scalar() == user  # the session's statements are its own
    return str(user), str(partner)


def test_a_malformed_operator_code_begins_no_transaction() -> None:
    caller = Principal(uuid4(), uuid4(), "operator", "nayatel'; DROP TABLE x; --", frozenset())
    with pytest.raises(ValueError, match="is not an operator's code"):
        begin_sql(caller, TENANT, read_only=True)


async def test_a_transaction_has_its_role_and_tenant_and_its_connection_none_afterwards(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    database = service.database  # whose pool hands out the connection that was used last
    for caller, kind, role, expected in (
        (pseb, "association", None, (TENANT, str(pseb.credentials.partner_id))),
        (pseb, "association", INTAKE, (INTAKE, str(pseb.credentials.partner_id))),
        (officer, "regulator", INTAKE, (SERVICE, "")),
        (pasha, "association", None, (TENANT, str(pasha.credentials.partner_id))),
    ):
        assert await who(database, acting_for(caller, kind), role) == expected  # type: ignore[arg-type]  # a kind
    async with database.transaction(read_only=True) as tx:
        ((_, *nobody),) = await tx.fetch(WHO)
    assert nobody == [SERVICE, ""]


async def test_a_partner_sees_its_own_rows_by_fetch_and_by_session(
    service: Service, mine: Principal, pasha: Caller
) -> None:
    for principal, expected in ((mine, 1), (acting_for(pasha), 0), (mine, 1)):
        async with service.database.transaction(principal) as tx:
            ((by_driver,),) = await tx.fetch(COUNT)
            assert (by_driver, await tx.scalar(select(func.count()).select_from(Registration))) == (expected, expected)


async def test_transactions_side_by_side_never_mix_partners(service: Service, pseb: Caller, pasha: Caller) -> None:
    for caller in (pseb, pasha):
        await cases.submitted(caller)

    async def read(principal: Principal) -> list[object]:
        async with service.database.transaction(principal, read_only=True) as tx:
            return [row[0] for row in await tx.fetch(WHOSE)]

    callers = [pseb, pasha] * 100
    found = await asyncio.gather(*(read(acting_for(caller)) for caller in callers))
    assert found == [[caller.credentials.partner_id] for caller in callers]


async def _withdraw_and(
    fault: Callable[[Transaction], Awaitable[None]], database: Database, principal: Principal
) -> None:
    async with database.transaction(principal) as tx:
        await tx.fetch(WITHDRAWN)
        await fault(tx)


async def test_a_block_that_raises_is_rolled_back_and_its_connection_is_reused(service: Service, pseb: Caller) -> None:
    case, mine = await cases.submitted(pseb), acting_for(pseb)

    async def fails(tx: Transaction) -> None:
        await tx.fetch(HALF, by=0)

    async def raises(_: Transaction) -> None:
        raise LookupError

    async def is_cancelled(tx: Transaction) -> None:
        async with asyncio.timeout(0.2):
            await tx.fetch(SLEEP)

    for fault, kind in ((fails, DBAPIError), (raises, LookupError), (is_cancelled, TimeoutError)):
        with pytest.raises(kind):
            await _withdraw_and(fault, service.database, mine)
        assert await status(service.database, mine, case["id"]) == "submitted"
        assert await who(service.database, mine) == (TENANT, str(mine.partner_id))


async def test_nothing_is_left_of_a_transaction_that_is_cancelled_at_whichever_step(service: Service) -> None:
    """Also while its ``BEGIN`` is on the way, when the driver does not know of it yet."""

    async def read() -> None:
        async with service.database.transaction(read_only=True) as tx:
            await tx.execute(text("SELECT 1"))

    for steps in [*range(40)] * 3:
        reading = asyncio.create_task(read())
        for _ in range(steps):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        async with service.database.transaction() as tx:
            assert await tx.scalar(text("SHOW transaction_read_only")) == "off"


async def test_a_transaction_that_failed_is_never_taken_for_committed(service: Service, pseb: Caller) -> None:
    case, mine = await cases.submitted(pseb), acting_for(pseb)

    async def swallows_its_fault(tx: Transaction) -> None:
        with pytest.raises(DBAPIError):
            await tx.fetch(HALF, by=0)

    with pytest.raises(InternalError, match="rolled back"):
        await _withdraw_and(swallows_its_fault, service.database, mine)
    assert await status(service.database, mine, case["id"]) == "submitted"


async def test_statements_and_entities_are_committed_when_the_block_ends(service: Service, pseb: Caller) -> None:
    case, mine = await cases.submitted(pseb), acting_for(pseb)
    async with service.database.transaction(mine) as tx:
        await tx.fetch(WITHDRAWN)
        applicant = await tx.get_one(Applicant, case["applicant_id"])
        applicant.legal_name = "Changed (Pvt) Ltd"
    assert await status(service.database, mine, case["id"]) == "withdrawn"
    assert (await pseb.get(f"/v1/applicants/{case['applicant_id']}")).json()["legal_name"] == "Changed (Pvt) Ltd"


async def test_a_dry_run_rolls_back_statements_of_fetch_and_of_the_session(service: Service, pseb: Caller) -> None:
    case, mine = await cases.submitted(pseb), acting_for(pseb)
    async with service.database.transaction(mine) as tx, tx.dry_run():
        await tx.fetch(WITHDRAWN)
        await tx.execute(text("UPDATE registrations SET note = 'taken back'"))
    assert await status(service.database, mine, case["id"]) == "submitted"


async def test_a_block_with_a_savepoint_that_raises_is_undone_and_the_transaction_goes_on(
    service: Service, pseb: Caller
) -> None:
    case, mine = await cases.submitted(pseb), acting_for(pseb)

    async def fails(tx: Transaction) -> None:
        async with tx.savepoint():
            await tx.fetch(WITHDRAWN)
            await tx.fetch(HALF, by=0)

    async with service.database.transaction(mine) as tx:
        with pytest.raises(DBAPIError):
            await fails(tx)
        async with tx.savepoint() as savepoint:
            await tx.fetch(WITHDRAWN)
            await savepoint.rollback()
        async with tx.savepoint():
            await tx.execute(text("UPDATE registrations SET note = 'kept'"))
    read = (await pseb.get(f"/v1/registrations/{case['id']}")).json()
    assert (read["status"], read["note"]) == ("submitted", "kept")


@pytest.mark.parametrize("undo", [False, True])
async def test_a_block_with_a_savepoint_that_loses_its_connection_is_an_outage(service: Service, undo: bool) -> None:
    cut = Statement(select(func.pg_terminate_backend(func.pg_backend_pid())))

    async def loses_it() -> None:
        async with service.database.transaction() as tx:
            await tx.execute(text("SET LOCAL ROLE NONE"))
            async with tx.dry_run() if undo else tx.savepoint():
                await tx.fetch(cut)

    with pytest.raises((DBAPIError, OSError)) as lost:
        await loses_it()
    assert is_outage(lost.value)


async def test_a_transaction_that_has_lost_its_connection_is_an_outage_and_the_next_gets_another(
    service: Service, mine: Principal
) -> None:
    cut = Statement(select(func.pg_terminate_backend(func.pg_backend_pid())))

    async def loses_it() -> None:
        async with service.database.transaction() as tx:
            await tx.execute(text("SET LOCAL ROLE NONE"))
            await tx.fetch(cut)

    with pytest.raises((DBAPIError, OSError)) as lost:
        await loses_it()
    assert is_outage(lost.value)
    assert await who(service.database, mine) == (TENANT, str(mine.partner_id))


async def test_connections_that_were_cut_are_replaced_before_they_are_used_again(
    service: Service, mine: Principal
) -> None:
    await asyncio.gather(*(who(service.database, mine) for _ in range(3)))
    cut = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    await postgres.execute(service.settings.database_url, f"{cut} AND datname = current_database()")
    for _ in range(3):
        assert await who(service.database, mine) == (TENANT, str(mine.partner_id))


async def test_no_statement_of_a_submission_is_planned_for_its_values(service: Service, pseb: Caller) -> None:
    applicant = (await pseb.post("/v1/applicants", json=cases.company())).json()["id"]
    for _ in range(8):
        headers = {"Idempotency-Key": uuid4().hex}
        body = cases.registration(applicant, reference=uuid4().hex)
        answer = await pseb.post("/v1/registrations", json=body, headers=headers)
        assert answer.status_code == 201
    async with service.app.state.database.transaction(index_plans=True) as tx:
        planned = (await tx.execute(text(CUSTOM))).scalars().all()
    assert not [each for each in planned if "INSERT INTO registrations" in each]


async def test_a_cancelled_transaction_leaves_nothing_on_its_connection(service: Service) -> None:
    database = service.database

    async def read() -> None:
        async with database.transaction(read_only=True) as tx:
            await tx.fetch(WHO)

    for step in range(80):
        reading = asyncio.create_task(read())
        await asyncio.sleep(step * 0.0001)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        async with database.transaction() as tx:
            assert await tx.scalar(text("SHOW transaction_read_only")) == "off", step


@pytest.mark.parametrize(
    "error",
    [asyncpg.InternalClientError("cannot switch to state 12"), asyncpg.ConnectionDoesNotExistError("it was closed")],
)
def test_a_connection_lost_at_any_moment_is_an_outage(error: Exception) -> None:
    assert isinstance(error, DRIVER_ERRORS)
    assert is_outage(to_dbapi_error(error, "SELECT 1"))
