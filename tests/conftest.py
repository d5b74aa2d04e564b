"""Fixtures of every test: the run's server, a database of the test's own, the service on it, and its partners."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fasteners import InterProcessLock
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings

from app.core.settings import Settings
from app.partners.rules import PartnerKind
from tests.support import compiled, postgres
from tests.support.service import Caller, Service

# the duration of an example says nothing on a busy machine
hypothesis_settings.register_profile("patient", deadline=None)
hypothesis_settings.load_profile("patient")
compiled.share_statement_cache()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Run the tests of a single file in this process, and more files on every processor."""
    is_one_file = len(config.args) == 1 and Path(config.args[0].partition("::")[0]).is_file()
    return 0 if is_one_file else None


# of `make mutants`: the same examples for each mutant, and none made smaller once one has failed
hypothesis_settings.register_profile(
    "mutants", deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate]
)


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory, worker_id: str, testrun_uid: str) -> Iterator[str]:
    """The URL of the run's embedded PostgreSQL, shared by all its processes."""
    base = tmp_path_factory.getbasetemp()
    shared: Path = base if worker_id == "master" else base.parent
    with postgres.running_server(testrun_uid) as url:
        ready = postgres.directory_of(testrun_uid) / "template-ready"
        with InterProcessLock(shared / "template-lock"):
            if not ready.exists():
                postgres.make_template(url)
                ready.touch()
        yield url


@pytest.fixture
async def database_url(server_url: str) -> AsyncIterator[str]:
    """The URL of a migrated database of the test's own."""
    url = await postgres.clone(server_url)
    yield url
    await postgres.drop(server_url, url)


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Settings of a process on the test's database."""
    return postgres.settings_for(database_url)


@pytest.fixture
async def service(settings: Settings) -> AsyncIterator[Service]:
    """The application on the test's database."""
    service = Service(settings)
    yield service
    await service.close()


@pytest.fixture
async def pseb(service: Service) -> Caller:
    """An association."""
    return await service.caller("pseb")


@pytest.fixture
async def pasha(service: Service) -> Caller:
    """Another association."""
    return await service.caller("pasha")


@pytest.fixture
async def nayatel(service: Service) -> Caller:
    """An operator."""
    return await service.caller("nayatel", PartnerKind.OPERATOR, operator="nayatel")


@pytest.fixture
async def officer(service: Service) -> Caller:
    """An officer of the regulator."""
    return await service.officer()


@pytest.fixture
async def admin(service: Service) -> Caller:
    """An officer who may administrate partners as well."""
    return await service.admin()
