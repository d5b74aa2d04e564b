"""Operations of a partner on its webhooks."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from app.core.auth.bearer import require
from app.core.database.pagination import PageQuery
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.conditional import NOT_MODIFIED, not_modified
from app.core.http.dependencies import Db
from app.core.http.idempotency import Idempotency
from app.core.http.problems import BODIES, CHANGES, CREATES, READS, problem_responses
from app.core.http.responses import Precondition, json_response, page_response, resource_response
from app.core.outbound.client import Outbound
from app.core.outbound.url_policy import UrlRefused
from app.core.principal import Principal
from app.webhooks import schemas, service, store
from app.webhooks.errors import WebhookDisabled, WebhookLimit

router = APIRouter(prefix="/webhooks", tags=["webhooks"], route_class=AuthenticatedRoute)
Manager = Annotated[Principal, require("events:read", "webhooks:manage")]


async def _outbound_client(request: Request) -> Outbound:
    outbound: Outbound = request.app.state.outbound
    return outbound


OutboundClient = Annotated[Outbound, Depends(_outbound_client)]


def _secret_response(issued: service.Issued, status: int) -> Response:
    webhook = schemas.Webhook.model_validate(issued.webhook)
    body = schemas.WebhookWithSecret(**webhook.model_dump(), secret=issued.secret)
    return resource_response(body, status, location=f"/v1/webhooks/{webhook.id}" if status == 201 else None)


@router.post(
    "",
    status_code=201,
    summary="Create a webhook",
    response_model=schemas.WebhookWithSecret,
    responses=problem_responses(*CREATES, UrlRefused, WebhookLimit),
)
async def create_webhook(
    body: schemas.NewWebhook, database: Db, principal: Manager, idempotency: Idempotency, outbound: OutboundClient
) -> Response:
    """Creates a webhook that receives, from now on, the events of `GET /v1/events` as Standard Webhooks specifies.

    The secret that verifies the `v1` signatures is shown only once; `public_key` verifies the `v1a` signatures.
    """
    async with database.transaction(principal) as tx:

        async def create() -> Response:
            return _secret_response(await service.create(tx, principal, outbound, body), 201)

        return await idempotency.respond(tx, principal, create)


@router.get("", summary="List webhooks", response_model=schemas.WebhookPage, responses=problem_responses(*READS))
async def list_webhooks(
    request: Request, query: Annotated[PageQuery, Query()], database: Db, principal: Manager
) -> Response:
    """Lists your webhooks without their secrets, oldest first."""
    async with database.transaction(principal, read_only=True) as tx:
        return page_response(request, schemas.WebhookPage, *await store.list_page(tx, principal, query))


@router.get(
    "/{webhook_id}",
    summary="Read a webhook",
    response_model=schemas.Webhook,
    responses=problem_responses(*READS) | NOT_MODIFIED,
)
async def get_webhook(request: Request, webhook_id: UUID, database: Db, principal: Manager) -> Response:
    """Returns one webhook without its secret, with its status and the reason if it is disabled."""
    async with database.transaction(principal, read_only=True) as tx:
        webhook = await store.get(tx, principal, webhook_id)
        return not_modified(request, webhook) or resource_response(schemas.Webhook.model_validate(webhook))


@router.patch(
    "/{webhook_id}",
    summary="Change a webhook",
    response_model=schemas.Webhook,
    responses=problem_responses(*CHANGES, *BODIES, UrlRefused),
)
async def change_webhook(
    webhook_id: UUID,
    body: schemas.WebhookChange,
    database: Db,
    principal: Manager,
    if_match: Precondition,
    outbound: OutboundClient,
) -> Response:
    """Applies a JSON merge patch (RFC 7396). A webhook that is enabled again receives the events in between."""
    async with database.transaction(principal) as tx:
        webhook = await service.change(tx, principal, outbound, webhook_id, if_match, body)
        return resource_response(schemas.Webhook.model_validate(webhook))


@router.delete("/{webhook_id}", status_code=204, summary="Delete a webhook", responses=problem_responses(*CHANGES))
async def delete_webhook(webhook_id: UUID, database: Db, principal: Manager, if_match: Precondition) -> Response:
    """Deletes a webhook and the records of its deliveries; nothing more is sent to it."""
    async with database.transaction(principal) as tx:
        await service.delete(tx, principal, webhook_id, if_match)
        return Response(status_code=204)


@router.post(
    "/{webhook_id}/rotate-secret",
    summary="Rotate a webhook's secret",
    response_model=schemas.WebhookWithSecret,
    responses=problem_responses(*CHANGES),
)
async def rotate_webhook_secret(webhook_id: UUID, database: Db, principal: Manager, if_match: Precondition) -> Response:
    """Creates a secret, shown only once. For a day, requests are signed with the previous secret as well."""
    async with database.transaction(principal) as tx:
        return _secret_response(await service.rotate_secret(tx, principal, webhook_id, if_match), 200)


@router.post(
    "/{webhook_id}/test",
    status_code=202,
    summary="Send a test event",
    response_model=schemas.TestSent,
    responses=problem_responses(*READS, *CREATES, WebhookDisabled),
)
async def send_test(webhook_id: UUID, database: Db, principal: Manager, idempotency: Idempotency) -> Response:
    """Sends an event `webhook.test` to this webhook alone, whatever its `event_types`."""
    async with database.transaction(principal) as tx:

        async def send() -> Response:
            event_id = await service.send_test(tx, principal, webhook_id)
            return json_response(schemas.TestSent(event_id=event_id), 202)

        return await idempotency.respond(tx, principal, send)


@router.post(
    "/{webhook_id}/replay",
    status_code=202,
    summary="Deliver events again",
    response_model=schemas.Webhook,
    responses=problem_responses(*CREATES),
)
async def replay(
    webhook_id: UUID, body: schemas.ReplayFrom, database: Db, principal: Manager, idempotency: Idempotency
) -> Response:
    """Delivers every event after the given one again, or for the first time, if it has one of the `event_types`.

    A repeated event keeps its `webhook-id`.
    """
    async with database.transaction(principal) as tx:

        async def again() -> Response:
            webhook = await service.replay(tx, principal, webhook_id, body.after)
            return resource_response(schemas.Webhook.model_validate(webhook), 202)

        return await idempotency.respond(tx, principal, again)


@router.get(
    "/{webhook_id}/deliveries",
    summary="List a webhook's deliveries",
    response_model=schemas.DeliveryPage,
    responses=problem_responses(*READS),
)
async def list_deliveries(
    request: Request,
    webhook_id: UUID,
    query: Annotated[schemas.DeliveriesQuery, Query()],
    database: Db,
    principal: Manager,
) -> Response:
    """Lists deliveries and their last attempt, newest first. They are kept for 30 days after the last attempt."""
    async with database.transaction(principal, read_only=True) as tx:
        webhook = await store.get(tx, principal, webhook_id)
        return page_response(request, schemas.DeliveryPage, *await store.list_deliveries(tx, webhook, query))
