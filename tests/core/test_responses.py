"""Every page may load only what the service serves itself."""

import pytest

from tests.support.service import Service


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/problems", "/problems/not_found"])
async def test_a_page_may_load_nothing_from_elsewhere(service: Service, path: str) -> None:
    page = await service.http.get(path)
    directives = dict(each.strip().split(" ", 1) for each in page.headers["content-security-policy"].split(";"))
    assert directives["default-src"] == "'self'"
    assert not any(
        source.startswith("http") or source == "*" for each in directives.values() for source in each.split()
    )


async def test_what_is_no_page_has_no_policy(service: Service) -> None:
    assert "content-security-policy" not in (await service.http.get("/health/live")).headers
