"""Tables of mail: contacts that verified their address, mails to be sent, and the place in the log."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.applicants.models import Applicant
from app.core.database.base import Base, Identified, one_of, sealed_column
from app.mail.rules import MailKind, MailStatus

CODE = "mails.sealed_code"


class Contact(Identified, Base):
    """An e-mail address that an applicant's record has or had, by its keyed hash, as far as mail to it is allowed.

    The address itself is the applicant's; mail goes only to the present one. Former ones are kept, so that a change of
    the address and back does not let another code be sent. ``stop_token`` is in the link that stops mail to it.
    """

    __tablename__ = "mail_contacts"
    __table_args__ = (
        UniqueConstraint("applicant_id", "address_hash"),
        UniqueConstraint("stop_token"),
        Index(None, "address_hash"),
    )

    applicant_id: Mapped[UUID] = mapped_column(ForeignKey(Applicant.id))
    address_hash: Mapped[str]
    language: Mapped[str]
    code_hash: Mapped[str | None]
    code_sent_at: Mapped[datetime | None]
    code_attempts: Mapped[int] = mapped_column(server_default=text("0"))
    verified_at: Mapped[datetime | None]
    stopped_at: Mapped[datetime | None]
    stop_token: Mapped[UUID] = mapped_column(server_default=text("gen_random_uuid()"))


class Mail(Identified, Base):
    """A mail to a contact about ``count`` cases; ``event_id`` is the first of its events, and the contact's of a code.

    During an attempt, ``next_attempt_at`` is the end of the worker's claim.
    """

    __tablename__ = "mails"
    __table_args__ = (
        one_of("kind", MailKind),
        one_of("status", MailStatus),
        UniqueConstraint("contact_id", "event_id"),
        Index("mails_due_idx", "next_attempt_at", postgresql_where=text("status = 'pending'")),
        Index(None, "settled_at"),
    )

    contact_id: Mapped[UUID] = mapped_column(ForeignKey(Contact.id, ondelete="CASCADE"))
    event_id: Mapped[UUID]
    kind: Mapped[str]
    count: Mapped[int] = mapped_column(server_default=text("1"))
    date: Mapped[datetime | None]
    sealed_code: Mapped[bytes | None] = sealed_column()
    status: Mapped[str] = mapped_column(server_default=text("'pending'"))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    next_attempt_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    last_error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    settled_at: Mapped[datetime | None]


class LogPosition(Base):
    """The last event of the log that was read for mail, in one row that the migration inserts."""

    __tablename__ = "mail_log_position"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(primary_key=True, server_default=text("1"))
    after: Mapped[UUID | None]
