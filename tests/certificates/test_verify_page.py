"""Anybody verifies a certificate in a browser, on a phone or by keyboard, and the certificate is sent nowhere."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from app.certificates.rules import networks_digest
from app.certificates.service import TYPE, Certificate
from app.certificates.texts import OUTCOMES, PAGE, TRACKS
from app.certificates.verify_page import preferred_language
from app.core.auth.signatures import new_key, sign
from app.partners import store as partners
from tests.support import cases, certificates
from tests.support.browser import NEEDS_CHROMIUM, open_page
from tests.support.service import Caller, Service

GROUNDS: dict[str, Any] = {"reason_codes": ["other"], "note": "A note", "legal_basis": "Section 5"}
WIDTHS = {"phone": (360, 740), "desk": (1280, 900)}
in_browser = [*NEEDS_CHROMIUM, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("ur", "ur"),
        ("ur-PK,en;q=0.5", "ur"),
        ("en-GB, ur", "en"),
        ("fr, UR;q=0.1", "ur"),
        (";;, u r,", "en"),
    ],
    ids=["none", "urdu", "urdu of Pakistan", "english", "french", "malformed"],
)
async def test_the_page_is_in_the_language_that_a_browser_asks_for(
    service: Service, accepted: str, language: str
) -> None:
    assert preferred_language(accepted) == language
    answer = await service.http.get("/verify", headers=[("Accept-Language", accepted)])
    assert f'<html lang="{language}" dir="{"rtl" if language == "ur" else "ltr"}">' in answer.text
    assert PAGE[language]["title"] in answer.text
    assert answer.headers["vary"] == "Accept-Language"
    chosen = await service.http.get("/verify?lang=ur", headers={"Accept-Language": "en"})
    assert 'lang="ur"' in chosen.text


async def test_the_page_takes_no_other_parameter_and_has_no_link_with_a_host(service: Service) -> None:
    for query in ("?lang=fr", "?certificate=eyJ", "?lang=en&lang=ur"):
        assert (await service.http.get(f"/verify{query}")).status_code == 422
    answer = await service.http.get("/verify")
    assert answer.headers["content-security-policy"].startswith("default-src 'self'; script-src 'self';")
    assert "http://" not in answer.text
    assert answer.text.count("https://") == OUTCOMES["en"]["insecure"].count("https://")
    for asset in ("verify.js", "verify.css"):
        assert f'"static/{asset}"' in answer.text
        assert (await service.http.get(f"/static/{asset}")).status_code == 200


def test_both_languages_say_the_same_things() -> None:
    for texts in (OUTCOMES, PAGE, TRACKS):
        assert texts["en"].keys() == texts["ur"].keys()
        assert all(texts[language][name] for language in texts for name in texts[language])


async def signed_by_the_service(service: Service, claims: Mapping[str, Any], **changes: Any) -> str:
    async with service.database.transaction(read_only=True) as tx:
        key = await partners.signing_key(tx)
    return Certificate({**claims, **changes}, key).signed


async def one_of_each(service: Service, pseb: Caller, officer: Caller) -> dict[str, str]:
    """Certificates by the outcome and reason that the page gives, made before it loads the list of statuses."""
    made = [await cases.approved(pseb, officer) for _ in range(3)]
    valid, suspended, revoked = [await certificates.signed(pseb, case) for case in made]
    for case, action in ((made[1], "suspend"), (made[2], "revoke")):
        assert (await cases.decide(officer, case, action, **GROUNDS)).status_code == 201
    claims = certificates.claims_of(valid)
    header, payload, signature = valid.split(".")
    other = (await signed_by_the_service(service, claims, networks=["203.99.50.0/24"])).split(".")[1]
    return {
        "valid in_force": valid,
        "suspended is_suspended": suspended,
        "ended ended_early": revoked,
        "ended expired": await signed_by_the_service(service, claims, exp=int(time.time()) - 60),
        "not_valid tampered": f"{header}.{other}.{signature}",
        "not_valid unknown_key": sign(TYPE, b'{"exp": 4000000000}', new_key("Ed25519")),
        "not_valid malformed": f"{header}.{payload[:-10]}",
        "unknown no_status": await signed_by_the_service(service, claims, iss="https://elsewhere.example"),
    }


@pytest.fixture
async def page(url: str) -> AsyncIterator[Page]:
    async with open_page(url) as page:
        yield page


async def expect_outcome(page: Page, language: str, expected: str) -> None:
    outcome, reason = expected.split()
    await expect(page.locator("#result")).to_have_attribute("data-outcome", outcome)
    await expect(page.locator("#outcome")).to_have_text(OUTCOMES[language][outcome])
    await expect(page.locator("#reason")).to_have_text(OUTCOMES[language][reason])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", ["en", "ur"])
class TestInABrowser:
    pytestmark = in_browser

    async def test_each_certificate_is_told_for_what_it_is(
        self,
        service: Service,
        pseb: Caller,
        officer: Caller,
        url: str,
        page: Page,
        tmp_path: Path,
        width: str,
        language: str,
    ) -> None:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url + (request.post_data or "")))
        await page.set_viewport_size({"width": WIDTHS[width][0], "height": WIDTHS[width][1]})
        found = await one_of_each(service, pseb, officer)
        for expected, token in found.items():
            await page.goto("about:blank")
            await page.goto(f"{url}/verify?lang={language}#{token}")
            await expect_outcome(page, language, expected)
            await page.screenshot(path=tmp_path / f"{expected.replace(' ', '-')}.png", full_page=True)
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), expected
            claims = certificates.claims_of(token) if expected.split()[0] != "not_valid" else {}
            shown = await page.locator("[data-fact=networks]").inner_text()
            assert shown.split() == claims.get("networks", [])
            assert await page.locator("[data-fact=operator]").inner_text() == claims.get("operator", "")
        assert [each for each in asked if "eyJ" in each.partition("#")[0]] == []

    async def test_it_works_by_keyboard_with_what_was_pasted(
        self, pseb: Caller, officer: Caller, url: str, page: Page, tmp_path: Path, width: str, language: str
    ) -> None:
        await page.set_viewport_size({"width": WIDTHS[width][0], "height": WIDTHS[width][1]})
        token = await certificates.signed(pseb, await cases.approved(pseb, officer))
        await page.goto(f"{url}/verify?lang={language}")
        while await page.evaluate("document.activeElement.id") != "certificate":
            await page.keyboard.press("Tab")
        await page.keyboard.insert_text(f"Certificate https://register.example.pk/verify#{token}\n")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect_outcome(page, language, "valid in_force")
        assert await page.evaluate("document.activeElement.id") == "result"
        await page.screenshot(path=tmp_path / "pasted.png", full_page=True)


class TestOneByOne:
    pytestmark = in_browser

    async def test_a_certificate_under_es256_is_verified_too(
        self, service: Service, pseb: Caller, officer: Caller, url: str, page: Page
    ) -> None:
        async with service.database.transaction() as tx:
            await partners.rotate_signing_key(tx, "ES256")
        await service.let_keys_settle()
        token = await certificates.signed(pseb, await cases.approved(pseb, officer))
        await page.goto(f"{url}/verify?lang=en#{token}")
        await expect_outcome(page, "en", "valid in_force")

    async def test_a_browser_without_ed25519_is_told_so_and_never_that_it_is_valid(
        self, pseb: Caller, officer: Caller, url: str, page: Page
    ) -> None:
        token = await certificates.signed(pseb, await cases.approved(pseb, officer))
        await page.add_init_script(
            "crypto.subtle.importKey = () => Promise.reject(new DOMException('', 'NotSupportedError'))"
        )
        await page.goto(f"{url}/verify?lang=en#{token}")
        await expect_outcome(page, "en", "unknown old_browser")

    async def test_a_page_without_https_is_told_to_use_it(
        self, pseb: Caller, officer: Caller, url: str, page: Page
    ) -> None:
        token = await certificates.signed(pseb, await cases.approved(pseb, officer))
        await page.add_init_script("Object.defineProperty(crypto, 'subtle', { value: undefined })")
        await page.goto(f"{url}/verify?lang=en#{token}")
        await expect_outcome(page, "en", "unknown insecure")

    async def test_the_pdf_itself_is_read_and_its_digest_compared_with_the_paper(
        self, pseb: Caller, officer: Caller, url: str, page: Page, tmp_path: Path
    ) -> None:
        blocks = [f"2407:d000:50:{n:x}::/64" for n in range(64)]
        case = await cases.approved(pseb, officer, networks=blocks)
        answer: httpx.Response = await certificates.get(pseb, case, "pdf")
        (tmp_path / "certificate.pdf").write_bytes(answer.content)
        await page.goto(f"{url}/verify?lang=en")
        await page.locator("#file").set_input_files(tmp_path / "certificate.pdf")
        await expect_outcome(page, "en", "valid in_force")
        await expect(page.locator("[data-fact=networks_digest]")).to_have_text(networks_digest(case["networks"]))
        for given, said in ((case["networks"][::-1], "same"), (case["networks"][1:], "other")):
            await page.locator("#networks").fill("\n".join(given))
            await page.locator("#compare button").click()
            await expect(page.locator("#compared")).to_have_text(OUTCOMES["en"][said])

    async def test_the_language_is_changed_without_losing_the_certificate(
        self, pseb: Caller, officer: Caller, url: str, page: Page
    ) -> None:
        token = await certificates.signed(pseb, await cases.approved(pseb, officer))
        await page.goto(f"{url}/verify?lang=en#{token}")
        await page.locator("#language").click()
        await expect_outcome(page, "ur", "valid in_force")

    async def test_a_change_is_seen_within_a_minute(self, pseb: Caller, officer: Caller, url: str, page: Page) -> None:
        case = await cases.approved(pseb, officer)
        token = await certificates.signed(pseb, case)
        await page.goto(f"{url}/verify?lang=en#{token}")
        await expect_outcome(page, "en", "valid in_force")
        began = time.monotonic()
        assert (await cases.decide(officer, case, "suspend", **GROUNDS)).status_code == 201
        while await page.locator("#result").get_attribute("data-outcome") != "suspended":
            assert time.monotonic() - began < 60
            await asyncio.sleep(2)
            await page.reload()
            await expect(page.locator("#result")).not_to_have_attribute("data-outcome", "checking")
