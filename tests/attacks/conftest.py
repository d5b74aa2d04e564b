"""The served process that an attack meets, and an honest caller beside it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

import pytest

from app.core.settings import Settings
from tests.attacks.witness import Brief, Report, witnessing
from tests.support import cases, processes
from tests.support.processes import Running
from tests.support.service import Service


@pytest.fixture
def worker(settings: Settings) -> Iterator[Running]:
    """A real worker on the test's database."""
    with processes.running("worker", processes.environment(settings)) as worker:
        yield worker


@pytest.fixture
def url(settings: Settings, worker: Running) -> Iterator[str]:
    """A real API process beside it."""
    with processes.serving(settings) as url:
        yield url


@pytest.fixture
async def witness(service: Service, url: str) -> Callable[[], AbstractContextManager[Report]]:
    """Calls the service beside a block: ``with witness() as report: attack()``, then ``report.assert_served()``."""
    honest = await service.caller("witness")
    applicant = await honest.post("/v1/applicants", json=cases.company())
    brief = Brief(url, honest.credentials.client_id, honest.credentials.client_secret, applicant.json()["id"])
    return partial(witnessing, brief)
