"""Schemas of changes of clients that need a second person."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field

from app.core.database.pagination import PageQuery
from app.core.validation.schemas import AnyOf, Examples, Page, Resource, Timestamp
from app.partners.rules import ChangeAction, ChangeStatus
from app.partners.schemas import CLIENT_ID, PARTNER_ID

CHANGE: Examples = {
    "id": "019b2f6e-7300-7b1a-8c44-1f2e3d4c5b6a",
    "partner_id": PARTNER_ID,
    "client_id": CLIENT_ID,
    "action": "create",
    "details": {"name": "pta-officer-4", "person": "Bilal Ahmed"},
    "status": "pending",
    "asked_by": "019b2f6e-5e11-7a11-8b22-3c4d5e6f7a8b",
    "asked_at": "2026-11-21T09:00:00.000000Z",
    "expires_at": "2026-11-24T09:00:00.000000Z",
    "settled_by": None,
    "settled_at": None,
}


class ClientChange(Resource):
    """A change of a regulator's client that takes effect when a second person confirms it."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [CHANGE]})

    id: UUID
    partner_id: UUID
    client_id: Annotated[UUID, Field(description="Id of the client, also of one that is created on confirmation")]
    action: Annotated[
        ChangeAction, Field(description="`create`, `rotate` the secret, replace `keys`, or `change` scopes or person")
    ]
    details: Annotated[dict[str, Any], Field(description="The body of the request")]
    status: Annotated[ChangeStatus, Field(description="`lapsed` once `expires_at` has passed")]
    asked_by: Annotated[UUID, Field(description="The client that requested the change")]
    asked_at: Timestamp
    expires_at: Timestamp
    settled_by: Annotated[UUID | None, Field(description="The client that confirmed or withdrew it")]
    settled_at: Timestamp | None


class ClientChangeAsked(ClientChange):
    """A requested change with the new secret, which is shown only once and becomes valid on confirmation."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [CHANGE | {"oauth_client_id": "pta-officer-4.3c4d5e6f7a8b", "client_secret": "Zk3..."}]
        },
    )

    oauth_client_id: Annotated[str, Field(description="The OAuth `client_id` of the client")]
    client_secret: Annotated[str | None, Field(description="Null when the change creates no secret")]


class ClientChangesQuery(PageQuery):
    """Filters of the list of changes."""

    status: AnyOf[ChangeStatus] = None


ClientChangePage = Page[ClientChange]
