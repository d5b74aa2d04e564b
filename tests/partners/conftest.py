"""Fixtures of the tests of partners."""

import pytest

from app.partners.login import client_authentication
from tests.support.service import Caller, Service


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
