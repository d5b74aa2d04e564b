"""Schema of what a caller is told of itself."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from app.core.validation.schemas import Resource, Timestamp
from app.partners.rules import AuthMethod, PartnerKind
from app.partners.schemas import CLIENT_ID, PARTNER_ID, PERSON


class OwnClient(Resource):
    """The client that calls, as it is now."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    client_id: Annotated[str, Field(description="The OAuth `client_id`")]
    name: str
    person: Annotated[str | None, Field(description=PERSON)]
    scopes: Annotated[
        Sequence[str], Field(description="Empty for a client of an external issuer: its tokens have the scopes")
    ]
    previous_secret_expires_at: Annotated[
        Timestamp | None, Field(description="End of the previous secret after a rotation")
    ]
    token_endpoint_auth_method: AuthMethod | None
    external_issuer: str | None


class OwnPartner(Resource):
    """The partner for which the client acts."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    kind: PartnerKind
    operator: Annotated[str | None, Field(description="For an operator: its code in GET /v1/operators")]


class RateLimit(Resource):
    """The number of requests of one class that a client may make in a window."""

    model_config = ConfigDict(from_attributes=True)

    name: Annotated[str, Field(description="The class, as in the header `RateLimit-Policy`")]
    requests: int
    window: Annotated[int, Field(description="Seconds")]


class UploadLimits(Resource):
    """Limits of bulk uploads: of each, and of those of the partner that wait or are being processed."""

    max_bytes: Annotated[int, Field(description="Of an upload as it is sent")]
    max_unpacked_bytes: Annotated[int, Field(description="Of an upload without its compression")]
    max_rows: int
    max_waiting: Annotated[int, Field(description="Uploads of the partner that are not processed yet")]
    max_waiting_bytes: Annotated[int, Field(description="Of these together, uncompressed")]
    max_waiting_rows: Annotated[int, Field(description="Of these together, not processed yet")]


class Limits(Resource):
    """Limits that hold for the client."""

    rates: Annotated[Sequence[RateLimit], Field(description="A class without a limit is absent")]
    max_body_bytes: Annotated[int, Field(description="Of a request that is no upload")]
    uploads: UploadLimits


class Me(Resource):
    """The caller: its client, its partner, the scopes of its token, and its limits."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "client": {
                        "id": CLIENT_ID,
                        "client_id": "pseb-portal.5f0c1a2b3c4d",
                        "name": "pseb-portal",
                        "person": None,
                        "scopes": ["applicants:read", "applicants:write", "registrations:read"],
                        "previous_secret_expires_at": None,
                        "token_endpoint_auth_method": None,
                        "external_issuer": None,
                    },
                    "partner": {"id": PARTNER_ID, "name": "pseb", "kind": "association", "operator": None},
                    "scopes": ["registrations:read"],
                    "limits": {
                        "rates": [{"name": "read", "requests": 6000, "window": 60}],
                        "max_body_bytes": 4194304,
                        "uploads": {
                            "max_bytes": 536870912,
                            "max_unpacked_bytes": 1073741824,
                            "max_rows": 2000000,
                            "max_waiting": 100,
                            "max_waiting_bytes": 1073741824,
                            "max_waiting_rows": 4000000,
                        },
                    },
                }
            ]
        }
    )

    client: OwnClient
    partner: OwnPartner
    scopes: Annotated[Sequence[str], Field(description="Of the token, which may have fewer than the client")]
    limits: Limits
