"""Sending of mails by SMTP: claims what is due, sends it over one connection, and retries."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import structlog
from aiosmtplib import SMTP, SMTPException, SMTPRecipientsRefused, SMTPResponseException

from app.applicants.store import unseal_email
from app.core.database.engine import Database
from app.core.database.transaction import Transaction
from app.core.settings import Settings
from app.mail import rules, service, store
from app.mail.models import CODE
from app.mail.rules import MailStatus
from app.mail.store import ClaimedMail, Result
from app.mail.texts import Content, compose

AT_ONCE = 20
SECONDS = 15.0
LEASE = timedelta(seconds=SECONDS * 2 * AT_ONCE)
log = structlog.get_logger(__name__)


class Mailer:
    """Queues notices and sends mails; workers share them by row locks and claims.

    Raises ``ValueError`` for an ``SMTP_URL`` that is none. Without one, and without ``MAIL_FROM``, it does nothing.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._server = rules.server_of(settings.smtp_url.get_secret_value()) if settings.smtp_url else None

    async def run_once(self) -> None:
        """Queue mails for new events, and send all that are due."""
        if not self._settings.sends_mail:
            return
        has_more = True
        while has_more:
            async with self._database.transaction() as tx:
                has_more = await service.queue_notices(tx)
        while await self._send_batch():
            pass

    async def _send_batch(self) -> bool:
        """Claim due mails, send them outside a transaction, record the results; return False if none was due."""
        async with self._database.transaction() as tx:
            claimed = await store.claim(tx, AT_ONCE, LEASE)
        if not claimed:
            return False
        results = await self._send(claimed)
        async with self._database.transaction() as tx:
            await store.record(tx, results)
        return True

    async def _send(self, claimed: Sequence[ClaimedMail]) -> list[Result]:
        """Send mails over one connection; without a connection each of them has failed once."""
        assert self._server is not None
        client = SMTP(timeout=SECONDS, **self._server)
        try:
            await client.connect()
        except (SMTPException, OSError) as error:
            log.warning("the mail server cannot be reached", error=_reason(error))
            return [_failed(each, error) for each in claimed]
        try:
            return [await self._send_one(client, each) for each in claimed]
        finally:
            client.close()

    async def _send_one(self, client: SMTP, mail: ClaimedMail) -> Result:
        """Send a mail once. Any exception is a failed attempt, so that every attempt counts."""
        try:
            message = self._compose(mail)
            if not client.is_connected:  # the server hung up after the last mail
                await client.connect()
            await client.send_message(message)
        except (SMTPException, OSError) as error:
            log.warning("a mail was not sent", mail_id=str(mail.id), error=_reason(error))
            return _failed(mail, error)
        except Exception as fault:
            log.exception("a mail failed by an internal error", mail_id=str(mail.id))
            return _failed(mail, fault)
        return Result(mail.id, mail.attempts, MailStatus.SENT, None, None, datetime.now(UTC).isoformat())

    def _compose(self, mail: ClaimedMail) -> EmailMessage:
        keyring = self._database.keyring
        code = keyring.unseal_text(CODE, mail.sealed_code) if mail.sealed_code else None
        return compose(
            Content(mail.kind, mail.cases, mail.date, code),
            mail.language,
            sender=self._settings.mail_from or "",
            to=unseal_email(keyring, mail.sealed_email),
            public_url=self._settings.public_url,
            stop_path=f"{rules.STOP_PATH}/{mail.stop_token}",
        )


def _failed(mail: ClaimedMail, error: Exception) -> Result:
    now = datetime.now(UTC)
    code = _code(error)
    again = None if code and rules.is_permanent(code) else rules.next_attempt(mail.attempts, now)
    status = MailStatus.PENDING if again else MailStatus.FAILED
    settled_at = None if again else now.isoformat()
    next_attempt_at = again.isoformat() if again else None
    return Result(mail.id, mail.attempts, status, next_attempt_at, _reason(error), settled_at)


def _code(error: Exception) -> int | None:
    """Return the code of the server's reply, which may be that to the one recipient."""
    if isinstance(error, SMTPRecipientsRefused):
        return error.recipients[0].code
    return error.code if isinstance(error, SMTPResponseException) else None


def _reason(error: Exception) -> str:
    """Return the kind of an error and the server's code, without its text, which may repeat the address."""
    code = _code(error)
    return f"{type(error).__name__} {code}" if code else type(error).__name__


async def forget_old_mails(tx: Transaction) -> None:
    """Delete mails that were sent or given up more than ``MAILS_KEPT`` ago."""
    await store.delete_settled_before(tx, datetime.now(UTC) - rules.MAILS_KEPT)
