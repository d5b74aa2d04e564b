"""Bodies of partners, clients and the token endpoint."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints

from app.core.errors import FieldError, InvalidValue, MissingField
from app.core.pagination import PageQuery
from app.core.schemas import LINE, Body, Page, Resource, Timestamp
from app.partners.rules import PartnerKind

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$"), Field(examples=["pseb"])]
PARTNER_ID = "019b2f6e-5e00-7d2b-9a33-2e3d4c5b6a7f"
CLIENT_ID = "019b2f6e-5e10-7a11-8b22-3c4d5e6f7a8b"


class NewPartner(Body):
    """An organisation to let in."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "pseb", "kind": "association"}]})

    name: Slug
    kind: PartnerKind
    operator: Annotated[Slug | None, Field(description="For an operator: its code in GET /v1/operators")] = None

    @classmethod
    def across(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        """An operator names its code, and nobody else does."""
        is_operator = given.get("kind") == PartnerKind.OPERATOR
        if is_operator and "operator" not in given:
            yield MissingField.at("/operator", "A partner of kind operator needs its operator code.")
        if not is_operator and "operator" in given:
            yield InvalidValue.at("/operator", "Only a partner of kind operator has an operator code.")


class Partner(Resource):
    """An organisation whose systems call the service."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": PARTNER_ID,
                    "name": "pseb",
                    "kind": "association",
                    "operator": None,
                    "version": 1,
                    "created_at": "2026-11-21T09:00:00.000000Z",
                    "updated_at": "2026-11-21T09:00:00.000000Z",
                }
            ]
        },
    )

    id: UUID
    name: str
    kind: PartnerKind
    operator: str | None
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class NewClient(Body):
    """A system of a partner, or an officer, to give credentials to."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "pseb-portal", "scopes": ["applicants:write", "registrations:write"]}]}
    )

    name: Slug
    scopes: Annotated[
        list[Annotated[str, LINE, Field(max_length=50)]] | None,
        Field(max_length=20, description="Absent: all that the partner's kind may hold"),
    ] = None


class Client(Resource):
    """A client without its secret."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": CLIENT_ID,
                    "partner_id": PARTNER_ID,
                    "name": "pseb-portal",
                    "client_id": "pseb-portal.5f0c1a2b3c4d",
                    "scopes": ["applicants:write"],
                    "disabled_at": None,
                    "version": 1,
                    "created_at": "2026-11-21T09:00:00.000000Z",
                    "updated_at": "2026-11-21T09:00:00.000000Z",
                }
            ]
        },
    )

    id: UUID
    partner_id: UUID
    name: str
    client_id: str
    scopes: list[str]
    disabled_at: Timestamp | None
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class ClientWithSecret(Client):
    """A client with its new secret, which is shown this once."""

    client_secret: str


PartnerPage = Page[Partner]
ClientPage = Page[Client]
PartnersQuery = PageQuery


class Token(Resource):
    """An access token (RFC 6749, 5.1)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"access_token": "eyJ...", "token_type": "Bearer", "expires_in": 600, "scope": "allowlist:read"}
            ]
        }
    )

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the name of a scheme
    expires_in: int
    scope: str


class TokenError(Resource):
    """An error of the token endpoint (RFC 6749, 5.2)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"error": "invalid_client", "error_description": "Unknown client or wrong secret."}]
        }
    )

    error: str
    error_description: str
