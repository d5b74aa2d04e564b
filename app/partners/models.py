"""Tables of partners, their API clients, requested changes of clients, and signing keys."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, case, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from app.core.database.base import Base, Identified, Versioned, one_of, sealed_column
from app.core.principal import Principal
from app.partners.rules import AuthMethod, ChangeAction, ChangeOutcome, ChangeStatus, PartnerKind


class Partner(Identified, Versioned, Base):
    """An organisation whose systems call the service. ``operator`` is the code of a partner that is an operator.

    While it is disabled, its clients are refused; its cases and grants stay.
    """

    __tablename__ = "partners"
    __table_args__ = (one_of("kind", PartnerKind),)

    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    operator: Mapped[str | None]
    disabled_at: Mapped[datetime | None]

    def principal(self, client_id: UUID, scopes: Iterable[str]) -> Principal:
        """Return the principal of a client of this partner."""
        return Principal(client_id, self.id, self.kind, self.operator, frozenset(scopes))  # type: ignore[arg-type]  # a constraint limits ``kind``


class Client(Identified, Versioned, Base):
    """An API client of a partner: a system or a person.

    It authenticates by its secret (or the previous one, until that expires), by its keys, or by the tokens of an
    external issuer for ``external_subject``. The service's access tokens issued before ``tokens_not_before`` are
    revoked. ``person`` names the user of the client.
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

    @property
    def has_access(self) -> bool:
        """True unless the client or its partner is disabled."""
        return self.disabled_at is None and self.partner.disabled_at is None

    @property
    def not_before(self) -> float:
        """Time of the last revocation of the client's tokens, in seconds since the epoch; 0 when there was none."""
        return self.tokens_not_before.timestamp() if self.tokens_not_before else 0.0

    def principal(self, scopes: Iterable[str]) -> Principal:
        """Return the principal of this client with ``scopes``."""
        return self.partner.principal(self.id, scopes)


class ClientChange(Identified, Base):
    """A change of a regulator's client that takes effect when a second person confirms it.

    ``client_id`` is the id of the client, which for ``create`` does not exist before the confirmation;
    ``client_version`` is its version at the request. ``details`` is the body of the request. Of a new secret only the
    keyed hash is stored.
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

    A retired key signs nothing more, but is trusted for a week, and published until ``published_until`` to verify
    certificates that it signed. A revoked key is neither.
    """

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    sealed_jwk: Mapped[bytes] = sealed_column()
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    retired_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    published_until: Mapped[datetime | None]


class UsedAssertion(Base):
    """The ``jti`` of an accepted client assertion, refused until the assertion expires (RFC 7523, section 3)."""

    __tablename__ = "used_assertions"

    client_id: Mapped[UUID] = mapped_column(ForeignKey(Client.id), primary_key=True)
    jti: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)
