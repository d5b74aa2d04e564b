"""Partners, their API clients, and the keys that sign tokens."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Text, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.core.orm import Base, Identified, Versioned, one_of, sealed_column
from app.partners.rules import PartnerKind


class Partner(Identified, Versioned, Base):
    """An organisation whose systems call the service. ``operator`` ties an operator's partner to its code."""

    __tablename__ = "partners"
    __table_args__ = (one_of("kind", PartnerKind),)

    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    operator: Mapped[str | None]


class Client(Identified, Versioned, Base):
    """An API client of a partner: a system, or an officer of the regulator."""

    __tablename__ = "clients"
    __table_args__ = (UniqueConstraint("partner_id", "name"),)

    partner_id: Mapped[UUID] = mapped_column(ForeignKey(Partner.id))
    name: Mapped[str]
    client_id: Mapped[str] = mapped_column(unique=True)
    secret_hash: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    disabled_at: Mapped[datetime | None]
    partner: Mapped[Partner] = relationship(lazy="joined", innerjoin=True)


class SigningKey(Base):
    """A key pair that signs access tokens; the private half is sealed."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    sealed_jwk: Mapped[bytes] = sealed_column()
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    retired_at: Mapped[datetime | None]
