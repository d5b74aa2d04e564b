"""SQL of what is due: it agrees with the rule, and goes by indexes however many cases there are."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from itertools import product
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text

from app.core.database.transaction import Transaction
from app.registrations import due_store, store
from app.registrations.rules import Status
from app.registrations.validity import due_moves
from tests.support import cases
from tests.support.service import Caller, Service

DAY = timedelta(days=1)
STATUSES = (Status.APPROVED, Status.LAPSED, Status.SUSPENDED, Status.EXPIRED)
LEFT = [timedelta(days=days) for days in (-1, 0, 0.5, 1, 1.5, 7, 8, 30, 31)]
GRACES = (timedelta(), DAY)
REMINDED = (None, 30, 7, 1)
PUT = text(
    "UPDATE registrations SET status = :status, expires_at = :expires_at, ends_at = :ends_at, reminded_days = :reminded"
)
CASES = 20_000
# Approvals of a year. Ten each are to be reminded of, to lapse and to end, and ten have a notice that is due among a
# hundred that are not.
FILL = """
    INSERT INTO registrations (id, partner_id, client_id, applicant_id, subject, track, purpose, operator, status,
                               due_at, expires_at, ends_at, reminded_days, notice_decision_id, notice_effective_at)
    SELECT gen_random_uuid(), partner_id, client_id, applicant_id, subject, track, purpose, operator,
           CASE WHEN n <= 20 THEN 'lapsed' ELSE 'approved' END, due_at,
           CASE WHEN n <= 20 THEN now() - interval '1 day' WHEN n <= 30 THEN now()
                WHEN n <= 40 THEN now() + interval '20 days'
                ELSE now() + interval '31 days' + interval '1 day' * (n % 365) END,
           CASE WHEN n <= 10 THEN now() ELSE now() + interval '400 days' END,
           CASE WHEN n BETWEEN 31 AND 40 THEN NULL ELSE 30 END,
           CASE WHEN n BETWEEN 101 AND 210 THEN gen_random_uuid() END,
           CASE WHEN n BETWEEN 101 AND 110 THEN now() WHEN n BETWEEN 111 AND 210 THEN now() + interval '9 days' END
    FROM registrations, generate_series(1, $1) n
"""
READ = text("SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'registrations'")


async def test_what_the_database_finds_due_is_what_the_rule_says(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    id_ = UUID((await cases.approved(pseb, officer))["id"])
    for status, left, grace, reminded in product(STATUSES, LEFT, GRACES, REMINDED):
        async with service.database.transaction() as tx:
            expires_at = await tx.now() + left
            dates = {"expires_at": expires_at, "ends_at": expires_at + grace, "reminded": reminded}
            await tx.execute(PUT, {"status": status, **dates})
            found = await due_store.due_by_validity(tx, 10)
            (case,) = await anext(store.lock_cases(tx, store.with_ids([id_]), 1))
            assert found == [id_] * len(due_moves(case, await tx.now())), (status, left, grace, reminded)


@pytest.fixture
async def many_cases(service: Service, pseb: Caller) -> Service:
    """A service with many approvals, and statistics."""
    await cases.submitted(pseb)
    connection = await asyncpg.connect(service.settings.database_url)
    try:
        await connection.execute(FILL, CASES)
        await connection.execute("ANALYZE registrations")
    finally:
        await connection.close()
    return service


async def _with_due_notice(tx: Transaction, limit: int) -> list[UUID]:
    return await store.ids_where(tx, due_store.notice_is_due(), limit)


@pytest.mark.parametrize(
    ("find", "number"), [(due_store.due_by_validity, 30), (_with_due_notice, 10)], ids=["validity", "notices"]
)
async def test_what_is_due_is_found_by_indexes(
    many_cases: Service, find: Callable[[Transaction, int], Coroutine[Any, Any, list[UUID]]], number: int
) -> None:
    async with many_cases.database.transaction(read_only=True) as tx:
        scans = await tx.scalar(READ)
        assert len(await find(tx, 5_000)) == number
        assert await tx.scalar(READ) == scans, "sequential scan"


async def test_a_sweep_takes_no_more_cases_than_it_may(many_cases: Service) -> None:
    async with many_cases.database.transaction(read_only=True) as tx:
        assert len(await due_store.due_by_validity(tx, 7)) == 7
