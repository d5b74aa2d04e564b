"""The operation by which a caller learns who it is, for any token."""

from typing import Annotated

from fastapi import APIRouter, Request, Response

from app.core.auth.bearer import require
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.dependencies import Db
from app.core.http.problems import READS, problem_responses
from app.core.http.responses import json_response
from app.core.limits.http import RateLimits
from app.core.principal import Principal
from app.core.settings import Settings
from app.partners import store
from app.partners.me_schemas import Limits, Me, OwnClient, OwnPartner, RateLimit, UploadLimits

router = APIRouter(prefix="/me", tags=["partners"], route_class=AuthenticatedRoute)
Anyone = Annotated[Principal, require()]


@router.get("", summary="Read who you are", response_model=Me, responses=problem_responses(*READS))
async def get_me(request: Request, database: Db, principal: Anyone) -> Response:
    """Returns the caller's client and partner, the scopes of its token, and its limits. Needs no scope."""
    async with database.transaction(principal, read_only=True) as tx:
        client = await store.get_client(tx, principal.partner_id, principal.client_id)
    body = Me(
        client=OwnClient.model_validate(client),
        partner=OwnPartner.model_validate(client.partner),
        scopes=sorted(principal.scopes),
        limits=_limits(request),
    )
    return json_response(body)


def _limits(request: Request) -> Limits:
    settings: Settings = request.app.state.settings
    limits: RateLimits = request.app.state.limits
    uploads = UploadLimits(
        max_bytes=settings.max_upload_bytes,
        max_unpacked_bytes=settings.max_unpacked_bytes,
        max_rows=settings.max_upload_rows,
        max_waiting=settings.max_waiting_uploads,
        max_waiting_bytes=settings.max_waiting_upload_bytes,
        max_waiting_rows=settings.max_waiting_upload_rows,
    )
    rates = [RateLimit.model_validate(each) for each in limits.of_clients]
    return Limits(rates=rates, max_body_bytes=settings.max_body_bytes, uploads=uploads)
