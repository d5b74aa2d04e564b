"""The running service that a journey goes through."""

from collections.abc import Iterator

import pytest

from app.core.settings import Settings
from tests.support import postgres, processes

NO_SERVER = "smtp://127.0.0.1:9"


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Settings of a service that offers mail, so that all its operations are there."""
    return postgres.settings_for(database_url, smtp_url=NO_SERVER, mail_from="noreply@register.example")


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    """A real API and worker."""
    with processes.serving(settings) as url, processes.running("worker", processes.environment(settings)):
        yield url
