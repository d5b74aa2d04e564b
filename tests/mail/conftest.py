"""Fixtures of the tests of mail: a service that sends to a server of the test's own."""

from collections.abc import AsyncIterator

import pytest

from app.core.settings import Settings
from app.mail.sending import Mailer
from tests.support import postgres
from tests.support.mail_server import Mailbox, running_mail_server
from tests.support.service import Service


@pytest.fixture
async def mail_server() -> AsyncIterator[tuple[Mailbox, str]]:
    """A mailbox and the URL of its server."""
    async with running_mail_server() as server:
        yield server


@pytest.fixture
def mailbox(mail_server: tuple[Mailbox, str]) -> Mailbox:
    """What people are sent."""
    return mail_server[0]


@pytest.fixture
def settings(database_url: str, mail_server: tuple[Mailbox, str]) -> Settings:
    """Settings of a service that sends mail."""
    sender = "IP register <noreply@register.example>"
    return postgres.settings_for(database_url, smtp_url=mail_server[1], mail_from=sender)


@pytest.fixture
def mailer(service: Service, settings: Settings) -> Mailer:
    """The sender of a worker."""
    return Mailer(service.database, settings)
