"""Notices by mail, for whoever has a receipt: asking for a code, confirming an address, and stopping by one click."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request, Response

from app.core.database.engine import Database
from app.core.errors import TooManyRequests
from app.core.http.dependencies import Db
from app.core.http.problems import BODIES, problem_responses, status_of
from app.core.http.responses import json_response
from app.core.http.strict_route import StrictRoute
from app.core.limits.http import count_failed_receipt
from app.core.settings import Settings
from app.mail import pages, schemas, service
from app.mail.errors import MailOff, WrongCode
from app.mail.pages import LABELS
from app.mail.rules import STOP_PATH
from app.standing.errors import UnknownReceipt
from app.standing.router import case_of_receipt
from app.standing.texts import LANGUAGES, Language, preferred_language


async def _require_mail(request: Request) -> None:
    settings: Settings = request.app.state.settings
    if not settings.sends_mail:
        raise MailOff


MAIL = [Depends(_require_mail)]
router = APIRouter(prefix="/standings", tags=["standing"], route_class=StrictRoute, dependencies=MAIL)
page_router = APIRouter(route_class=StrictRoute, include_in_schema=False, dependencies=MAIL)


@router.post(
    "/contact",
    status_code=202,
    summary="Ask for notices by mail",
    response_model=schemas.CodeRequested,
    responses=problem_responses(UnknownReceipt, MailOff, TooManyRequests, *BODIES),
)
async def ask_for_notices(request: Request, body: schemas.CodeRequest, database: Db) -> Response:
    """Sends a code to the e-mail address that the registration's applicant is recorded with. It needs no token.

    At most one code an hour goes to an address; the answer is the same whether or not one was sent.
    """
    await _ask(request, database, body.receipt, preferred_language(request.headers.get("accept-language")))
    return json_response(schemas.CodeRequested(), 202)


@router.post(
    "/contact/confirm",
    summary="Confirm an address for notices",
    response_model=schemas.Verified,
    responses=problem_responses(UnknownReceipt, MailOff, WrongCode, TooManyRequests, *BODIES),
)
async def confirm_address(request: Request, body: schemas.Verification, database: Db) -> Response:
    """Confirms the address by the code that was sent to it. Notices of the applicant's registrations go there then.

    Each mail has a link that stops them.
    """
    await _confirm(request, database, body.receipt, body.code)
    return json_response(schemas.Verified())


async def _ask(request: Request, database: Database, receipt: str, language: Language) -> None:
    case_id = await case_of_receipt(request, receipt)
    async with database.transaction() as tx:
        await service.ask_for_code(tx, case_id, language)


async def _confirm(request: Request, database: Database, receipt: str, code: str) -> None:
    """Verify an address. Raises ``UnknownReceipt``, ``TooManyRequests``, and ``WrongCode``, which was counted."""
    case_id = await case_of_receipt(request, receipt)
    async with database.transaction() as tx:  # a wrong code is counted, so the error is raised once that is committed
        is_verified = await service.confirm(tx, case_id, code)
    if not is_verified:
        await count_failed_receipt(request)
        raise WrongCode(errors=[WrongCode.at("/code")])


def _language_of(request: Request, lang: str) -> Language:
    preferred = preferred_language(request.headers.get("accept-language"))
    return next((each for each in LANGUAGES if each == lang), preferred)


@page_router.get(pages.PATH)
async def show_form(request: Request, query: Annotated[schemas.MailPageQuery, Query()]) -> Response:
    """Respond with the form that asks for notices."""
    return pages.ask_page(_language_of(request, query.lang or ""))


@page_router.post(pages.PATH)
async def answer_form(
    request: Request,
    database: Db,
    receipt: Annotated[str, Form()] = "",
    code: Annotated[str | None, Form()] = None,
    lang: Annotated[str, Form()] = "",
) -> Response:
    """Ask for a code by the receipt in the form, or confirm the address by both; errors are told in the form."""
    language = _language_of(request, lang)
    labels = LABELS[language]
    try:
        if code is None:
            await _ask(request, database, receipt, language)
            return pages.code_page(language, receipt)
        await _confirm(request, database, receipt, code.strip())
        return pages.verified_page(language)
    except UnknownReceipt as unknown:
        return pages.ask_page(language, labels.unknown_receipt, status_of(unknown))
    except WrongCode as wrong:
        return pages.code_page(language, receipt, labels.wrong_code, status_of(wrong))
    except TooManyRequests as refused:
        found = pages.ask_page(language, labels.too_many, status_of(refused))
        found.headers["Retry-After"] = str(refused.retry_after)
        return found


@page_router.get(f"{STOP_PATH}/{{token}}")
async def ask_to_stop(request: Request, token: UUID, query: Annotated[schemas.MailPageQuery, Query()]) -> Response:
    """Respond with the question whether to stop mail; following the link changes nothing."""
    return pages.stop_page(_language_of(request, query.lang or ""), f"{STOP_PATH}/{token}")


@page_router.post(f"{STOP_PATH}/{{token}}")
async def stop_mail(
    request: Request,
    database: Db,
    token: UUID,
    lang: Annotated[str, Form()] = "",
    one_click: Annotated[str, Form(alias="List-Unsubscribe")] = "",  # noqa: ARG001  # is sent by mail programs
) -> Response:
    """Stop the mail to a contact, for a person's click and for that of a mail program (RFC 8058)."""
    async with database.transaction() as tx:
        is_known = await service.stop(tx, token)
    return pages.stopped_page(_language_of(request, lang), is_known=is_known)
