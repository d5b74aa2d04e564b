"""The API process: ``create_app`` builds the application and the objects of its state."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache, partial

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from joserfc.jwk import KeySet
from sqlalchemy.exc import SQLAlchemyError

from app import __version__, api
from app.allowlist.serving.history import FeedHistory
from app.allowlist.serving.long_polls import LongPolls
from app.allowlist.serving.manifest import ManifestSigner
from app.allowlist.serving.reader import SnapshotReader
from app.allowlist.serving.work_slots import WorkSlots
from app.allowlist.snapshot import InvalidSnapshot
from app.audit.store import newest_signed
from app.certificates.printing import Printer
from app.certificates.router import page_router as verify_page
from app.certificates.status_list import StatusLists
from app.core.auth.bearer import TokenVerifier
from app.core.database.engine import Database
from app.core.database.notifications import Listener
from app.core.http.body_limit import BodyLimitMiddleware
from app.core.http.docs_pages import router as docs_pages
from app.core.http.front_page import router as front_page
from app.core.http.idempotency import add_replay_handler
from app.core.http.middleware import RequestMiddleware
from app.core.http.openapi import complete
from app.core.http.problem_pages import router as problem_pages
from app.core.http.problems import add_problem_handlers
from app.core.http.public_path import set_prefix
from app.core.http.strict_route import StrictRoute
from app.core.limits.http import RateLimits
from app.core.limits.shared_read import SharedRead
from app.core.outbound.client import Outbound
from app.core.process.logs import configure_logging
from app.core.process.loops import run_forever
from app.core.process.progress import Progress
from app.core.settings import Settings
from app.enforcers import service as enforcers
from app.health import store as health
from app.health.router import router as health_router
from app.health.service import probe
from app.mail.router import page_router as mail_pages
from app.partners import store as partners
from app.partners.login.basic import BasicAuthenticator
from app.partners.login.client_authentication import ClientAuthenticator
from app.partners.login.client_lookup import ClientLookup
from app.partners.login.external_tokens import external_verifiers
from app.partners.login.revocation import TokenRevocations
from app.partners.login.token_endpoint import router as tokens
from app.registrations.intake.submissions import Submissions
from app.standing.router import page_router as status_page
from app.standing.service import ReceiptVerifier

DESCRIPTION = """The register of IP addresses used for VPNs and static-IP services.

Partners register applicants and their networks, officers decide, operators read the allowlist. Get a token with
**Authorize** (client id and secret), then try any operation. Errors are problem details (RFC 9457); each code is
explained under [/problems](problems). Lists are paginated: follow `next_cursor`. A change requires `If-Match`, and
every POST that creates a resource accepts an `Idempotency-Key`. HEAD is served wherever GET is. Unknown parameters, and
a body where none is described, are refused; a filter by a choice may be repeated, which means any of the values."""
SERVER = "This service, in production as in staging"
OPENAPI = "/openapi.json"
FETCHED_SECONDS = 10.0  # between two records of what clients have fetched
UPLOADS = "/v1/bulk-uploads"
FEED = "/v1/allowlist"
CONDITIONAL = (f"{FEED}/snapshots/", f"{FEED}/deltas/")
RATE_CLASSES = {("POST", UPLOADS): "upload", ("POST", f"{FEED}/checks"): "feed"}


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    listener = Listener(app.state.settings.database_url, ["allowlist_published", "clients_changed"])
    reader: SnapshotReader = app.state.reader
    revocations: TokenRevocations = app.state.revocations
    # a database that is away, or a list with a wrong digest, does not prevent the start
    with suppress(SQLAlchemyError, OSError, InvalidSnapshot):
        await revocations.refresh()
        await reader.refresh()
    gc.freeze()  # a full collection of the objects loaded so far would take a tenth of a second
    fetches = run_forever(
        "fetched lists",
        partial(enforcers.record_fetched, app.state.database, reader),
        lambda: asyncio.sleep(FETCHED_SECONDS),
    )
    progress: Progress = app.state.progress
    loops = {
        "listen": listener.run(),
        "refresh the list": reader.run(listener),
        "refresh revocations": revocations.run(listener),
        "record fetched lists": fetches,
        "tick": progress.run(),
    }
    tasks = [asyncio.create_task(work, name=name) for name, work in loops.items()]
    progress.watch(tasks)
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    app.state.printer.close()
    await app.state.database.close()


async def _openapi(request: Request) -> Response:
    """Respond with the OpenAPI document, encoded once."""
    document: Callable[[], Response] = request.app.state.document
    return document()


def create_app(settings: Settings) -> FastAPI:
    """Build the application; it connects to the database when it starts."""
    configure_logging(settings.log_level, settings.log_format)
    set_prefix(settings.path_prefix)
    app = FastAPI(
        title="IP registration service",
        version=__version__,
        description=DESCRIPTION,
        lifespan=_lifespan,
        separate_input_output_schemas=False,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # the service has its own
        generate_unique_id_function=lambda route: route.name,
        openapi_tags=api.TAGS,
        contact={"name": "The operators of this register"},
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        # before FastAPI's own route, which encodes the document for each request
        routes=[StrictRoute(OPENAPI, _openapi, include_in_schema=False)],
        openapi_url=OPENAPI,
        docs_url=None,  # the pages are the service's own
        redoc_url=None,
        servers=[{"url": settings.public_url, "description": SERVER, "x-internal": False}],
    )
    _set_state(app, settings)
    for router in api.ROUTERS:
        app.include_router(router, prefix=api.PREFIX)
    for router in (tokens, health_router, problem_pages, front_page, docs_pages, status_page, mail_pages, verify_page):
        app.include_router(router)
    build_openapi = app.openapi
    app.openapi = cache(lambda: complete(build_openapi()))  # type: ignore[method-assign]  # FastAPI's way to extend it
    app.state.document = cache(lambda: JSONResponse(app.openapi()))
    add_problem_handlers(app)
    add_replay_handler(app)
    app.add_middleware(
        BodyLimitMiddleware,
        limit=settings.max_body_bytes,
        seconds=settings.body_seconds,
        streamed={UPLOADS: settings.max_upload_bytes},
        min_rate=settings.upload_bytes_per_second,
        memory=settings.max_bodies_bytes,
    )
    # added last, so outermost
    app.add_middleware(RequestMiddleware, https=settings.is_https, prefix=settings.path_prefix)
    return app


def _set_state(app: FastAPI, settings: Settings) -> None:
    """Create the objects that requests share, as attributes of ``app.state``."""
    database = Database(settings)

    async def read_public_keys() -> KeySet:
        async with database.transaction(read_only=True) as tx:
            return await partners.published_keys(tx)

    revocations = TokenRevocations(database, settings.poll_seconds)
    outbound, reader, clients = Outbound(settings), SnapshotReader(database, settings), ClientLookup(database)
    slots = WorkSlots()
    history = FeedHistory(database, reader, slots)
    app.state.settings = settings
    app.state.database = database
    app.state.revocations = revocations
    app.state.public_keys = SharedRead(read_public_keys)
    app.state.verifier = TokenVerifier(settings.public_url, revocations)
    app.state.limits = RateLimits(settings, database, feed=FEED, special=RATE_CLASSES, conditional=CONDITIONAL)
    app.state.external = external_verifiers(settings, database)
    app.state.basic = BasicAuthenticator(clients, database.keyring, revocations.is_revoked)
    app.state.outbound = outbound
    app.state.client_authenticator = ClientAuthenticator(clients, database, outbound, settings.public_url)
    app.state.submissions = Submissions(database)
    app.state.receipts = ReceiptVerifier(database)
    app.state.reader = reader
    app.state.long_polls = LongPolls(settings.max_waits)
    app.state.slots = slots
    app.state.history = history
    app.state.manifest = ManifestSigner(
        database, reader, history, settings.public_url, newest_signed, revocations.is_key_revoked
    )
    app.state.printer = Printer()
    app.state.status_lists = StatusLists(database, settings.public_url, revocations.is_key_revoked)
    app.state.readiness = SharedRead(partial(probe, database, health.own_migrations()))
    app.state.progress = Progress()
