"""Partners and clients of a benchmark, and calls to the API as one of them."""

from typing import Any, NamedTuple

import httpx

from app.core.database.engine import Database
from app.core.settings import Settings
from app.partners import service
from app.partners.rules import PartnerKind
from app.partners.schemas import NewClient, NewPartner

SECRET_KEY = "the-secret-of-a-benchmark-is-not-one-at-all"


class Credentials(NamedTuple):
    """A client's id and secret."""

    client_id: str
    secret: str


def settings(url: str, **changes: Any) -> Settings:
    """Return the settings of a process on a database."""
    return Settings(database_url=url, secret_key=SECRET_KEY, log_level="error", **changes)


async def make_client(url: str, kind: PartnerKind) -> Credentials:
    """Create a partner and a client with all scopes of its kind."""
    database = Database(settings(url))
    async with database.transaction() as tx:
        partner = await service.create_partner(tx, None, NewPartner(name=kind.value, kind=kind))
        issued = await service.create_client(tx, None, partner, NewClient(name="bench"))
    await database.close()
    return Credentials(issued.client.client_id, issued.client_secret or "")


class Caller:
    """Calls the API as one client, and renews its token."""

    def __init__(self, port: int, credentials: Credentials) -> None:
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=1_800)
        self._credentials = credentials

    def authorise(self) -> dict[str, str]:
        """Get an access token for ten minutes; returns the header that carries it."""
        form = {"grant_type": "client_credentials"}
        answer = self._http.post("/oauth/token", data=form, auth=self._credentials).raise_for_status()
        header = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        self._http.headers.update(header)
        return header

    def answer(self, method: str, path: str, **given: Any) -> httpx.Response:
        """Return a successful response. Raises ``httpx.HTTPStatusError``."""
        answer = self._http.request(method, path, **given)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self.authorise()
            answer = self._http.request(method, path, **given)
        return answer.raise_for_status()

    def call(self, method: str, path: str, **given: Any) -> Any:
        """Return the JSON of a successful response. Raises ``httpx.HTTPStatusError``."""
        return self.answer(method, path, **given).json()
