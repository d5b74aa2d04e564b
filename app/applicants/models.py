"""Companies and individuals, one record per partner and NTN or CNIC."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.applicants.rules import ApplicantKind
from app.core.orm import Base, Identified, Versioned, one_of
from app.partners.models import Partner


class Applicant(Identified, Versioned, Base):
    """A partner's record of an applicant.

    ``subject`` is the keyed hash of the identifying number, the same in every partner's record. The CNIC is
    kept sealed, and as a keyed hash to find it by. ``fingerprint`` is the keyed hash of all that the record says,
    to tell whether something else is said now.
    """

    __tablename__ = "applicants"
    __table_args__ = (
        one_of("kind", ApplicantKind),
        UniqueConstraint("partner_id", "subject"),
        Index(None, "subject"),
        Index(None, "partner_id", "ntn"),
        Index(None, "partner_id", "cnic_hash"),
    )

    partner_id: Mapped[UUID] = mapped_column(ForeignKey(Partner.id))
    subject: Mapped[str]
    kind: Mapped[str]
    legal_name: Mapped[str]
    ntn: Mapped[str | None]
    sealed_cnic: Mapped[str | None]
    cnic_hash: Mapped[str | None]
    email: Mapped[str]
    mobile: Mapped[str | None]
    pseb_number: Mapped[str | None]
    pasha_number: Mapped[str | None]
    fingerprint: Mapped[str] = mapped_column(server_default=text("''"))
