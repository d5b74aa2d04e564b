"""The API process: ``create_app(settings)`` and what lives as long as it does."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from joserfc.jwk import KeySet
from sqlalchemy.exc import SQLAlchemyError

from app import __version__, api
from app.allowlist.serving.history import FeedHistory
from app.allowlist.serving.long_polls import LongPolls
from app.allowlist.serving.manifest import ManifestSigner
from app.allowlist.serving.reader import SnapshotReader
from app.allowlist.snapshot import NotASnapshot
from app.audit.store import newest_signed
from app.core.auth.bearer import TokenVerifier
from app.core.database.engine import Database
from app.core.database.notifications import Listener
from app.core.http.body_limit import BodyLimitMiddleware
from app.core.http.idempotency import add_replay_handler
from app.core.http.middleware import RequestMiddleware
from app.core.http.openapi import completed
from app.core.http.problems import add_problem_handlers
from app.core.http.problems import router as problems
from app.core.limits.http import RateLimits
from app.core.limits.shared_read import SharedRead
from app.core.limits.work_slots import WorkSlots
from app.core.outbound.client import Outbound
from app.core.process.logs import configure_logging
from app.core.settings import Settings
from app.health import store as health
from app.health.router import missing
from app.health.router import router as health_router
from app.partners import store as partners
from app.partners.login.basic import BasicAuthenticator
from app.partners.login.client_authentication import ClientAuthenticator
from app.partners.login.client_lookup import ClientLookup
from app.partners.login.external_tokens import external_verifiers
from app.partners.login.revocation import TokenRevocations
from app.partners.login.token_endpoint import router as tokens
from app.registrations.intake.submissions import Submissions

DESCRIPTION = """The register of IP addresses used for VPNs and static-IP services.

Partners register applicants and their addresses, officers decide, operators read the allowlist. Get a token with
**Authorize** (client id and secret), then try any call. Errors are problem details (RFC 9457); each code is explained
under [/problems](/problems). Lists are pages: follow `next_cursor`. A change needs `If-Match`, and every POST that
makes something takes an `Idempotency-Key`."""
OPENAPI = "/openapi.json"
UPLOADS = "/v1/bulk-uploads"
FEED = "/v1/allowlist"
CONDITIONAL = (f"{FEED}/snapshots/", f"{FEED}/deltas/")
RATE_CLASSES = {("POST", UPLOADS): "upload", ("POST", f"{FEED}/checks"): "feed"}


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    listener = Listener(app.state.settings.database_url, ["allowlist_published", "clients_changed"])
    reader: SnapshotReader = app.state.reader
    revocations: TokenRevocations = app.state.revocations
    # a database that is down, or holds a list that does not prove itself, delays the list, not the start
    with suppress(SQLAlchemyError, OSError, NotASnapshot):
        await revocations.refresh()
        await reader.refresh()
    gc.freeze()  # looking through what stays loaded for cycles would stop everybody for a tenth of a second
    tasks = [asyncio.create_task(each) for each in (listener.run(), reader.run(listener), revocations.run(listener))]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await app.state.database.close()


async def _document(request: Request) -> Response:
    """The OpenAPI document, encoded once."""
    document: Callable[[], Response] = request.app.state.document
    return document()


def create_app(settings: Settings) -> FastAPI:
    """The application, with everything it needs in ``app.state``; it connects when it starts."""
    configure_logging(settings.log_level, settings.log_format)
    app = FastAPIOffline(
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
        # before the framework's, which encodes the document each time
        routes=[APIRoute(OPENAPI, _document, include_in_schema=False)],
        openapi_url=OPENAPI,
        servers=[{"url": "/", "description": "This service, in production as in staging", "x-internal": False}],
    )
    database = Database(settings)

    async def load_keys() -> KeySet:
        async with database.transaction(read_only=True) as tx:
            return await partners.public_keys(tx)

    newest_migration = health.newest_migration()

    async def look() -> str:
        async with database.transaction(read_only=True) as tx:
            return await missing(tx, newest_migration)

    revocations = TokenRevocations(database, settings.poll_seconds)
    outbound, reader, clients = Outbound(settings), SnapshotReader(database, settings), ClientLookup(database)
    slots = WorkSlots()
    history = FeedHistory(database, reader, slots)
    app.state.settings = settings
    app.state.database = database
    app.state.revocations = revocations
    app.state.public_keys = SharedRead(load_keys)
    app.state.verifier = TokenVerifier(settings.public_url, revocations)
    app.state.limits = RateLimits(settings, database, feed=FEED, special=RATE_CLASSES, conditional=CONDITIONAL)
    app.state.external = external_verifiers(settings, database)
    app.state.basic = BasicAuthenticator(clients, database.keyring, revocations.is_revoked)
    app.state.outbound = outbound
    app.state.client_authenticator = ClientAuthenticator(clients, database, outbound, settings.public_url)
    app.state.submissions = Submissions(database)
    app.state.reader = reader
    app.state.waits = LongPolls(settings.max_waits)
    app.state.slots = slots
    app.state.history = history
    app.state.manifest = ManifestSigner(
        database, reader, history, settings.public_url, newest_signed, revocations.is_key_revoked
    )
    app.state.missing = SharedRead(look)
    for router in api.ROUTERS:
        app.include_router(router, prefix=api.PREFIX)
    for router in (tokens, health_router, problems):
        app.include_router(router)
    described = app.openapi
    app.openapi = cache(lambda: completed(described()))  # type: ignore[method-assign]  # FastAPI's way to extend it
    app.state.document = cache(lambda: JSONResponse(app.openapi()))
    add_problem_handlers(app)
    add_replay_handler(app)
    app.add_middleware(
        BodyLimitMiddleware,
        limit=settings.max_body_bytes,
        seconds=settings.body_seconds,
        wider={UPLOADS: settings.max_upload_bytes},
        pace=settings.upload_bytes_per_second,
        memory=settings.max_bodies_bytes,
    )
    app.add_middleware(RequestMiddleware, https=settings.is_https)  # the last one added stands around the others
    return app
