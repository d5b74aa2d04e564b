"""Fixtures of the tests of webhooks: receivers that the service may connect to, and a deliverer."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.core.outbound.client import Outbound
from app.core.settings import Settings
from app.webhooks.delivery import Deliverer
from tests.support import postgres
from tests.support.receiver import Authority, Receiver, receiving
from tests.support.service import Service
from tests.support.webhooks import Clock


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The certificate authority of the receivers."""
    return Authority(tmp_path)


@pytest.fixture
def tls(authority: Authority) -> ssl.SSLContext:
    """The TLS context of the receivers."""
    return authority.server("127.0.0.1")


@pytest.fixture
async def receiver(tls: ssl.SSLContext) -> AsyncIterator[Receiver]:
    """A partner's receiver."""
    async with receiving(tls) as receiver:
        yield receiver


@pytest.fixture
async def other_receiver(tls: ssl.SSLContext) -> AsyncIterator[Receiver]:
    """Another receiver."""
    async with receiving(tls) as receiver:
        yield receiver


@pytest.fixture
def settings(database_url: str, authority: Authority, receiver: Receiver, other_receiver: Receiver) -> Settings:
    """Settings that allow connections to the receivers."""
    places = [f"127.0.0.1:{each.port}" for each in (receiver, other_receiver)]
    return postgres.settings_for(database_url, outbound_allowed=places, outbound_ca_file=authority.ca_file)


@pytest.fixture
def clock() -> Clock:
    """The deliverer's clock."""
    return Clock()


@pytest.fixture
def deliverer(service: Service, settings: Settings, clock: Clock) -> Deliverer:
    """A deliverer that runs when a test tells it to."""
    return Deliverer(service.database, Outbound(settings), clock)
