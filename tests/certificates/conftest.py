"""Fixtures of the tests of certificates."""

import pytest

from app.certificates import status_list
from app.core.settings import Settings
from tests.support.service import Service


@pytest.fixture
def fast_list(monkeypatch: pytest.MonkeyPatch, service: Service, settings: Settings) -> None:
    """The status list is made again for each request, without waiting."""
    monkeypatch.setattr(status_list, "REBUILD_SECONDS", 0)
    lists = status_list.StatusLists(service.app.state.database, settings.public_url, lambda _: False)
    monkeypatch.setattr(service.app.state, "status_lists", lists)
