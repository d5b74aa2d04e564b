"""The documentation works in a browser that has no network but the service."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.async_api import Page, expect
from sqlalchemy import select

from app.core.principal import SCOPES
from app.core.settings import Settings
from app.main import create_app
from app.registrations.models import Registration
from tests.support import postgres, processes
from tests.support.browser import NEEDS_CHROMIUM, open_page
from tests.support.service import Service

HEIGHTS = "each => Object.fromEntries(each.map((one) => [one.id, one.getBoundingClientRect().height]))"
LONGEST = 10
DOCUMENT = create_app(postgres.settings_for("postgresql://unused")).openapi()
STARTER = files("app.core.http") / "static" / "swagger.js"
pytestmark = NEEDS_CHROMIUM


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    with processes.serving(settings) as url:
        yield url


@pytest.fixture
async def page(url: str) -> AsyncIterator[Page]:
    """A browser page that reaches only the service, and must not try to reach anything else."""
    async with open_page(url) as page:
        yield page


async def authorise(service: Service, url: str, page: Page) -> None:
    """Open the documentation and log in as a client of an association."""
    client = await service.credentials("pseb")
    await page.goto(f"{url}/docs")
    await page.get_by_role("button", name="Authorize").first.click()
    dialog = page.locator(".dialog-ux")
    oauth = dialog.locator(".auth-container").first  # below it is HTTP Basic, for the feed
    await expect(oauth).to_contain_text("clientCredentials")
    assert await oauth.locator("input:checked").count() == len(SCOPES)
    await oauth.get_by_label("client_id").fill(client.client_id)
    await oauth.get_by_label("client_secret").fill(client.client_secret)
    await oauth.get_by_role("button", name="Apply given OAuth2 credentials").click()
    await expect(oauth.get_by_role("button", name="Remove authorization")).to_be_visible()
    await oauth.get_by_role("button", name="Close", exact=True).click()


async def test_a_partner_authorises_and_executes_a_call(service: Service, url: str, page: Page) -> None:
    await authorise(service, url, page)
    tracks = page.locator("[id$='-list_tracks']")
    await tracks.locator(".opblock-summary").click()
    await tracks.get_by_role("button", name="Try it out").click()
    await tracks.get_by_role("button", name="Execute").click()
    answer = tracks.locator(".live-responses-table .response")
    await expect(answer.locator(".response-col_status")).to_contain_text("200")
    await expect(answer).to_contain_text("vpn_freelancer")
    assert await page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


def largest(count: int) -> dict[str, Any]:
    """Return the document with the operations that have the longest descriptions alone."""

    def length(named: tuple[str, str]) -> int:
        path, method = named
        return len(json.dumps(DOCUMENT["paths"][path][method]))

    named = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for path, method in sorted(named, key=length, reverse=True)[:count]:
        paths[path][method] = DOCUMENT["paths"][path][method]
    return {**DOCUMENT, "paths": paths}


@pytest.mark.timeout(300)
async def test_the_longest_operations_fit_two_screens_when_they_are_opened(url: str, page: Page) -> None:
    await page.set_viewport_size({"width": 1280, "height": 900})
    # opened at the start, which takes one rendering; all operations take minutes
    opened = STARTER.read_text().replace("deepLinking: true", 'docExpansion: "full", deepLinking: true')
    document = json.dumps(largest(LONGEST))
    await page.route("**/static/swagger.js", lambda route: route.fulfill(body=opened, content_type="text/javascript"))
    await page.route("**/openapi.json", lambda route: route.fulfill(body=document, content_type="application/json"))
    await page.goto(f"{url}/docs")
    await expect(page.locator(".opblock .responses-table")).to_have_count(LONGEST, timeout=60_000)
    heights = await page.locator(".opblock").evaluate_all(HEIGHTS)
    assert {"operations-bulk_uploads-upload", "operations-registrations-create_registration"} <= heights.keys()
    assert {name: height for name, height in heights.items() if height > 2 * 900} == {}
    errors = page.locator("[id$='-create_registration'] .response[data-code='4XX']")
    await errors.locator("select").last.select_option("network_taken")
    await expect(errors.locator("pre.example")).to_contain_text('"errors"')


async def test_a_partner_chooses_a_file_and_uploads_it_as_the_example_shows(
    service: Service, url: str, page: Page
) -> None:
    await authorise(service, url, page)
    template = page.locator("[id$='-get_csv_template']")
    await template.locator(".opblock-summary").click()
    await template.get_by_role("button", name="Try it out").click()
    await template.get_by_role("button", name="Execute").click()
    answer = template.locator(".live-responses-table .response")
    await expect(answer.locator(".response-col_status")).to_contain_text("200")
    async with page.expect_download() as download:
        await answer.get_by_text("Download file").first.click()
    file = await (await download.value).path()

    upload = page.locator("[id='operations-bulk_uploads-upload']")
    await upload.locator(".opblock-summary").click()
    example = await upload.locator(".opblock-description pre").inner_text()
    assert example.splitlines() == file.read_text(encoding="utf-8-sig").splitlines()
    for kind in ("XLSX", "ODS", "XLS", "CSV", "NDJSON", "ZIP"):
        await expect(upload.locator(".opblock-description")).to_contain_text(kind)
    await upload.get_by_role("button", name="Try it out").click()
    await upload.locator("input[type=file]").set_input_files(file)
    await upload.get_by_role("button", name="Execute").click()
    answer = upload.locator(".live-responses-table .response")
    await expect(answer.locator(".response-col_status")).to_contain_text("202")
    await service.ingest_all()
    assert await registered(service) == ["PSEB-1"]


async def registered(service: Service) -> list[str | None]:
    async with service.database.transaction(read_only=True) as tx:
        return list(await tx.scalars(select(Registration.reference)))


async def test_the_reference_is_rendered_with_every_resource(url: str, page: Page) -> None:
    await page.goto(f"{url}/redoc")
    await expect(page.get_by_role("heading", name="IP registration service")).to_be_visible(timeout=20_000)
    for summary in ("Submit a registration", "Upload registrations", "Read the allowlist"):
        await expect(page.get_by_role("heading", name=summary).first).to_be_attached()
