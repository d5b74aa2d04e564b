"""A real SMTP server on this machine that keeps the mails it was sent, and can refuse."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    """What the server received. ``refusal`` is its reply to each recipient, where it is set."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refusal = ""
        self.asked = 0

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[Any]
    ) -> str:
        """Take a recipient, or refuse it."""
        self.asked += 1
        if self.refusal:
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        """Keep a mail."""
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 Taken"


@asynccontextmanager
async def running_mail_server() -> AsyncIterator[tuple[Mailbox, str]]:
    """Run a server; gives its mailbox and URL."""
    mailbox = Mailbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(mailbox), "127.0.0.1", 0)
    async with server:
        yield mailbox, f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
