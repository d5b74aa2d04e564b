"""The register's clock: the database's, the same for a whole transaction, and movable by tests alone."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from app.core.database.base import NOW
from tests.support.service import Service


async def test_a_transaction_has_one_time_the_databases(service: Service) -> None:
    async with service.database.transaction() as tx:
        assert await tx.now() == await tx.now() == await tx.scalar(select(func.now())) == await tx.scalar(select(NOW))


async def test_a_moved_clock_is_everybodys(service: Service) -> None:
    for days in (30, -1):
        await service.move_clock(timedelta(days=days))
        async with service.database.transaction() as tx:
            now = (await tx.scalars(select(func.now()))).one()
            assert await tx.now() == now + timedelta(days=days)


async def test_the_service_itself_cannot_move_the_clock(service: Service) -> None:
    replaced = text("CREATE OR REPLACE FUNCTION register_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'")
    with pytest.raises(DBAPIError, match="permission denied"):
        async with service.database.transaction() as tx:
            await tx.execute(replaced)
