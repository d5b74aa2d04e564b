"""Tables of registrations and their networks."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Text,
    Uuid,
    any_,
    case,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, CIDR, aggregate_order_by
from sqlalchemy.orm import Mapped, column_property, mapped_column
from sqlalchemy.sql.functions import func

from app.applicants.models import Applicant
from app.core.database.base import NOW, Base, Identified, Versioned, one_of
from app.core.database.batches import any_of
from app.partners.models import Partner
from app.registrations.receipts import FIRST_RECEIPT, MAX_CASE_NUMBER
from app.registrations.rules import ENDED, OPEN, Protocol, Purpose, Status, Track

# Of the cases of a partner with the same reference, one at most: the newest of its line while it has not ended.
_LISTED_ENDS = ", ".join(f"'{status}'" for status in sorted(ENDED))
NAMES_ITS_LINE = f"replaced_by IS NULL AND status NOT IN ({_LISTED_ENDS})"


class RegistrationNetwork(Base):
    """A network of a registration, with its position in the order given."""

    __tablename__ = "registration_networks"
    __table_args__ = (Index(None, "network", postgresql_using="spgist"),)

    registration_id: Mapped[UUID] = mapped_column(ForeignKey("registrations.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    network: Mapped[str] = mapped_column(CIDR)


class Registration(Identified, Versioned, Base):
    """A case. ``subject`` is its applicant's; reason codes, note and legal basis are those of the last decision.

    ``client_id`` submitted it, and the clients of ``content_by`` have corrected or resubmitted it since. It
    ``replaces`` an earlier case for good, and is ``replaced_by`` the case that is to supersede it, or has. Its receipt
    is made of ``case_number`` and ``receipt_number``, and is not stored (``receipts``).
    """

    __tablename__ = "registrations"
    __table_args__ = (
        one_of("track", Track),
        one_of("purpose", Purpose),
        one_of("protocol", Protocol),
        one_of("status", Status),
        CheckConstraint("handover_hours BETWEEN 0 AND 168", name="handover_hours"),
        Index(None, "partner_id", "reference", postgresql_where=text("reference IS NOT NULL")),
        Index(
            "registrations_reference_key",
            "partner_id",
            "reference",
            unique=True,
            postgresql_where=text(NAMES_ITS_LINE),
        ),
        Index(None, "replaces", postgresql_where=text("replaces IS NOT NULL")),
        Index(None, "status", "id"),
        Index(None, "partner_id", "id"),
        Index(None, "applicant_id"),
        Index(None, "bulk_upload_id", "id"),
        Index("registrations_expiry_idx", "expires_at", postgresql_where=text("status = 'approved'")),
    )

    partner_id: Mapped[UUID] = mapped_column(ForeignKey(Partner.id))
    client_id: Mapped[UUID]
    content_by: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    applicant_id: Mapped[UUID] = mapped_column(ForeignKey(Applicant.id))
    if TYPE_CHECKING:
        networks: Mapped[list[str]]
    subject: Mapped[str]
    track: Mapped[str]
    purpose: Mapped[str]
    protocol: Mapped[str | None]
    operator: Mapped[str]
    subscriber_id: Mapped[str | None]
    reference: Mapped[str | None]
    description: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default=text(f"'{Status.SUBMITTED}'"))
    flags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    reason_codes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    note: Mapped[str | None]
    legal_basis: Mapped[str | None]
    claimed_by: Mapped[UUID | None]
    claim_ends_at: Mapped[datetime | None]
    bulk_upload_id: Mapped[UUID | None]
    submitted_at: Mapped[datetime] = mapped_column(server_default=NOW)
    due_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    replaces: Mapped[UUID | None] = mapped_column(ForeignKey("registrations.id"))
    replaced_by: Mapped[UUID | None]
    handover_hours: Mapped[int | None] = mapped_column(Integer)
    case_number: Mapped[int] = mapped_column(Identity(always=True, maxvalue=MAX_CASE_NUMBER), unique=True)
    receipt_number: Mapped[int] = mapped_column(server_default=text(str(FIRST_RECEIPT)))


NETWORKS = (
    select(
        func.array_agg(aggregate_order_by(RegistrationNetwork.network, RegistrationNetwork.position), type_=ARRAY(CIDR))
    )
    .where(RegistrationNetwork.registration_id == Registration.id)
    .correlate_except(RegistrationNetwork)
    .scalar_subquery()
)
Registration.networks = column_property(NETWORKS)

IS_OPEN = any_of(Registration.status, sorted(OPEN))


def content_by_after(client: ColumnElement[UUID]) -> ColumnElement[Any]:
    """Return the value of ``content_by`` after ``client`` gave a case content: it holds each client at most once."""
    is_known = or_(Registration.client_id == client, client == any_(Registration.content_by))
    return case((is_known, Registration.content_by), else_=func.array_append(Registration.content_by, client))


class TransferCode(Base):
    """A one-time code, as its keyed hash, for which another partner may replace a case that it does not see."""

    __tablename__ = "transfer_codes"
    __table_args__ = (Index(None, "registration_id"),)

    hash: Mapped[str] = mapped_column(primary_key=True)
    registration_id: Mapped[UUID] = mapped_column(ForeignKey(Registration.id))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    used_by: Mapped[UUID | None]
