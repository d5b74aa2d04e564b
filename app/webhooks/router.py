"""A partner's webhooks: where it receives its events."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from app.core.auth.bearer import require
from app.core.database.pagination import PageQuery
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.dependencies import Db
from app.core.http.idempotency import Idempotency
from app.core.http.problems import BODIES, CHANGES, CREATES, READS, documented
from app.core.http.responses import Precondition, json_answer, not_modified, page_answer, resource_answer
from app.core.outbound.client import Outbound
from app.core.outbound.url_policy import UrlRefused
from app.core.principal import Principal
from app.webhooks import schemas, service, store
from app.webhooks.errors import WebhookDisabled, WebhookLimit

router = APIRouter(prefix="/webhooks", tags=["webhooks"], route_class=AuthenticatedRoute)
Manager = Annotated[Principal, require("events:read", "webhooks:manage")]


async def _outbound(request: Request) -> Outbound:
    outbound: Outbound = request.app.state.outbound
    return outbound


WayOut = Annotated[Outbound, Depends(_outbound)]


def _with_secret(issued: service.Issued, status: int) -> Response:
    shown = schemas.Webhook.model_validate(issued.webhook)
    body = schemas.WebhookWithSecret(**shown.model_dump(), secret=issued.secret)
    return resource_answer(body, status, location=f"/v1/webhooks/{shown.id}" if status == 201 else None)


@router.post(
    "",
    status_code=201,
    summary="Make a webhook",
    response_model=schemas.WebhookWithSecret,
    responses=documented(*CREATES, UrlRefused, WebhookLimit),
)
async def create_webhook(
    body: schemas.NewWebhook, database: Db, principal: Manager, idempotency: Idempotency, outbound: WayOut
) -> Response:
    """Sends you, from now on, the events that `GET /v1/events` shows you, as Standard Webhooks says.

    The secret that verifies the `v1` signatures is shown this once; `public_key` verifies the `v1a` ones.
    """
    async with database.transaction(principal) as tx:

        async def create() -> Response:
            return _with_secret(await service.create(tx, principal, outbound, body), 201)

        return await idempotency.respond(tx, principal, create)


@router.get("", summary="List webhooks", response_model=schemas.WebhookPage, responses=documented(*READS))
async def list_webhooks(
    request: Request, query: Annotated[PageQuery, Query()], database: Db, principal: Manager
) -> Response:
    """Your webhooks without their secrets, oldest first."""
    async with database.transaction(principal, read_only=True) as tx:
        return page_answer(request, schemas.WebhookPage, *await store.list_page(tx, principal, query))


@router.get("/{webhook_id}", summary="Read a webhook", response_model=schemas.Webhook, responses=documented(*READS))
async def get_webhook(request: Request, webhook_id: UUID, database: Db, principal: Manager) -> Response:
    """One webhook without its secret: whether it is sent to, and if not, why."""
    async with database.transaction(principal, read_only=True) as tx:
        webhook = await store.get(tx, principal, webhook_id)
        return not_modified(request, webhook) or resource_answer(schemas.Webhook.model_validate(webhook))


@router.patch(
    "/{webhook_id}",
    summary="Change a webhook",
    response_model=schemas.Webhook,
    responses=documented(*CHANGES, *BODIES, UrlRefused),
)
async def change_webhook(
    webhook_id: UUID,
    body: schemas.WebhookChange,
    database: Db,
    principal: Manager,
    if_match: Precondition,
    outbound: WayOut,
) -> Response:
    """A JSON merge patch (RFC 7396). A webhook that is enabled again gets all that happened in between."""
    async with database.transaction(principal) as tx:
        webhook = await service.change(tx, principal, outbound, webhook_id, if_match, body)
        return resource_answer(schemas.Webhook.model_validate(webhook))


@router.delete("/{webhook_id}", status_code=204, summary="Delete a webhook", responses=documented(*CHANGES))
async def delete_webhook(webhook_id: UUID, database: Db, principal: Manager, if_match: Precondition) -> Response:
    """Nothing more is sent to it, and what is known of its deliveries goes."""
    async with database.transaction(principal) as tx:
        await service.delete(tx, principal, webhook_id, if_match)
        return Response(status_code=204)


@router.post(
    "/{webhook_id}/rotate-secret",
    summary="Give a webhook a new secret",
    response_model=schemas.WebhookWithSecret,
    responses=documented(*CHANGES),
)
async def rotate_webhook_secret(webhook_id: UUID, database: Db, principal: Manager, if_match: Precondition) -> Response:
    """The new secret is shown this once. For a day, requests are signed by the old one as well."""
    async with database.transaction(principal) as tx:
        return _with_secret(await service.rotate_secret(tx, principal, webhook_id, if_match), 200)


@router.post(
    "/{webhook_id}/test",
    status_code=202,
    summary="Send a test",
    response_model=schemas.TestSent,
    responses=documented(*READS, *CREATES, WebhookDisabled),
)
async def send_test(webhook_id: UUID, database: Db, principal: Manager, idempotency: Idempotency) -> Response:
    """Sends an event `webhook.test` to this webhook alone, whatever types it wants."""
    async with database.transaction(principal) as tx:

        async def send() -> Response:
            event_id = await service.send_test(tx, principal, webhook_id)
            return json_answer(schemas.TestSent(event_id=event_id), 202)

        return await idempotency.respond(tx, principal, send)


@router.post(
    "/{webhook_id}/replay",
    status_code=202,
    summary="Deliver again",
    response_model=schemas.Webhook,
    responses=documented(*CREATES),
)
async def replay(
    webhook_id: UUID, body: schemas.ReplayFrom, database: Db, principal: Manager, idempotency: Idempotency
) -> Response:
    """Delivers again, or for the first time, every event after the given one that the webhook wants.

    Each comes with the `webhook-id` that it had before.
    """
    async with database.transaction(principal) as tx:

        async def again() -> Response:
            webhook = await service.replay(tx, principal, webhook_id, body.after)
            return resource_answer(schemas.Webhook.model_validate(webhook), 202)

        return await idempotency.respond(tx, principal, again)


@router.get(
    "/{webhook_id}/deliveries",
    summary="List a webhook's deliveries",
    response_model=schemas.DeliveryPage,
    responses=documented(*READS),
)
async def list_deliveries(
    request: Request,
    webhook_id: UUID,
    query: Annotated[schemas.DeliveriesQuery, Query()],
    database: Db,
    principal: Manager,
) -> Response:
    """What was sent, newest first, and how the last attempt ended. Kept for 30 days after the last attempt."""
    async with database.transaction(principal, read_only=True) as tx:
        webhook = await store.get(tx, principal, webhook_id)
        return page_answer(request, schemas.DeliveryPage, *await store.list_deliveries(tx, webhook, query))
