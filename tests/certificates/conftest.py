"""Fixtures of the tests of certificates."""

from collections.abc import Iterator

import pytest

from app.certificates import status_list
from app.core.settings import Settings
from tests.support import postgres, processes
from tests.support.service import Service


@pytest.fixture
def fast_list(monkeypatch: pytest.MonkeyPatch, service: Service, settings: Settings) -> None:
    """The status list is made again for each request, without waiting."""
    monkeypatch.setattr(status_list, "REBUILD_SECONDS", 0)
    lists = status_list.StatusLists(service.app.state.database, settings.public_url, lambda _: False)
    monkeypatch.setattr(service.app.state, "status_lists", lists)


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Settings with the URL at which ``url`` serves, so that certificates name it as their issuer."""
    return postgres.settings_for(database_url, public_url=f"http://127.0.0.1:{processes.free_port()}")


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    """The URL of a real API process."""
    port = settings.public_url.rpartition(":")[2]
    with processes.running("serve", processes.environment(settings, PORT=port)) as process:
        processes.wait_until_live(settings.public_url, process)
        yield settings.public_url
