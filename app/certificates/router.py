"""Endpoints of certificates, of the list of their statuses, and the page that verifies them."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.certificates import service, verify_page
from app.certificates.errors import NotInForce
from app.certificates.printing import Printer
from app.certificates.schemas import MEDIA_TYPES, CertificateQuery, Form, PageQuery
from app.certificates.status_list import MEDIA_TYPE, TTL_SECONDS, StatusLists
from app.core.auth.bearer import require
from app.core.errors import NotAcceptable
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.conditional import NOT_MODIFIED, matches_if_none_match
from app.core.http.dependencies import Db
from app.core.http.negotiation import accepts_gzip, preferred
from app.core.http.page import page
from app.core.http.problems import READS, problem_responses
from app.core.http.strict_route import StrictRoute
from app.core.principal import Principal
from app.core.settings import Settings
from app.registrations import store as registrations

router = APIRouter(tags=["certificates"], route_class=AuthenticatedRoute)
page_router = APIRouter(route_class=StrictRoute, include_in_schema=False)
Reader = Annotated[Principal, require("registrations:read")]
# Everybody may read the list from anywhere: it is signed, and says nothing of whom.
LIST_HEADERS = {
    "Cache-Control": f"public, max-age={TTL_SECONDS}",
    "Access-Control-Allow-Origin": "*",
    "Vary": "Accept-Encoding",
}


def _content(description: str, *media_types: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"description": description, "content": {each: {"schema": {"type": "string"}} for each in media_types}}
    }


@router.get(
    "/registrations/{registration_id}/certificate",
    summary="Get the certificate of a registration",
    response_class=Response,
    responses=problem_responses(*READS, NotInForce, NotAcceptable)
    | _content("The certificate: signed text, a page to print, or its QR code", *MEDIA_TYPES.values()),
)
async def get_certificate(
    request: Request,
    registration_id: UUID,
    query: Annotated[CertificateQuery, Query()],
    database: Db,
    principal: Reader,
) -> Response:
    """A JWT of the type `registration-certificate+jwt` that says which networks are in force, until when.

    It is signed with a key of `/.well-known/jwks.json`, and names no person. The PDF and the QR code lead to `/verify`,
    where anybody can verify it.
    """
    form = Form(query.format) if query.format else _accepted_form(request)
    settings: Settings = request.app.state.settings
    async with database.transaction(principal, read_only=True) as tx:
        case = await registrations.get(tx, principal, registration_id)
    service.check_in_force(case)
    async with database.transaction() as tx:
        certificate = await service.issue(tx, case, settings.public_url)
    if form == Form.JWS:
        content = certificate.signed.encode()
    else:
        printer: Printer = request.app.state.printer
        content = await printer.draw(principal.id_texts[0], form, certificate.claims, certificate.link)
    headers = {"Vary": "Accept", "Content-Disposition": f'inline; filename="certificate-{case.id}.{form}"'}
    return Response(content, media_type=MEDIA_TYPES[form], headers=headers)


def _accepted_form(request: Request) -> Form:
    """Return the form that ``Accept`` prefers. Raises ``NotAcceptable``."""
    media_type = preferred(request.headers.get("accept", ""), MEDIA_TYPES.values())
    if media_type is None:
        raise NotAcceptable(f"A certificate is available as {', '.join(MEDIA_TYPES.values())}.")
    return next(form for form, each in MEDIA_TYPES.items() if each == media_type)


@router.get(
    "/certificates/status-list",
    summary="Read the statuses of all certificates",
    response_class=Response,
    responses=problem_responses() | NOT_MODIFIED | _content("A Status List Token", MEDIA_TYPE),
)
async def get_status_list(request: Request) -> Response:
    """A Status List Token, draft-ietf-oauth-status-list-21: two bits a certificate, at its `idx`. No token is needed.

    0 is valid, 1 has ended, 2 is suspended. A change of status is in the list within half a minute.
    """
    lists: StatusLists = request.app.state.status_lists
    newest = await lists.current()
    gzipped = accepts_gzip(request)
    headers = {**LIST_HEADERS, "ETag": f'"{newest.tag}{"-gzip" if gzipped else ""}"'}
    if matches_if_none_match(request, headers["ETag"]):
        return Response(None, 304, headers)
    if gzipped:
        return Response(newest.gzipped, media_type=MEDIA_TYPE, headers={**headers, "Content-Encoding": "gzip"})
    return Response(newest.signed, media_type=MEDIA_TYPE, headers=headers)


@page_router.get(service.VERIFY_PATH)
async def show_verify_page(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """Respond with the page that verifies a certificate in the browser, in English or Urdu."""
    language = query.lang or verify_page.preferred_language(request.headers.get("accept-language", ""))
    found = page(verify_page.title(language), verify_page.body(language), language)
    found.headers["Vary"] = "Accept-Language"
    return found
