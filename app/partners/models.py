"""Partners, their API clients, and the keys that sign tokens."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, case, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from app.core.database.base import Base, Identified, Versioned, one_of, sealed_column
from app.partners.rules import AuthMethod, ChangeAction, ChangeOutcome, ChangeStatus, PartnerKind


class Partner(Identified, Versioned, Base):
    """An organisation whose systems call the service. ``operator`` ties an operator's partner to its code."""

    __tablename__ = "partners"
    __table_args__ = (one_of("kind", PartnerKind),)

    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    operator: Mapped[str | None]


class Client(Identified, Versioned, Base):
    """An API client of a partner: a system, or a person.

    It proves itself by its secret (and by the one before, until that expires), by keys of its own, or by the tokens
    of an external issuer, under whose subject it is known then. Access tokens of ours that were issued before
    ``tokens_not_before`` no longer count. ``person`` names who uses it.
    """

    __tablename__ = "clients"
    __table_args__ = (
        UniqueConstraint("partner_id", "name"),
        UniqueConstraint("partner_id", "external_issuer", "external_subject"),
        one_of("token_endpoint_auth_method", AuthMethod),
        CheckConstraint("num_nonnulls(jwks, jwks_uri) <= 1", name="one_key_source"),
    )

    partner_id: Mapped[UUID] = mapped_column(ForeignKey(Partner.id))
    name: Mapped[str]
    person: Mapped[str | None]
    client_id: Mapped[str] = mapped_column(unique=True)
    secret_hash: Mapped[str | None]
    previous_secret_hash: Mapped[str | None]
    previous_secret_expires_at: Mapped[datetime | None]
    token_endpoint_auth_method: Mapped[str | None]
    jwks: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    jwks_uri: Mapped[str | None]
    external_issuer: Mapped[str | None]
    external_subject: Mapped[str | None]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    disabled_at: Mapped[datetime | None]
    tokens_not_before: Mapped[datetime | None] = mapped_column(index=True)
    partner: Mapped[Partner] = relationship(lazy="joined", innerjoin=True)


class ClientChange(Identified, Base):
    """A change of a regulator's client that takes effect when a second person confirms it.

    ``client_id`` is the id of the client, also of one that is made only then; ``client_version`` is the version of it
    that was to be changed. ``details`` is the body that asked for it. Of a new secret only the keyed hash is kept.
    """

    __tablename__ = "client_changes"
    __table_args__ = (one_of("action", ChangeAction), one_of("outcome", ChangeOutcome), Index(None, "partner_id", "id"))

    partner_id: Mapped[UUID] = mapped_column(ForeignKey(Partner.id))
    client_id: Mapped[UUID]
    client_version: Mapped[int | None]
    action: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
    secret_hash: Mapped[str | None]
    asked_by: Mapped[UUID] = mapped_column(ForeignKey(Client.id))
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    outcome: Mapped[str | None]
    settled_by: Mapped[UUID | None] = mapped_column(ForeignKey(Client.id))
    settled_at: Mapped[datetime | None]
    if TYPE_CHECKING:
        status: Mapped[str]


ClientChange.status = column_property(
    case(
        (ClientChange.outcome.is_not(None), ClientChange.outcome),
        (ClientChange.expires_at <= func.now(), ChangeStatus.LAPSED.value),
        else_=ChangeStatus.PENDING.value,
    )
)


class SigningKey(Base):
    """A key pair that signs tokens, manifests and checkpoints; the private half is sealed.

    A retired key signs nothing more and is trusted for a while. A revoked one is trusted no more.
    """

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    sealed_jwk: Mapped[bytes] = sealed_column()
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    retired_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class UsedAssertion(Base):
    """A client assertion that was taken, by its ``jti``: it is not taken again while it lasts (RFC 7523, 3)."""

    __tablename__ = "used_assertions"

    client_id: Mapped[UUID] = mapped_column(ForeignKey(Client.id), primary_key=True)
    jti: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)
