"""The page of standing works without a script, says what is wrong in the form, and keeps the receipt to itself."""

import re
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from tests.support import cases
from tests.support.service import Caller, Service

PAGE = "/status"


async def send(service: Service, receipt: str, address: str = "", lang: str = "en", **headers: str) -> httpx.Response:
    form = {"receipt": receipt, "address": address, "lang": lang}
    return await service.http.post(PAGE, data=form, headers=headers)


async def test_a_form_is_told_all_that_is_wrong_in_it_beside_the_fields(service: Service) -> None:
    answer = await send(service, " ", "Ayesha")
    assert answer.status_code == 422
    for name in ("receipt", "address"):
        assert f'id="{name}-error" class="error" role="alert"' in answer.text
        assert re.search(
            rf'<input id="{name}"[^>]*aria-describedby="{name}-hint {name}-error" aria-invalid', answer.text
        )


async def test_what_was_typed_is_shown_again_and_runs_nothing(service: Service) -> None:
    attack = '"><script>alert(1)</script>'
    for answer in (await send(service, attack), await send(service, "PK", attack)):
        assert answer.status_code in (404, 422)
        assert "<script" not in answer.text
        assert "&lt;script&gt;" in answer.text


async def test_braces_in_what_was_typed_are_nothing_special(service: Service) -> None:
    answer = await send(service, "{example} {0}", "{date}")
    assert answer.status_code == 422
    assert "{example} {0}" in answer.text


async def test_malformed_unknown_and_ended_receipts_are_told_the_same(service: Service, pseb: Caller) -> None:
    case, ended = await cases.with_receipt(pseb)
    await pseb.post(f"/v1/registrations/{case['id']}/receipt")
    answers = [await send(service, each) for each in ("Ayesha", "PK-000000-00000000-0", ended)]
    assert {each.status_code for each in answers} == {404}
    shown = {re.sub(r'value="[^"]*"', "", each.text) for each in answers}
    assert len(shown) == 1


async def test_failures_on_the_page_and_of_programs_count_together(service: Service, pseb: Caller) -> None:
    _, receipt = await cases.with_receipt(pseb)
    for i in range(5):
        assert (await send(service, f"PK-{i}")).status_code == 404
        assert (await service.http.post("/v1/standings", json={"receipt": f"{i}"})).status_code == 404
    refused = await send(service, "PK")
    assert (refused.status_code, "Retry-After" in refused.headers) == (429, True)
    assert "too many wrong receipts" in refused.text
    assert (await send(service, receipt)).status_code == 200


@pytest.mark.parametrize("content", [b"", b"receipt=%ff%fe", b"receipt=a&receipt=b", b"lang=xx&receipt=PK", b"\x00"])
async def test_no_form_makes_an_error(service: Service, content: bytes) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await service.http.post(PAGE, content=content, headers=form)
    assert answer.status_code in (404, 422)


async def test_unknown_parameters_and_languages_are_refused(service: Service) -> None:
    for query in ("receipt=PK", "lang=fr", "lang=en&lang=ur"):
        assert (await service.http.get(f"{PAGE}?{query}")).status_code == 422, query


async def test_a_receipt_is_answered_and_not_repeated_or_stored(service: Service, pseb: Caller) -> None:
    case, receipt = await cases.with_receipt(pseb, reference="SECRET-REF")
    answer = await send(service, receipt.lower(), case["networks"][0].partition("/")[0])
    assert answer.status_code == 200
    assert "Not in force yet" in answer.text
    assert "The address is one of the registration." in answer.text
    secret = (receipt, receipt.lower(), case["networks"][0].partition("/")[0], "SECRET-REF", case["id"], "pseb")
    assert [each for each in secret if each in answer.text + str(answer.headers)] == []
    assert answer.headers["Cache-Control"] == "no-store"
    assert "form-action" not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("lang", ["en", "ur"])
async def test_no_log_has_the_receipt(service: Service, pseb: Caller, lang: str) -> None:
    case, receipt = await cases.with_receipt(pseb)
    ended = receipt
    new = (await pseb.post(f"/v1/registrations/{case['id']}/receipt")).json()["receipt"]
    logs: list[Any]
    with capture_logs() as logs:
        for each in (new, ended):
            await send(service, each, lang=lang)
            await service.http.post("/v1/standings", json={"receipt": each})
    assert not any(each in str(logs) or each[3:].lower() in str(logs).lower() for each in (new, ended))


async def test_the_language_is_that_of_the_address_or_of_the_browser(service: Service, pseb: Caller) -> None:
    urdu, english = 'lang="ur" dir="rtl"', 'lang="en" dir="ltr"'
    wanted = [
        (await service.http.get(PAGE), english),
        (await service.http.get(f"{PAGE}?lang=ur"), urdu),
        (await service.http.get(PAGE, headers={"Accept-Language": "ur-PK,ur;q=0.9"}), urdu),
        (await service.http.get(f"{PAGE}?lang=en", headers={"Accept-Language": "ur"}), english),
        (await send(service, "PK", lang="ur"), urdu),
        (await send(service, "PK", lang="", **{"Accept-Language": "ur"}), urdu),
    ]
    for answer, expected in wanted:
        assert f"<html {expected}>" in answer.text
        assert answer.headers["Vary"] == "Accept-Language"
    assert "<script" not in wanted[1][0].text
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', wanted[1][0].text)


async def test_digits_of_urdu_are_read_in_both_fields(service: Service, pseb: Caller) -> None:
    case, receipt = await cases.with_receipt(pseb)
    urdu = {ord(str(digit)): chr(0x06F0 + digit) for digit in range(10)}
    address = case["networks"][0].partition("/")[0]
    answer = await send(service, receipt.translate(urdu), address.translate(urdu))
    assert (answer.status_code, "The address is one of the registration." in answer.text) == (200, True)
