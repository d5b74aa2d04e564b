"""Standing for whoever has a receipt, without a token: as JSON, and as a page for people."""

import unicodedata
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response

from app.core.database.engine import Database
from app.core.errors import Invalid, TooManyRequests
from app.core.http.dependencies import Db
from app.core.http.problems import BODIES, problem_responses, status_of
from app.core.http.responses import json_response
from app.core.http.strict_route import StrictRoute
from app.core.limits.http import count_failed_receipt
from app.core.settings import Settings
from app.core.validation import networks
from app.registrations.errors import IllegalTransition
from app.standing import schemas, service, status_page
from app.standing.errors import UnknownReceipt
from app.standing.service import FoundStanding, ReceiptVerifier
from app.standing.status_page import Mistake
from app.standing.texts import LANGUAGES, preferred_language

router = APIRouter(prefix="/standings", tags=["standing"], route_class=StrictRoute)
page_router = APIRouter(route_class=StrictRoute, include_in_schema=False)


async def case_of_receipt(request: Request, receipt: str) -> UUID:
    """Return the id of the case of a receipt. Raises ``UnknownReceipt``, ``TooManyRequests``."""
    receipts: ReceiptVerifier = request.app.state.receipts
    try:
        return await receipts.verify(receipt)
    except UnknownReceipt:
        await count_failed_receipt(request)
        raise


async def _find(request: Request, database: Database, receipt: str, address: str | None) -> FoundStanding:
    """Return the standing of a receipt's case. Raises ``UnknownReceipt``, ``TooManyRequests``.

    An address that is none of the case counts as a failure: nobody can find out the addresses of a receipt by trying.
    """
    case_id = await case_of_receipt(request, receipt)
    async with database.transaction(read_only=True) as tx:
        found = await service.find_standing(tx, case_id, address)
    if found.address_matches is False:
        await count_failed_receipt(request)
    return found


@router.post(
    "",
    summary="Ask for the standing of a receipt",
    response_model=schemas.RegistrationStanding,
    responses=problem_responses(UnknownReceipt, TooManyRequests, *BODIES),
)
async def ask_standing(request: Request, body: schemas.StandingQuestion, database: Db) -> Response:
    """Says whether a registration is in force, since when and until when, and what to do. It needs no token.

    It names nobody, and no address. A receipt that is malformed, unknown or ended is a 404, whichever it is. Receipts
    that are not known and addresses that are none of the registration are limited by source address.
    """
    language = preferred_language(request.headers.get("accept-language"))
    found = await _find(request, database, body.receipt, body.address)
    return json_response(service.resource_of(found, language), Content_Language=language, Vary="Accept-Language")


@router.post(
    "/transfer-code",
    status_code=201,
    summary="Make a transfer code by a receipt",
    response_model=schemas.TransferCode,
    responses=problem_responses(UnknownReceipt, IllegalTransition, TooManyRequests, *BODIES),
)
async def make_transfer_code(request: Request, body: schemas.TransferCodeQuestion, database: Db) -> Response:
    """Makes a code, valid once and for 72 hours, that the registrant gives to another association: it needs no token.

    With it, that association may submit a registration that replaces this one. A new code ends an earlier one.
    """
    case_id = await case_of_receipt(request, body.receipt)
    async with database.transaction() as tx:
        return json_response(await service.make_transfer_code(tx, case_id), 201)


@page_router.get(status_page.PATH)
async def show_form(request: Request, query: Annotated[schemas.StatusPageQuery, Query()]) -> Response:
    """Respond with the form, in the language of ``?lang=`` or of the browser."""
    language = query.lang or preferred_language(request.headers.get("accept-language"))
    return status_page.form_page(language, sends_mail=_sends_mail(request))


@page_router.post(status_page.PATH)
async def answer_form(
    request: Request,
    database: Db,
    receipt: Annotated[str, Form()] = "",
    address: Annotated[str, Form()] = "",
    lang: Annotated[str, Form()] = "",
) -> Response:
    """Respond with the standing of the receipt in the form, or with the form and what is wrong in it."""
    language = next(
        (each for each in LANGUAGES if each == lang), preferred_language(request.headers.get("accept-language"))
    )
    mistake, text = _mistake(receipt, address), _plain(address)
    if mistake is None:
        try:
            found = await _find(request, database, receipt, text or None)
            return status_page.answer_page(language, found, sends_mail=_sends_mail(request))
        except UnknownReceipt as unknown:
            mistake = Mistake(status_of(unknown), {"receipt": status_page.UNKNOWN}, {})
        except TooManyRequests as refused:
            wait = {"Retry-After": str(refused.retry_after)}
            mistake = Mistake(status_of(refused), {"": status_page.TOO_MANY}, wait)
    sends_mail = _sends_mail(request)
    return status_page.form_page(language, sends_mail=sends_mail, receipt=receipt, address=address, mistake=mistake)


def _sends_mail(request: Request) -> bool:
    settings: Settings = request.app.state.settings
    return settings.sends_mail


def _mistake(receipt: str, address: str) -> Mistake | None:
    """Return what is wrong with a form as it is, all at once."""
    errors = {} if receipt.strip() else {"receipt": status_page.NO_RECEIPT}
    if text := _plain(address):
        try:
            networks.parse_address(text)
        except Invalid:
            errors["address"] = status_page.WRONG_ADDRESS
    return Mistake(422, errors, {}) if errors else None


def _plain(address: str) -> str:
    """Return an address without blanks, and with the digits of any script as those of ASCII."""
    return "".join(str(unicodedata.decimal(each, each)) for each in address.strip())
