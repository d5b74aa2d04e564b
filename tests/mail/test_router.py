"""Asking for notices by a receipt, confirming the address, and stopping: as JSON, and as pages without scripts."""

import re
from typing import Any

import httpx
import pytest

from app.mail.sending import Mailer
from app.mail.texts import LANGUAGES
from tests.support import cases
from tests.support.mail_server import Mailbox
from tests.support.service import Caller, Service

CONTACT, CONFIRM, PAGE = "/v1/standings/contact", "/v1/standings/contact/confirm", "/status/mail"


async def post(service: Service, path: str, **body: Any) -> httpx.Response:
    return await service.http.post(path, json=body)


def code_in(mailbox: Mailbox) -> str:
    found = re.search(r"\b\d{8}\b", mailbox.mails[-1].get_content())
    assert found
    return found[0]


async def test_an_unknown_receipt_asks_for_nothing_and_confirms_nothing(service: Service, pseb: Caller) -> None:
    await cases.with_receipt(pseb)
    answers = [
        await post(service, CONTACT, receipt="PK-000000-00000000-0"),
        await post(service, CONTACT, receipt="Ayesha"),
        await post(service, CONFIRM, receipt="PK-000000-00000000-0", code="12345678"),
    ]
    assert {(each.status_code, each.json()["code"]) for each in answers} == {(404, "unknown_receipt")}


@pytest.mark.parametrize("code", ["00000000", "1", "x" * 20])
async def test_a_wrong_code_is_told_at_its_field(service: Service, pseb: Caller, code: str) -> None:
    _, receipt = await cases.with_receipt(pseb)
    wrong = await post(service, CONFIRM, receipt=receipt, code=code)
    assert (wrong.status_code, cases.codes(wrong)) == (422, {"/code": "wrong_code"})


async def test_wrong_codes_are_limited_by_source_address(service: Service, pseb: Caller) -> None:
    _, receipt = await cases.with_receipt(pseb)
    answers = [await post(service, CONFIRM, receipt=receipt, code="00000000") for _ in range(12)]
    assert [each.status_code for each in answers[:10]] == [422] * 10
    assert answers[-1].status_code == 429


async def test_the_answer_is_the_same_whether_or_not_a_code_was_sent(
    service: Service, pseb: Caller, mailer: Mailer, mailbox: Mailbox
) -> None:
    _, receipt = await cases.with_receipt(pseb)
    answers = [await post(service, CONTACT, receipt=receipt) for _ in range(2)]
    assert [each.status_code for each in answers] == [202, 202]
    assert answers[0].json() == answers[1].json() == {"code_lifetime_seconds": 3600, "next_code_seconds": 3600}
    await mailer.run_once()
    assert len(mailbox.mails) == 1


async def test_a_code_confirms_the_address_once(
    service: Service, pseb: Caller, mailer: Mailer, mailbox: Mailbox
) -> None:
    _, receipt = await cases.with_receipt(pseb)
    await post(service, CONTACT, receipt=receipt)
    await mailer.run_once()
    code = code_in(mailbox)
    confirmed = await post(service, CONFIRM, receipt=receipt, code=code)
    assert (confirmed.status_code, confirmed.json()) == (200, {"verified": True})
    assert (await post(service, CONFIRM, receipt=receipt, code=code)).status_code == 422


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_a_person_confirms_and_stops_by_pages_alone(
    service: Service, pseb: Caller, mailer: Mailer, mailbox: Mailbox, lang: str
) -> None:
    _, receipt = await cases.with_receipt(pseb)
    form = await service.http.get(f"{PAGE}?lang={lang}")
    assert (form.status_code, form.headers["Content-Language"]) == (200, lang)
    assert f'lang="{lang}" dir="{"rtl" if lang == "ur" else "ltr"}"' in form.text
    asked = await service.http.post(PAGE, data={"receipt": receipt, "lang": lang})
    assert (asked.status_code, 'name="code"' in asked.text) == (200, True)
    await mailer.run_once()
    told = mailbox.mails[-1]
    assert told["Content-Language"] == lang
    confirmed = await service.http.post(PAGE, data={"receipt": receipt, "code": code_in(mailbox), "lang": lang})
    assert (confirmed.status_code, "in_force" in confirmed.text) == (200, True)

    path = told["List-Unsubscribe"].strip(" <>").removeprefix(service.settings.public_url)
    question = await service.http.get(path)
    assert (question.status_code, "<form" in question.text) == (200, True)
    for _ in range(2):  # a second click changes nothing
        stopped = await service.http.post(path, data={"List-Unsubscribe": "One-Click"})
        assert stopped.status_code == 200


async def test_what_is_wrong_in_the_form_is_told_in_it(service: Service, pseb: Caller) -> None:
    _, receipt = await cases.with_receipt(pseb)
    attack = '"><script>alert(1)</script>'
    for form, status in (
        ({"receipt": attack}, 404),
        ({"receipt": receipt, "code": "00000000"}, 422),
        ({"receipt": receipt, "code": attack}, 422),
    ):
        answer = await service.http.post(PAGE, data=form)
        assert answer.status_code == status
        assert 'role="alert"' in answer.text
        assert "<script" not in answer.text


async def test_a_link_that_is_none_stops_nothing(service: Service) -> None:
    unknown = await service.http.post("/mail/stop/01a200ac-70d3-7000-8000-000000000000")
    assert (unknown.status_code, 'role="alert"' in unknown.text) == (404, True)
    assert (await service.http.post("/mail/stop/none")).status_code in (404, 422)
