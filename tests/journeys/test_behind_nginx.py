"""The service works below a path of a real nginx, which strips the path or passes it on."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import async_playwright, expect

from app.core.settings import Settings
from app.follower.follower import Follower
from app.partners.rules import PartnerKind
from tests.support import cases, processes
from tests.support.browser import ARGUMENTS, CHROMIUM
from tests.support.feed import published
from tests.support.service import Service

PREFIX = "/registry"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
METADATA = "/.well-known/oauth-authorization-server"
NETWORK = "203.99.50.5/32"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(NGINX is None, reason="there is no nginx here: apt-get install nginx-light"),
]


def configuration(directory: Path, port: int, upstream: str, passed: str) -> str:
    """Return the configuration of docs/operations.md, with the path stripped or passed on, and with compression."""
    temporary = "".join(
        f"  {each}_temp_path {directory}/{each};\n" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"pid {directory}/nginx.pid;\nerror_log {directory}/error.log;\nevents {{}}\n"
        f"http {{\n{temporary}  proxy_max_temp_file_size 0;\n  access_log off;\n"
        "  gzip on;\n  gzip_proxied any;\n  gzip_types application/json text/plain;\n  gzip_min_length 1;\n"
        f"  server {{\n    listen 127.0.0.1:{port};\n    proxy_set_header Host $http_host;\n"
        f"    location {PREFIX}/ {{ proxy_pass {upstream}{passed}; }}\n"
        f"    location = {METADATA}{PREFIX} {{ proxy_pass {upstream}; }}\n  }}\n}}\n"
    )


@pytest.fixture(params=["/", f"{PREFIX}/"], ids=["strips", "passes on"])
def public_url(settings: Settings, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of the service below the path of nginx."""
    port = processes.free_port()
    url = f"http://127.0.0.1:{port}{PREFIX}"
    own_port = processes.free_port()
    environment = processes.api_environment(settings, own_port) | {"PUBLIC_URL": url}
    upstream = f"http://127.0.0.1:{own_port}"
    file = tmp_path / "nginx.conf"
    file.write_text(configuration(tmp_path, port, upstream, request.param))
    command = [str(NGINX), "-p", str(tmp_path), "-c", str(file), "-g", "daemon off;"]
    with processes.running("serve", environment) as service:
        processes.wait_until_live(upstream, service)
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as nginx:
            try:
                processes.wait_until_live(url, nginx)
                yield url
            finally:
                nginx.terminate()


async def test_what_callers_are_told_leads_on_below_the_path(service: Service, public_url: str) -> None:
    client = await service.credentials("pseb", PartnerKind.ASSOCIATION)
    form = {"grant_type": "client_credentials"}
    origin = public_url.removesuffix(PREFIX)
    async with httpx.AsyncClient(base_url=public_url, timeout=60) as http:
        for page in ("/", "/docs", "/redoc", "/problems", "/problems/not_found"):
            shown = await http.get(page, headers={"Accept": "text/html"})
            assert shown.status_code == 200, page
            for reference in re.findall(r'(?:href|src|spec-url)="([^"]+)"', shown.text):
                assert (await http.get(origin + reference)).status_code == 200, (page, reference)
        metadata = (await http.get(f"{origin}{METADATA}{PREFIX}")).json()
        assert metadata["issuer"] == public_url
        assert (await http.get(metadata["jwks_uri"])).status_code == 200
        login = (client.client_id, client.client_secret)
        token = (await http.post(metadata["token_endpoint"], data=form, auth=login)).json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
        problem = (await http.post("/v1/applicants", json={})).json()
        assert problem["instance"] == f"{PREFIX}/v1/applicants"
        assert (await http.get(origin + problem["type"])).status_code == 200
        made = await http.post("/v1/applicants", json=cases.company())
        assert (await http.get(origin + made.headers["Location"])).json() == made.json()
        tag = (await http.get(origin + made.headers["Location"])).headers["ETag"]
        assert tag.startswith("W/")  # since nginx compresses
        changed = await http.patch(
            made.headers["Location"].removeprefix(PREFIX), json={"mobile": None}, headers={"If-Match": tag}
        )
        assert changed.status_code == 200
        await http.post("/v1/applicants", json=cases.individual())
        first = await http.get("/v1/applicants?limit=1")
        second = await http.get(origin + first.links["next"]["url"])
        assert second.status_code == 200
        assert second.json()["items"] != first.json()["items"]


async def test_the_follower_follows_below_the_path(service: Service, public_url: str, tmp_path: Path) -> None:
    await published(service, NETWORK)
    client = await service.credentials("nayatel", PartnerKind.OPERATOR, operator="nayatel")
    out = tmp_path / "list.txt"
    login = (client.client_id, client.client_secret)
    with httpx.HTTPTransport() as transport:
        follower = Follower(base_url=public_url, credentials=login, out=out, transport=transport)
        assert await asyncio.to_thread(follower.run_once)
    assert out.read_text().split() == [NETWORK]


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")
async def test_swagger_logs_in_and_calls_below_the_path(service: Service, public_url: str) -> None:
    client = await service.credentials("pseb", PartnerKind.ASSOCIATION)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page()
        page.set_default_timeout(60_000)
        await page.goto(f"{public_url}/docs")
        await page.get_by_role("button", name="Authorize").first.click()
        oauth = page.locator(".dialog-ux .auth-container").first
        await oauth.get_by_label("client_id").fill(client.client_id)
        await oauth.get_by_label("client_secret").fill(client.client_secret)
        await oauth.get_by_role("button", name="Apply given OAuth2 credentials").click()
        await expect(oauth.get_by_role("button", name="Remove authorization")).to_be_visible()
        await oauth.get_by_role("button", name="Close", exact=True).click()
        tracks = page.locator("[id$='-list_tracks']")
        await tracks.locator(".opblock-summary").click()
        await tracks.get_by_role("button", name="Try it out").click()
        await tracks.get_by_role("button", name="Execute").click()
        answer = tracks.locator(".live-responses-table .response")
        await expect(answer.locator(".response-col_status")).to_contain_text("200")
        await browser.close()
