"""The service as a test meets it: the real application over HTTP, its partners, and a worker in steps."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from starlette.routing import BaseRoute

from app.allowlist.models import Publication
from app.allowlist.publisher import Publisher
from app.bulk_uploads.ingestion import scheduling
from app.bulk_uploads.ingestion.ingest import ingest
from app.core.database.engine import Database
from app.core.settings import Settings
from app.main import create_app
from app.partners import service as partners
from app.partners import store as partners_store
from app.partners.rules import ALLOWED, PartnerKind
from app.partners.schemas import NewClient, NewPartner
from tests.support import postgres

BASE_URL = "http://testserver"


@dataclass(frozen=True)
class Credentials:
    """A client's id and secret, and its row's ids."""

    client_id: str
    client_secret: str
    id: UUID
    partner_id: UUID


_routes: list[BaseRoute] = []


def _application(settings: Settings) -> FastAPI:
    """Return the application; all tests share its routes, which are analysed once."""
    app = create_app(settings)
    _routes[:] = _routes or app.router.routes
    app.router.routes[:] = _routes
    return app


class Service:
    """A running application on a database of its own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.app = _application(settings)
        self.database = Database(settings)
        self.publisher = Publisher(self.database, timedelta(seconds=settings.mass_change_window_seconds))
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url=BASE_URL)

    async def credentials(
        self,
        partner: str,
        kind: PartnerKind = PartnerKind.ASSOCIATION,
        *,
        operator: str | None = None,
        client: str | None = None,
        scopes: list[str] | None = None,
        person: str | None = None,
    ) -> Credentials:
        """Create a client of a partner, and the partner if it does not exist."""
        async with self.database.transaction() as tx:
            found = await partners_store.find_partner(tx, partner)
            if found is None:
                body = NewPartner(name=partner, kind=kind, operator=operator)
                found = await partners.create_partner(tx, None, body)
            issued = await partners.create_client(
                tx, None, found, NewClient(name=client or partner, scopes=scopes, person=person)
            )
            assert issued.client_secret is not None
            return Credentials(issued.client.client_id, issued.client_secret, issued.client.id, found.id)

    async def token(self, credentials: Credentials, scope: str | None = None) -> str:
        """An access token."""
        form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        answer = await self.http.post(
            "/oauth/token", data=form, auth=(credentials.client_id, credentials.client_secret)
        )
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    async def caller(
        self,
        partner: str,
        kind: PartnerKind = PartnerKind.ASSOCIATION,
        *,
        operator: str | None = None,
        client: str | None = None,
        scopes: list[str] | None = None,
        person: str | None = None,
    ) -> "Caller":
        """A partner's system that calls with a token."""
        made = await self.credentials(partner, kind, operator=operator, client=client, scopes=scopes, person=person)
        return Caller(self, made, await self.token(made))

    async def officer(self, name: str = "pta-officer-1", *, person: str | None = None) -> "Caller":
        """An officer of the regulator, a person of its own unless another is named."""
        return await self.caller("pta", PartnerKind.REGULATOR, client=name, person=person or name)

    async def admin(self, name: str = "pta-admin-1", *, person: str | None = None) -> "Caller":
        """An officer who may administrate partners as well."""
        scopes = sorted(ALLOWED[PartnerKind.REGULATOR])
        return await self.caller("pta", PartnerKind.REGULATOR, client=name, scopes=scopes, person=person or name)

    async def move_clock(self, offset: timedelta) -> None:
        """Move the register's clock away from the database's by an offset, which replaces an earlier one."""
        body = f"SELECT now() + make_interval(secs => {offset.total_seconds()})"
        clock = "CREATE OR REPLACE FUNCTION register_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE"
        await postgres.execute(self.settings.database_url, f"{clock} AS '{body}'")

    async def publish(self) -> Publication | None:
        """Run the publisher once, and refresh the reader."""
        published = await self.publisher.publish()
        await self.app.state.reader.refresh()
        return published

    async def ingest_all(self, chunk_rows: int = 2_000) -> None:
        """Ingest every waiting upload, as a worker does."""
        async with self.database.transaction(read_only=True) as tx:
            waiting = [each.id for kind in (True, False) for each in await scheduling.list_due(tx, is_small=kind)]
        for upload_id in sorted(waiting):
            await ingest(self.database, upload_id, chunk_rows, self.settings.max_upload_rows)

    async def let_keys_settle(self) -> None:
        """Skip the seconds in which a new signing key is published and does not sign yet."""
        statement = "UPDATE signing_keys SET created_at = created_at - interval '11 seconds'"
        await postgres.execute(self.settings.database_url, statement)

    async def close(self) -> None:
        """Close connections and background tasks."""
        await self.http.aclose()
        await self.database.close()
        await self.app.state.database.close()


@dataclass(frozen=True)
class Caller:
    """Calls the service with a token."""

    service: Service
    credentials: Credentials
    token: str

    async def request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """One call with the bearer token."""
        headers = {"Authorization": f"Bearer {self.token}", **kwargs.pop("headers", {})}
        return await self.service.http.request(method, path, headers=headers, **kwargs)

    async def get(self, path: str, **kwargs: Any) -> httpx.Response:
        """GET."""
        return await self.request("GET", path, **kwargs)

    async def post(self, path: str, **kwargs: Any) -> httpx.Response:
        """POST."""
        return await self.request("POST", path, **kwargs)

    async def patch(self, path: str, **kwargs: Any) -> httpx.Response:
        """PATCH."""
        return await self.request("PATCH", path, **kwargs)

    async def delete(self, path: str, **kwargs: Any) -> httpx.Response:
        """DELETE."""
        return await self.request("DELETE", path, **kwargs)
