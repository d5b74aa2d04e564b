"""A browser without a screen that reaches only the service."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Page, Route, async_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
NEEDS_CHROMIUM = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium"),
]


@asynccontextmanager
async def open_page(url: str) -> AsyncIterator[Page]:
    """Open a page that reaches only the service at ``url``, must not try to reach anything else, and has no error."""
    strayed: list[str] = []
    broken: list[str] = []

    async def keep_in(route: Route) -> None:
        if route.request.url.startswith(f"{url}/"):
            await route.continue_()
        else:
            strayed.append(route.request.url)
            await route.abort()

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: broken.append(str(error)))
        # what the content security policy forbids is told here
        page.on("console", lambda told: broken.append(told.text) if told.type == "error" else None)
        await page.route("**/*", keep_in)
        yield page
        await browser.close()
    assert strayed == []
    assert broken == []
