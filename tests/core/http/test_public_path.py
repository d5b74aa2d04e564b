"""The service works below a path, behind a proxy that strips the path and one that passes it on."""

import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from app.core.settings import Settings
from app.partners.rules import PartnerKind
from tests.support import cases
from tests.support.postgres import settings_for
from tests.support.service import Caller, Service

PREFIX = "/registry"
PUBLIC_URL = f"https://host.example{PREFIX}"


@pytest.fixture
def settings(database_url: str) -> Settings:
    return settings_for(database_url, public_url=PUBLIC_URL)


@pytest.fixture(params=["strips", "passes on", "mounts"])
async def proxied(service: Service, request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """A client that reaches the service below the path only."""
    app = Starlette(routes=[Mount(PREFIX, app=service.app)]) if request.param == "mounts" else service.app
    base = f"http://proxied{'' if request.param == 'strips' else PREFIX}"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base) as http:
        yield http


@pytest.mark.parametrize(
    "url",
    ["https://h/v1", "https://h/docs/x", "https://h/a b", "https://h/a?b", "https://h//a", "https://h/a//", "h/a"],
)
def test_a_path_that_is_none_or_begins_like_the_services_own_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="public_url"):
        settings_for("postgresql://unused", public_url=url)


def test_a_slash_at_the_end_of_the_url_makes_no_difference() -> None:
    assert settings_for("postgresql://unused", public_url=f"{PUBLIC_URL}/").public_url == PUBLIC_URL
    assert settings_for("postgresql://unused", public_url="https://h/").path_prefix == ""


async def test_a_problem_leads_to_its_page_below_the_path(proxied: httpx.AsyncClient) -> None:
    problem = (await proxied.get("/v1/registrations")).json()
    assert (problem["type"], problem["instance"]) == (
        f"{PREFIX}/problems/unauthenticated",
        f"{PREFIX}/v1/registrations",
    )
    page = await proxied.get("/problems/unauthenticated")
    assert page.status_code == 200
    assert (await proxied.put("/v1/registrations")).headers["Allow"] == "GET, HEAD, POST"


async def test_location_and_link_lead_on_below_the_path(proxied: httpx.AsyncClient, service: Service) -> None:
    client = await service.credentials("pseb", PartnerKind.ASSOCIATION)
    form = {
        "grant_type": "client_credentials", "client_id": client.client_id, "client_secret": client.client_secret,
    }  # fmt: skip
    token = (await proxied.post("/oauth/token", data=form)).json()["access_token"]
    proxied.headers["Authorization"] = f"Bearer {token}"
    person, once = cases.individual(), {"Idempotency-Key": "once"}
    made, again = [await proxied.post("/v1/applicants", json=person, headers=once) for _ in range(2)]
    assert made.headers["Location"] == again.headers["Location"] == f"{PREFIX}/v1/applicants/{made.json()['id']}"
    await proxied.post("/v1/applicants", json=cases.company())
    first = await proxied.get("/v1/applicants?limit=1")
    assert first.headers["Link"].startswith(f"<{PREFIX}/v1/applicants?limit=1&cursor=")


async def test_the_addresses_of_tokens_keys_and_artefacts_have_the_path(
    proxied: httpx.AsyncClient, service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    await cases.approved(pseb, officer)
    await service.publish()
    login = (nayatel.credentials.client_id, nayatel.credentials.client_secret)
    answer = await proxied.get("/v1/allowlist/manifest", auth=login)
    assert answer.status_code == 200, answer.text
    payload = answer.text.split(".")[1]
    manifest = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert manifest["issuer"] == PUBLIC_URL
    assert manifest["snapshot"]["url"].startswith(f"{PUBLIC_URL}/v1/allowlist/")
    for path in ("/.well-known/oauth-authorization-server", f"/.well-known/oauth-authorization-server{PREFIX}"):
        metadata = (await proxied.get(path)).json()
        assert metadata["issuer"] == PUBLIC_URL
        assert metadata["token_endpoint"] == f"{PUBLIC_URL}/oauth/token"
        assert metadata["jwks_uri"] == f"{PUBLIC_URL}/.well-known/jwks.json"
    document = (await proxied.get("/openapi.json")).json()
    assert document["servers"][0]["url"] == PUBLIC_URL
    flows = document["components"]["securitySchemes"]["OAuth2"]["flows"]
    assert flows["clientCredentials"]["tokenUrl"] == f"{PUBLIC_URL}/oauth/token"


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc", "/problems", "/problems/not_found"])
async def test_whatever_a_page_loads_or_links_is_below_the_path(proxied: httpx.AsyncClient, path: str) -> None:
    page = await proxied.get(path, headers={"Accept": "text/html"})
    assert page.status_code == 200
    found = [part.split('"')[0] for mark in ('href="', 'src="', 'spec-url="') for part in page.text.split(mark)[1:]]
    assert found
    for reference in found:
        assert reference.startswith(f"{PREFIX}/")
        assert (await proxied.get(reference.removeprefix(PREFIX))).status_code == 200, reference
