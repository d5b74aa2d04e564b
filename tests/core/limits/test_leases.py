"""The leases of a window together never exceed its quota, however many processes take them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from app.core.database.engine import Database
from app.core.limits.leases import Grant, RateWindow, delete_ended, lease
from app.core.settings import Settings

DAY = timedelta(days=1)


@pytest.fixture
async def databases(settings: Settings) -> AsyncIterator[list[Database]]:
    """The database of two processes."""
    both = [Database(settings) for _ in range(2)]
    yield both
    for each in both:
        await each.close()


async def leased(
    database: Database, portion: int, *, subject: str = "one", quota: int = 100, window: timedelta = DAY
) -> Grant:
    async with database.transaction() as tx:
        return await lease(tx, "read", subject, portion=portion, quota=quota, window=window)


async def test_processes_that_ask_at_once_get_the_quota_and_no_more(databases: list[Database]) -> None:
    grants = await asyncio.gather(*(leased(databases[i % 2], 7) for i in range(20)))
    assert sum(each.requests for each in grants) == 100
    assert sorted(each.requests for each in grants)[5:] == [2] + [7] * 14
    assert min(each.unleased for each in grants) == 0


async def test_each_subject_has_a_quota_of_its_own(databases: list[Database]) -> None:
    assert (await leased(databases[0], 100)).requests == 100
    assert (await leased(databases[0], 100, subject="another")).requests == 100


async def test_a_quota_that_was_lowered_grants_nothing_more_of_the_window(databases: list[Database]) -> None:
    await leased(databases[0], 50)
    lowered = await leased(databases[1], 5, quota=20)
    assert (lowered.requests, lowered.unleased) == (0, 0)


async def test_the_next_window_begins_with_the_whole_quota(databases: list[Database]) -> None:
    first = await leased(databases[0], 100)
    async with databases[0].transaction() as tx:
        await tx.execute(update(RateWindow).values(window_start=RateWindow.window_start - DAY))
    second = await leased(databases[0], 100)
    assert (first.requests, second.requests) == (100, 100)


async def test_a_grant_says_how_long_its_window_lasts(databases: list[Database]) -> None:
    async with databases[0].transaction(read_only=True) as tx:
        left = await tx.scalar(select(DAY - (func.now() - func.date_trunc("day", func.now(), "UTC"))))
    assert left is not None
    grant = await leased(databases[0], 1)
    assert 0 <= left.total_seconds() - grant.seconds < 30


async def test_only_windows_that_have_ended_are_swept(databases: list[Database]) -> None:
    await leased(databases[0], 1)
    await leased(databases[0], 1, subject="ended")
    async with databases[0].transaction() as tx:
        ended = update(RateWindow).where(RateWindow.subject == "ended")
        await tx.execute(ended.values(window_start=RateWindow.window_start - 2 * DAY))
        await delete_ended(tx, DAY)
        assert (await tx.scalars(select(RateWindow.subject))).all() == ["one"]
