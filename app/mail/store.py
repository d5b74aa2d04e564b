"""SQL of mail: contacts, and the queue of mails."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Text, Uuid, and_, case, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from uuid_utils.compat import uuid7

from app.applicants.models import Applicant
from app.core.database.base import INSTANT, NOW
from app.core.database.batches import any_of, json_rows
from app.core.database.transaction import Transaction
from app.mail.models import Contact, LogPosition, Mail
from app.mail.rules import CODE_INTERVAL, MailKind, MailStatus
from app.registrations.models import Registration

UNSYNCHRONIZED = {"synchronize_session": False}
IS_PRESENT = Contact.address_hash == Applicant.email_hash
TAKES_NOTICES = and_(Contact.verified_at.is_not(None), Contact.stopped_at.is_(None))
MAY_BE_SENT = and_(IS_PRESENT, or_(Mail.kind == MailKind.CODE, TAKES_NOTICES))


class Address(NamedTuple):
    """The sealed e-mail address of an applicant and its keyed hash."""

    applicant_id: UUID
    hash: str


@dataclass(frozen=True, slots=True)
class NewMail:
    """A mail to be queued."""

    contact_id: UUID
    event_id: UUID
    kind: str
    count: int
    date: str | None


@dataclass(frozen=True, slots=True)
class ClaimedMail:
    """A mail that a worker has claimed for attempt number ``attempts``, with the sealed address."""

    id: UUID
    kind: MailKind
    cases: int
    date: datetime | None
    sealed_code: bytes | None
    attempts: int
    language: str
    stop_token: UUID
    sealed_email: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """The state of a mail after attempt number ``attempts``; ignored when another attempt has begun."""

    id: UUID
    attempts: int
    status: str
    next_attempt_at: str | None
    last_error: str | None
    settled_at: str | None


async def address_of(tx: Transaction, registration_id: UUID) -> Address | None:
    """Return the address of a case's applicant; None once it is erased."""
    statement = (
        select(Applicant.id, Applicant.email_hash)
        .join(Registration, Registration.applicant_id == Applicant.id)
        .where(Registration.id == registration_id, Applicant.erased_at.is_(None), Applicant.email_hash.is_not(None))
    )
    found = (await tx.execute(statement)).one_or_none()
    return Address(found[0], found[1] or "") if found else None


async def may_send_code(tx: Transaction, address_hash: str) -> bool:
    """Lock an address, and tell whether no code was sent to it within the last hour, for whichever record."""
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"mail {address_hash}", 0))))
    recent = and_(Contact.address_hash == address_hash, Contact.code_sent_at > NOW - CODE_INTERVAL)
    return not await tx.scalar(select(select(Contact.id).where(recent).exists()))


async def start_verification(tx: Transaction, address: Address, language: str, code_hash: str) -> UUID:
    """Keep the hash of a new code for an applicant's address; returns the contact's id. A verification stays."""
    code: dict[str, Any] = {"language": language, "code_hash": code_hash, "code_attempts": 0, "code_sent_at": NOW}
    statement = insert(Contact).values(id=uuid7(), applicant_id=address.applicant_id, address_hash=address.hash, **code)
    statement = statement.on_conflict_do_update(index_elements=[Contact.applicant_id, Contact.address_hash], set_=code)
    return (await tx.scalars(statement.returning(Contact.id))).one()


async def lock_contact(tx: Transaction, registration_id: UUID) -> Contact | None:
    """Lock and return the contact of the address that a case's applicant has now."""
    statement = (
        select(Contact)
        .join(Applicant, Applicant.id == Contact.applicant_id)
        .join(Registration, Registration.applicant_id == Applicant.id)
        .where(Registration.id == registration_id, IS_PRESENT)
    )
    contact: Contact | None = await tx.scalar(statement.with_for_update(of=Contact))
    return contact


async def stop(tx: Transaction, stop_token: UUID) -> bool:
    """Stop the mail to the contact of a token, and drop what waits; false when there is none."""
    stopped = (
        update(Contact)
        .where(Contact.stop_token == stop_token)
        .values(stopped_at=func.coalesce(Contact.stopped_at, NOW))
        .returning(Contact.id)
        .execution_options(**UNSYNCHRONIZED)
    )
    contact_id = (await tx.scalars(stopped)).one_or_none()
    if contact_id is None:
        return False
    waiting = (Mail.contact_id == contact_id, Mail.status == MailStatus.PENDING, Mail.kind != MailKind.CODE)
    await tx.execute(delete(Mail).where(*waiting).execution_options(**UNSYNCHRONIZED))
    return True


async def lock_position(tx: Transaction) -> LogPosition | None:
    """Lock the place in the log; None while another worker has it."""
    position: LogPosition | None = await tx.scalar(select(LogPosition).with_for_update(skip_locked=True))
    return position


async def contacts_of(tx: Transaction, registration_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Return the contacts that may be told of these cases, by case."""
    statement = (
        select(Registration.id, Contact.id)
        .join(Applicant, Applicant.id == Registration.applicant_id)
        .join(Contact, Contact.applicant_id == Applicant.id)
        .where(any_of(Registration.id, registration_ids), IS_PRESENT, TAKES_NOTICES)
    )
    return dict((await tx.execute(statement)).all())


async def add_code(tx: Transaction, contact_id: UUID, sealed_code: bytes) -> None:
    """Queue the mail with a code."""
    tx.add(Mail(contact_id=contact_id, event_id=uuid7(), kind=MailKind.CODE, sealed_code=sealed_code))
    await tx.flush()


async def add(tx: Transaction, mails: Sequence[NewMail]) -> None:
    """Queue mails; one that is queued for the same event already stays as it is."""
    if not mails:
        return
    kinds: dict[str, Any] = {
        "id": Uuid, "contact_id": Uuid, "event_id": Uuid, "kind": Text, "count": Integer, "date": INSTANT,
    }  # fmt: skip
    given = json_rows("mail", kinds, [{"id": uuid7(), **asdict(each)} for each in mails])
    await tx.execute(insert(Mail).from_select(list(kinds), select(*given.c)).on_conflict_do_nothing())


async def claim(tx: Transaction, limit: int, lease: timedelta) -> list[ClaimedMail]:
    """Claim up to ``limit`` due mails; they are due again after ``lease`` if the worker dies.

    One whose contact has stopped, or has another address by now, is deleted.
    """
    due = and_(Mail.status == MailStatus.PENDING, Mail.next_attempt_at <= func.now())
    statement = (
        select(Mail.id, Contact, Applicant.sealed_email, MAY_BE_SENT.label("may_be_sent"))
        .join(Contact, Contact.id == Mail.contact_id)
        .join(Applicant, Applicant.id == Contact.applicant_id)
        .where(due)
        .order_by(Mail.next_attempt_at)
        .limit(limit)
        .with_for_update(of=Mail, skip_locked=True)
    )
    found = (await tx.execute(statement)).all()
    dropped = [each.id for each in found if not each.may_be_sent]
    if dropped:
        await tx.execute(delete(Mail).where(any_of(Mail.id, dropped)).execution_options(**UNSYNCHRONIZED))
    recipients = {each.id: each for each in found if each.may_be_sent}
    taken = update(Mail).where(any_of(Mail.id, list(recipients)))
    columns = (Mail.id, Mail.kind, Mail.count, Mail.date, Mail.sealed_code, Mail.attempts)
    taken = taken.values(attempts=Mail.attempts + 1, next_attempt_at=func.now() + lease)
    rows = await tx.execute(taken.returning(*columns).execution_options(**UNSYNCHRONIZED))
    return [_claimed(row, recipients[row.id]) for row in rows]


def _claimed(row: Any, recipient: Any) -> ClaimedMail:
    contact: Contact = recipient.Contact
    return ClaimedMail(
        id=row.id,
        kind=MailKind(row.kind),
        cases=row.count,
        date=row.date,
        sealed_code=row.sealed_code,
        attempts=row.attempts,
        language=contact.language,
        stop_token=contact.stop_token,
        sealed_email=recipient.sealed_email,
    )


async def record(tx: Transaction, results: Sequence[Result]) -> None:
    """Update mails by the results of their attempts; the code of one that is settled is forgotten."""
    kinds: dict[str, Any] = {
        "id": Uuid, "attempts": Integer, "status": Text, "next_attempt_at": INSTANT, "last_error": Text,
        "settled_at": INSTANT,
    }  # fmt: skip
    given = json_rows("result", kinds, [asdict(each) for each in results])
    written = {name: given.c[name] for name in ("status", "next_attempt_at", "last_error", "settled_at")}
    kept = case((given.c.settled_at.is_(None), Mail.sealed_code))
    await tx.execute(
        update(Mail)
        .where(Mail.id == given.c.id, Mail.attempts == given.c.attempts)
        .values(**written, sealed_code=kept)
        .execution_options(**UNSYNCHRONIZED)
    )


async def delete_settled_before(tx: Transaction, instant: datetime) -> None:
    """Delete mails that were sent or given up before ``instant``."""
    await tx.execute(delete(Mail).where(Mail.settled_at < instant).execution_options(**UNSYNCHRONIZED))


async def forget_applicants(tx: Transaction, applicant_ids: Collection[UUID]) -> None:
    """Delete the contacts of applicants, with their mails."""
    deleted = delete(Contact).where(any_of(Contact.applicant_id, applicant_ids))
    await tx.execute(deleted.execution_options(**UNSYNCHRONIZED))
