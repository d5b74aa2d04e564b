"""The running service that a journey goes through."""

from collections.abc import Iterator

import pytest

from app.core.settings import Settings
from tests.support import processes


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    """A real API and worker."""
    with processes.serving(settings) as url, processes.running("worker", processes.environment(settings)):
        yield url
