"""Schemas of webhooks and their deliveries."""

from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from app.core.database.pagination import PageQuery
from app.core.outbound.url_policy import URL_LENGTH
from app.core.validation.schemas import AnyOf, Body, Examples, Line200, MergePatch, Page, Resource, Timestamp
from app.events.schemas import EventPattern
from app.webhooks.rules import DeliveryStatus, DisabledReason, WebhookStatus

WEBHOOK_ID = "019b2f6e-8a10-7b3e-9d55-0b8d7f3e2a77"
EVENT_ID = "019b2f6e-7a10-7c3e-9d55-0b8d7f3e2a11"
EXAMPLE: Examples = {
    "url": "https://receiver.pseb.example/register-events",
    "event_types": ["registration.*", "bulk_upload.completed"],
    "description": "The portal's inbox",
}
SHOWN: Examples = EXAMPLE | {
    "id": WEBHOOK_ID,
    "status": "active",
    "disabled_reason": None,
    "public_key": "whpk_MCowBQYDK2VwAyEAn1e3H0wP0aYkq3m2v5x8z1c4b7e=",
    "previous_secret_until": None,
    "failing_since": None,
    "version": 1,
    "created_at": "2026-11-21T09:00:00.000000Z",
    "updated_at": "2026-11-21T09:00:00.000000Z",
}


class NewWebhook(Body):
    """A webhook to create: an endpoint and the types of events to send to it."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    url: Annotated[str, Field(max_length=URL_LENGTH, description="An https URL on port 443 of a public host")]
    event_types: Annotated[
        list[EventPattern],
        Field(
            default=["*"],
            min_length=1,
            max_length=50,
            description="Types of `GET /v1/events/types`, all of a subject (`registration.*`), or `*` for all",
        ),
    ]
    description: Line200 | None = None


class WebhookDetails(NewWebhook):
    """The changeable fields of a webhook."""

    status: WebhookStatus = WebhookStatus.ACTIVE


class WebhookChange(MergePatch):
    """Changes of a webhook as a JSON merge patch (RFC 7396). `status: active` enables a disabled webhook."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"event_types": ["*"], "status": "active"}]})

    url: str | None = None
    event_types: list[str] | None = None
    description: str | None = None
    status: str | None = None


class Webhook(Resource):
    """A webhook without its secret. `public_key` verifies the `v1a` signatures."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [SHOWN]})

    id: UUID
    url: str
    event_types: list[str]
    description: str | None
    status: WebhookStatus
    disabled_reason: DisabledReason | None
    public_key: str
    previous_secret_until: Timestamp | None = Field(description="The previous secret also signs until then")
    failing_since: Timestamp | None = Field(description="The first failed attempt since the last success")
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class WebhookWithSecret(Webhook):
    """A webhook with its new secret, which is shown only once."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={"examples": [SHOWN | {"secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}]},
    )

    secret: str


class ReplayFrom(Body):
    """The position from which to deliver again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"after": EVENT_ID}]})

    after: Annotated[UUID, Field(description="The id of an event; later events are delivered again")]


class TestSent(Resource):
    """The event of a test."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"event_id": EVENT_ID}]})

    event_id: Annotated[UUID, Field(description="The `webhook-id` of the coming request")]


class Delivery(Resource):
    """Delivery of one event to a webhook. `next_attempt_at` is null when no attempt follows."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "019b2f6e-9a10-7b3e-9d55-0b8d7f3e2a99",
                    "event_id": EVENT_ID,
                    "event_type": "registration.approved",
                    "status": "pending",
                    "attempts": 2,
                    "next_attempt_at": "2026-11-21T09:35:12.000000Z",
                    "last_attempt_at": "2026-11-21T09:30:05.000000Z",
                    "response_status": 503,
                    "last_error": None,
                    "created_at": "2026-11-21T09:30:00.000000Z",
                    "settled_at": None,
                }
            ]
        },
    )

    id: UUID
    event_id: UUID
    event_type: str
    status: DeliveryStatus
    attempts: int
    next_attempt_at: Timestamp | None
    last_attempt_at: Timestamp | None
    response_status: int | None = Field(description="Status of the last response, null when there was none")
    last_error: str | None = Field(description="Reason why the last attempt got no response")
    created_at: Timestamp
    settled_at: Timestamp | None


WebhookPage = Page[Webhook]
DeliveryPage = Page[Delivery]


class DeliveriesQuery(PageQuery):
    """Filters of the list of deliveries."""

    status: AnyOf[DeliveryStatus] = None
    event_id: UUID | None = None
