"""Fixtures of the tests of partners."""

from collections.abc import AsyncIterator

import pytest

from app.partners.login import client_authentication
from tests.support import postgres
from tests.support.service import Caller, Service

NO_POLL = 3600.0


@pytest.fixture(autouse=True)
def refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer refused assertions at once, without the delay that hides the reason."""
    monkeypatch.setattr(client_authentication, "REFUSED_AFTER_SECONDS", 0.0)


@pytest.fixture
async def second(service: Service) -> Caller:
    """A second administrator."""
    return await service.admin("pta-admin-2")


@pytest.fixture
async def third(service: Service) -> Caller:
    """A third administrator."""
    return await service.admin("pta-admin-3")


@pytest.fixture
async def processes(database_url: str) -> AsyncIterator[list[Service]]:
    """Two API processes on one database that receive notifications and do not poll."""
    services = [Service(postgres.settings_for(database_url, poll_seconds=NO_POLL)) for _ in range(2)]
    first, second = (each.app.router.lifespan_context(each.app) for each in services)
    async with first, second:
        yield services
    for each in services:
        await each.http.aclose()
        await each.database.close()
