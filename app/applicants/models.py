"""The table of applicants: one record per partner and NTN or CNIC."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.applicants.rules import ApplicantKind
from app.core.database.base import Base, Identified, Versioned, one_of, sealed_column
from app.partners.models import Partner


class Applicant(Identified, Versioned, Base):
    """A partner's record of an applicant.

    ``subject`` is the keyed hash of the identifying number, the same in every partner's record. CNIC, e-mail and
    mobile are sealed; CNIC and e-mail have keyed hashes too, for look-ups. ``fingerprint`` is the keyed hash of all
    details, to detect changes. From ``erased_at`` on, personal data is erased and ``subject`` is random.
    ``retention_check_at`` is the next time to check whether the record is due for erasure; null: never.
    """

    __tablename__ = "applicants"
    __table_args__ = (
        one_of("kind", ApplicantKind),
        UniqueConstraint("partner_id", "subject"),
        Index(None, "subject"),
        Index(None, "partner_id", "ntn"),
        Index(None, "partner_id", "cnic_hash"),
        Index(None, "partner_id", "email_hash"),
        Index(None, "retention_check_at", postgresql_where=text("retention_check_at IS NOT NULL")),
    )

    partner_id: Mapped[UUID] = mapped_column(ForeignKey(Partner.id))
    subject: Mapped[str]
    kind: Mapped[str]
    legal_name: Mapped[str]
    ntn: Mapped[str | None]
    sealed_cnic: Mapped[bytes | None] = sealed_column()
    cnic_hash: Mapped[str | None]
    sealed_email: Mapped[bytes | None] = sealed_column()
    email_hash: Mapped[str | None]
    sealed_mobile: Mapped[bytes | None] = sealed_column()
    pseb_number: Mapped[str | None]
    pasha_number: Mapped[str | None]
    fingerprint: Mapped[str] = mapped_column(server_default=text("''"))
    erased_at: Mapped[datetime | None]
    retention_check_at: Mapped[datetime | None] = mapped_column(server_default=text("now() + interval '1 day'"))
