"""Schemas of partners, clients and the token endpoint."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, StrictBool, StringConstraints

from app.core.database.pagination import PageQuery
from app.core.errors import FieldError, InvalidValue, MissingField
from app.core.validation.schemas import (
    LINE,
    Body,
    Examples,
    Line100,
    MergePatch,
    Page,
    Resource,
    Timestamp,
    domain_validator,
)
from app.partners import key_sets
from app.partners.rules import AuthMethod, PartnerKind

Scopes = Annotated[list[Annotated[str, LINE, Field(max_length=50)]], Field(max_length=20)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$"), Field(examples=["pseb"])]
PARTNER_ID = "019b2f6e-5e00-7d2b-9a33-2e3d4c5b6a7f"
CLIENT_ID = "019b2f6e-5e10-7a11-8b22-3c4d5e6f7a8b"
PERSON = "Name of the client's user. Clients of the regulator with the same person, or with none, count as one person"
OVERLAP_SECONDS = 86_400
MAX_OVERLAP_SECONDS = 7 * 86_400
PUBLIC_KEYS: Examples = {
    "keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "2026-11", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]
}


class NewPartner(Body):
    """A partner to create."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "pseb", "kind": "association"}]})

    name: Slug
    kind: PartnerKind
    operator: Annotated[Slug | None, Field(description="For an operator: its code in GET /v1/operators")] = None

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        """Require the operator's code of an operator, and refuse it for others."""
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
                    "disabled_at": None,
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
    disabled_at: Annotated[Timestamp | None, Field(description="Since when none of its clients has access")]
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class PartnerDetails(Body):
    """The changeable fields of a partner."""

    name: Slug
    disabled: bool


class PartnerPatch(MergePatch):
    """Changes of a partner as a JSON merge patch (RFC 7396)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "pseb-islamabad"}]})

    name: str | None = None
    disabled: StrictBool | None = None


class ClientKeys(Body):
    """Public keys that verify a client's assertions: a key set, or the URL where it publishes one."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"jwks": PUBLIC_KEYS, "token_endpoint_auth_method": "private_key_jwt"}]}
    )

    jwks: Annotated[
        dict[str, Any] | None,
        domain_validator(lambda given: given and key_sets.validate_key_set(given)),
        Field(description="A JSON Web Key Set (RFC 7517) of 1 to 10 public keys, each with a `kid` of its own"),
    ] = None
    jwks_uri: Annotated[
        str | None,
        LINE,
        Field(pattern="^https://", max_length=2_000, description="URL where the client publishes its keys"),
    ] = None
    token_endpoint_auth_method: Annotated[
        AuthMethod | None, Field(description="`private_key_jwt` limits the client to its keys: it has no secret then")
    ] = None

    @classmethod
    def cross_field_errors(cls, given: Mapping[str, Any]) -> Iterable[FieldError]:
        """Refuse two sources of keys (RFC 7591, section 2), and ``private_key_jwt`` without any."""
        if "jwks" in given and "jwks_uri" in given:
            yield InvalidValue.at("/jwks_uri", "Send either jwks or jwks_uri.")
        if "token_endpoint_auth_method" in given and not {"jwks", "jwks_uri"} & given.keys():
            yield MissingField.at("/jwks", "A client limited to private_key_jwt needs jwks or jwks_uri.")

    def keys(self) -> dict[str, Any]:
        """Return the columns of a client for this body."""
        return self.model_dump(include=set(ClientKeys.model_fields))


class NewClient(ClientKeys):
    """A client to create: a system of a partner, or an officer."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "pseb-portal", "scopes": ["applicants:write", "registrations:write"]}]}
    )

    name: Slug
    scopes: Annotated[
        Scopes | None,
        Field(description="Absent: all scopes of the partner's kind except `partners:admin` and `clients:manage`"),
    ] = None
    person: Annotated[Line100 | None, Field(description=PERSON)] = None


class ClientDetails(Body):
    """The changeable fields of a client."""

    scopes: Scopes
    person: Line100 | None = None


class ClientPatch(MergePatch):
    """Changes of a client as a JSON merge patch (RFC 7396)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"person": "Ayesha Khan"}]})

    scopes: list[str] | None = None
    person: Annotated[str | None, Field(description=PERSON)] = None


class Client(Resource):
    """A client without its secret. It authenticates by a secret, by keys, or by an external issuer's tokens."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": CLIENT_ID,
                    "partner_id": PARTNER_ID,
                    "name": "pseb-portal",
                    "person": None,
                    "client_id": "pseb-portal.5f0c1a2b3c4d",
                    "scopes": ["applicants:write"],
                    "previous_secret_expires_at": None,
                    "token_endpoint_auth_method": None,
                    "jwks": None,
                    "jwks_uri": None,
                    "external_issuer": None,
                    "external_subject": None,
                    "disabled_at": None,
                    "tokens_not_before": None,
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
    person: Annotated[str | None, Field(description=PERSON)]
    client_id: str
    scopes: Annotated[
        list[str], Field(description="Empty for a client of an external issuer: its tokens have the scopes")
    ]
    previous_secret_expires_at: Annotated[
        Timestamp | None, Field(description="End of the previous secret after a rotation")
    ]
    token_endpoint_auth_method: AuthMethod | None
    jwks: dict[str, Any] | None
    jwks_uri: str | None
    external_issuer: str | None
    external_subject: str | None
    disabled_at: Timestamp | None
    tokens_not_before: Annotated[
        Timestamp | None, Field(description="Access tokens that the token endpoint issued before this time are revoked")
    ]
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class ClientWithSecret(Client):
    """A client with its new secret, which is shown only once; null for a client limited to its keys."""

    client_secret: str | None


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
