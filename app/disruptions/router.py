"""Endpoints of disruption reports and incidents."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.core.auth.bearer import WITHOUT_TOKEN, require, require_if_sent
from app.core.errors import Invalid, InvalidValue, Unauthenticated
from app.core.http.authenticated_route import AuthenticatedRoute
from app.core.http.dependencies import Db
from app.core.http.idempotency import Idempotency
from app.core.http.problems import BODIES, CHANGES, CREATES, READS, problem_responses
from app.core.http.responses import Precondition, page_response, resource_response
from app.core.limits.http import count_failed_receipt
from app.core.principal import Principal
from app.disruptions import models, schemas, service, store
from app.disruptions.errors import DisruptionLimit, ReportState
from app.disruptions.rules import Verdict
from app.operators import store as operators
from app.operators.errors import UnknownOperator
from app.standing.errors import UnknownReceipt
from app.standing.service import ReceiptVerifier

reports = APIRouter(prefix="/disruption-reports", tags=["disruptions"], route_class=AuthenticatedRoute)
incidents = APIRouter(prefix="/incidents", tags=["disruptions"], route_class=AuthenticatedRoute)
Reader = Annotated[Principal, require("registrations:read")]
Reporter = Annotated[Principal | None, require_if_sent("disruptions:write")]
OperatorClient = Annotated[Principal, require("disruptions:answer")]


async def _case_of(request: Request, principal: Principal | None, receipt: str | None) -> UUID | None:
    """Return the case of the receipt that stands in place of a token; None with a token.

    Raises ``Unauthenticated`` without either, ``Invalid`` with both, ``UnknownReceipt``, ``TooManyRequests``.
    """
    if principal is not None:
        if receipt is not None:
            raise Invalid.of([InvalidValue.at("/receipt", "Send a token or a receipt, not both.")])
        return None
    if receipt is None:
        raise Unauthenticated("The request has neither a bearer token nor a receipt.")
    receipts: ReceiptVerifier = request.app.state.receipts
    try:
        return await receipts.verify(receipt)
    except UnknownReceipt:
        await count_failed_receipt(request)
        raise


def _shown(report: models.DisruptionReport, principal: Principal | None) -> schemas.DisruptionReport:
    """Return a report without what leads to the registrant, for an operator or the holder of a receipt."""
    resource = schemas.DisruptionReport.model_validate(report)
    if principal is None or principal.partner_kind == "operator":
        return resource.model_copy(update={"registration_id": None, "by_receipt": None})
    return resource


@reports.post(
    "",
    status_code=201,
    summary="Report a disruption",
    response_model=schemas.DisruptionReport,
    responses=problem_responses(*CREATES, UnknownReceipt, UnknownOperator, DisruptionLimit),
    openapi_extra=WITHOUT_TOKEN,
)
async def report_disruption(
    request: Request, body: schemas.NewReport, database: Db, principal: Reporter, idempotency: Idempotency
) -> Response:
    """Reports that a registered address is blocked, and returns at once what the register knew of it then.

    With a token, by your own registrations; without one, by that of the `receipt`. An address that is none of them is
    `not_registered`, whoever else has it. `not_registered` and `not_in_force` are answered, and go to no operator. The
    other reports are due at the operator within 4 hours. Say nothing of the far end of the connection.
    """
    case_id = await _case_of(request, principal, body.receipt)
    partner_id = principal.partner_id if principal else None
    evidence = await service.examine(database, body, partner_id=partner_id, case_id=case_id)
    if case_id and evidence.judgement.verdict == Verdict.NOT_REGISTERED:
        await count_failed_receipt(request)  # nobody can find out the addresses of a receipt by trying
    # keys of requests by receipt are the case's
    owner = principal or Principal(case_id or UUID(int=0), evidence.partner_id, "association", None, frozenset())
    async with database.transaction(principal) as tx:

        async def report() -> Response:
            if case_id:
                await service.check_receipt_limit(tx, case_id)
            made = await service.create(tx, principal, body, evidence)
            location = f"/v1/disruption-reports/{made.id}"
            return resource_response(_shown(made, principal), 201, location=location)

        return await idempotency.respond(tx, owner, report)


@reports.get(
    "",
    summary="List disruption reports",
    response_model=schemas.DisruptionReportPage,
    responses=problem_responses(*READS, UnknownOperator),
)
async def list_reports(
    request: Request, query: Annotated[schemas.ReportsQuery, Query()], database: Db, principal: Reader
) -> Response:
    """Lists disruption reports, newest first: your own, an operator's those that go to it, the regulator's all."""
    async with database.transaction(principal, read_only=True) as tx:
        await operators.check_known(tx, query.operator or (), "/query/operator")
        found, cursor = await store.list_page(tx, principal, query)
        items = [_shown(each, principal) for each in found]
        return page_response(request, schemas.DisruptionReportPage, items, cursor)


@reports.get(
    "/{report_id}",
    summary="Read a disruption report",
    response_model=schemas.DisruptionReport,
    responses=problem_responses(*READS),
)
async def get_report(report_id: UUID, database: Db, principal: Reader) -> Response:
    """Returns one disruption report."""
    async with database.transaction(principal, read_only=True) as tx:
        return resource_response(_shown(await store.get(tx, principal, report_id), principal))


@reports.post(
    "/{report_id}/acknowledge",
    summary="Acknowledge a disruption report",
    response_model=schemas.DisruptionReport,
    responses=problem_responses(*CHANGES, ReportState),
)
async def acknowledge_report(
    report_id: UUID, database: Db, principal: OperatorClient, if_match: Precondition
) -> Response:
    """Says as the operator that somebody is looking into it. The finding stays due."""
    async with database.transaction(principal) as tx:
        return resource_response(_shown(await service.acknowledge(tx, principal, report_id, if_match), principal))


@reports.post(
    "/{report_id}/findings",
    summary="Close a disruption report",
    response_model=schemas.DisruptionReport,
    responses=problem_responses(*CHANGES, *BODIES, ReportState),
)
async def close_report(
    report_id: UUID, body: schemas.NewFinding, database: Db, principal: OperatorClient, if_match: Precondition
) -> Response:
    """Says as the operator what was found, which closes the report. Its reporter may open it again for 72 hours."""
    async with database.transaction(principal) as tx:
        closed = await service.close(tx, principal, report_id, if_match, body)
        return resource_response(_shown(closed, principal))


@reports.post(
    "/{report_id}/reopen",
    summary="Open a closed disruption report again",
    response_model=schemas.DisruptionReport,
    responses=problem_responses(*CHANGES, *BODIES, UnknownReceipt, ReportState),
    openapi_extra=WITHOUT_TOKEN,
)
async def reopen_report(
    request: Request,
    report_id: UUID,
    body: schemas.Reopening,
    database: Db,
    principal: Reporter,
    if_match: Precondition,
) -> Response:
    """Opens a report again within 72 hours of its finding; it is due again in 4 hours.

    Of a report by receipt, send the receipt in place of a token.
    """
    case_id = await _case_of(request, principal, body.receipt)
    async with database.transaction(principal) as tx:
        opened = await service.reopen(tx, principal, report_id, if_match, case_id)
        return resource_response(_shown(opened, principal))


@incidents.get(
    "",
    summary="List incidents",
    response_model=schemas.IncidentPage,
    responses=problem_responses(*READS, UnknownOperator),
)
async def list_incidents(
    request: Request, query: Annotated[schemas.IncidentsQuery, Query()], database: Db, principal: Reader
) -> Response:
    """Lists incidents, newest first.

    Five reports of five registrants within 15 minutes, at one operator or at three or more, make one. It is closed
    with the last of its reports.
    """
    async with database.transaction(principal, read_only=True) as tx:
        await operators.check_known(tx, query.operator or (), "/query/operator")
        return page_response(request, schemas.IncidentPage, *await store.list_incidents(tx, query))
