"""The front page greets people with a page, and programs with links."""

import re

import pytest

from tests.support.service import Service

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


async def test_an_unknown_parameter_is_refused_as_everywhere(service: Service) -> None:
    assert (await service.http.get("/?x=1")).status_code == 422


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
async def test_a_program_gets_links_that_lead_somewhere(service: Service, accept: str) -> None:
    answer = await service.http.get("/", headers={"Accept": accept})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["vary"] == "Accept"
    links = answer.json()["links"]
    for name in ("docs", "reference", "openapi", "problems", "metadata", "keys"):
        path = links[name].removeprefix(service.settings.public_url)
        assert (await service.http.get(path)).status_code == 200, name
    assert (await service.http.get(links["allowlist"].removeprefix(service.settings.public_url))).status_code == 401


async def test_a_browser_gets_a_page_that_runs_no_script(service: Service) -> None:
    answer = await service.http.get("/", headers={"Accept": BROWSER})
    assert answer.headers["content-type"].startswith("text/html")
    assert "<script" not in answer.text
    for path in re.findall(r'href="([^"]+)"', answer.text):
        assert (await service.http.get(path)).status_code == 200, path


async def test_a_page_for_people_is_set_for_a_phone_and_leads_back(service: Service) -> None:
    for path in ("/", "/problems", "/problems/not_found"):
        page = (await service.http.get(path, headers={"Accept": BROWSER})).text
        assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
        assert {"/", "/docs", "/redoc", "/problems"} <= set(re.findall(r'<a href="([^"]+)"', page))


@pytest.mark.parametrize(
    "name", ["nothing.js", "swagger", "SWAGGER.js", "%2e%2e%2fpage.py", "swagger.js%00", "a/b", "x" * 200]
)
async def test_an_asset_that_the_pages_do_not_have_is_not_found(service: Service, name: str) -> None:
    assert (await service.http.get("/static/swagger.js")).status_code == 200
    answer = await service.http.get(f"/static/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
