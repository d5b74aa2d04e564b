"""The page of standing serves a person with a phone, with a keyboard, and without scripts, in English and Urdu."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, async_playwright, expect

from app.core.settings import Settings
from tests.journeys.test_docs_page import ARGUMENTS, CHROMIUM
from tests.support import cases, processes
from tests.support.service import Caller, Service

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium"),
]
PHONE, DESK = 360, 1280
MIN_TARGET = 44  # CSS pixels (WCAG 2.5.5)
# The least contrast of a text with the colour behind it, over all elements with a text of their own (WCAG 1.4.3).
LEAST_CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (...colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = (c) => .2126 * linear(c[0] / 255) + .7152 * linear(c[1] / 255) + .0722 * linear(c[2] / 255);
  const probe = document.body.appendChild(document.createElement('i'));
  probe.style.backgroundColor = 'Canvas';  // of the page's scheme, light or dark
  const canvasColour = getComputedStyle(probe).backgroundColor;
  probe.remove();
  let least = 21;
  for (const element of document.body.querySelectorAll('*')) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    const grounds = [];
    for (let each = element; each; each = each.parentElement) grounds.unshift(getComputedStyle(each).backgroundColor);
    const ground = rgb(canvasColour, ...grounds);
    const text = rgb(canvasColour, ...grounds, getComputedStyle(element).color);
    const [high, low] = [light(ground), light(text)].sort((a, b) => b - a);
    least = Math.min(least, (high + .05) / (low + .05));
  }
  return least;
}"""


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    with processes.serving(settings) as url:
        yield url


@pytest.fixture
async def page(url: str) -> AsyncIterator[Page]:
    """A page without JavaScript that reaches only the service, and must not try to reach anything else."""
    strayed: list[str] = []

    async def keep_in(route: Route) -> None:
        if route.request.url.startswith(f"{url}/"):
            await route.continue_()
        else:
            strayed.append(route.request.url)
            await route.abort()

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = await browser.new_context(java_script_enabled=False)
        page = await context.new_page()
        page.set_default_timeout(20_000)
        await page.route("**/*", keep_in)
        yield page
        await browser.close()
    assert strayed == []


async def fits(page: Page, width: int) -> None:
    """Check that nothing has to be scrolled sideways, that targets are large and that texts have contrast."""
    for selector in ("input:not([type=hidden])", "button"):
        for box in [await each.bounding_box() for each in await page.locator(selector).all()]:
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["height"] >= MIN_TARGET
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    assert await page.evaluate(LEAST_CONTRAST) >= 4.5


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("lang", ["en", "ur"])
async def test_a_person_asks_by_keyboard_and_is_answered(
    service: Service, pseb: Caller, officer: Caller, url: str, page: Page, tmp_path: Path, lang: str, width: int
) -> None:
    case, receipt = await cases.with_receipt(pseb)
    await cases.decide(officer, case, "approve")
    await service.publish()
    address = case["networks"][0].partition("/")[0]
    await page.set_viewport_size({"width": width, "height": 800})
    await page.goto(f"{url}/status?lang={lang}")
    assert await page.locator("html").get_attribute("dir") == {"en": "ltr", "ur": "rtl"}[lang]
    await fits(page, width)
    await page.screenshot(path=tmp_path / f"form-{lang}-{width}.png", full_page=True)

    await expect(page.locator("#receipt")).to_be_focused()
    await page.keyboard.type("PK-000000-00000000-0")
    await page.keyboard.press("Enter")
    await expect(page.locator("#receipt")).to_be_focused()
    await expect(page.get_by_role("alert")).to_have_count(1)
    assert await page.locator("#receipt").get_attribute("aria-invalid") == "true"
    await fits(page, width)
    await page.screenshot(path=tmp_path / f"unknown-{lang}-{width}.png", full_page=True)

    await page.keyboard.press("Control+A")
    await page.keyboard.type(receipt.lower())
    await page.keyboard.press("Tab")
    await page.keyboard.type(address)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    heading = page.locator("h2#answer")
    await expect(heading).to_be_focused()
    await expect(heading).to_have_text({"en": "In force", "ur": "نافذ ہے"}[lang])
    await fits(page, width)
    await page.screenshot(path=tmp_path / f"answer-{lang}-{width}.png", full_page=True)
    assert page.url == f"{url}/status"
    assert receipt[3:] not in (await page.content()).upper()
    assert address not in await page.content()


async def test_each_field_has_a_label_and_a_hint_and_the_languages_lead_to_each_other(url: str, page: Page) -> None:
    await page.goto(f"{url}/status")
    for label, name in (("Receipt", "receipt"), ("IP address (may be left out)", "address")):
        field = page.get_by_label(label, exact=True)
        assert await field.get_attribute("name") == name
        described = await field.get_attribute("aria-describedby")
        assert await page.locator(f"#{described}").inner_text()
    await page.get_by_role("link", name="اردو").click()
    await expect(page).to_have_title(re.compile("رجسٹریشن"))
    await page.get_by_role("link", name="English").click()
    await expect(page).to_have_title("Is my registration in force?")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_texts_have_contrast_in_light_and_in_dark(url: str, page: Page, scheme: str) -> None:
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await page.goto(f"{url}/status")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_count(1)
    await fits(page, DESK)
