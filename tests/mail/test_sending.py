"""Mails to people whose address was verified: when they come, what they say, and what happens when they cannot."""

import asyncio
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.events import store as events
from app.mail import service as mail
from app.mail.sending import Mailer, forget_old_mails
from tests.support import cases
from tests.support.mail_server import Mailbox
from tests.support.postgres import settings_for
from tests.support.service import Caller, Service


async def run(service: Service, mailer: Mailer) -> None:
    """Send what is due, once every event is settled: transactions in other databases of the server hold the log up."""
    newest = text("SELECT id FROM events ORDER BY transaction_id DESC, sequence DESC LIMIT 1")
    async with asyncio.timeout(30):
        while True:
            async with service.database.transaction() as tx:
                if await events.newest_settled_id(tx, after=None) == await tx.scalar(newest):
                    break
            await asyncio.sleep(0.05)
    await mailer.run_once()


async def ask(service: Service, case: dict[str, Any], language: str = "en") -> None:
    async with service.database.transaction() as tx:
        await mail.ask_for_code(tx, UUID(case["id"]), language)


async def confirm(service: Service, case: dict[str, Any], code: str) -> bool:
    async with service.database.transaction() as tx:
        return await mail.confirm(tx, UUID(case["id"]), code)


def code_in(mailbox: Mailbox) -> str:
    found = re.search(r"\b\d{8}\b", mailbox.mails[-1].get_content())
    assert found
    return found[0]


async def verify(service: Service, mailer: Mailer, mailbox: Mailbox, case: dict[str, Any]) -> None:
    await ask(service, case)
    await run(service, mailer)
    assert await confirm(service, case, code_in(mailbox))
    mailbox.mails.clear()


async def rows(service: Service, table: str) -> list[Any]:
    async with service.database.transaction() as tx:
        return list((await tx.execute(text(f"SELECT * FROM {table} ORDER BY id"))).all())  # no input


async def suspend(officer: Caller, *chosen: dict[str, Any]) -> None:
    selection = {"registration_ids": [each["id"] for each in chosen]}
    verdict = {"reason_codes": ["misuse"], "legal_basis": "Order 7"}
    done = await officer.post(
        "/v1/review-decisions/batch", json={"selection": selection, "action": "suspend", **verdict}
    )
    assert done.json()["counts"]["decided"] == len(chosen), done.text


async def test_nobody_is_sent_anything_before_the_address_is_verified(
    service: Service, pseb: Caller, officer: Caller, mailer: Mailer, mailbox: Mailbox
) -> None:
    case = await cases.approved(pseb, officer)
    await run(service, mailer)
    await suspend(officer, case)
    await run(service, mailer)
    assert (mailbox.mails, await rows(service, "mails")) == ([], [])


async def test_a_code_is_sent_at_most_once_an_hour_to_an_address_whatever_the_case(
    service: Service, pseb: Caller, pasha: Caller, mailer: Mailer, mailbox: Mailbox
) -> None:
    mine = cases.company(email="it@indus.example.pk")
    case = await cases.submitted(pseb, mine)
    elsewhere = await cases.submitted(pasha, mine)
    for each in (case, case, elsewhere):
        await ask(service, each)
    await run(service, mailer)
    assert len(mailbox.mails) == 1
    await service.move_clock(timedelta(minutes=61))
    await ask(service, elsewhere)
    await run(service, mailer)
    assert len(mailbox.mails) == 2


async def test_an_address_that_was_changed_and_changed_back_gets_no_second_code_within_the_hour(
    service: Service, pseb: Caller, mailer: Mailer, mailbox: Mailbox
) -> None:
    case = await cases.submitted(pseb, cases.company(email="it@indus.example.pk"))
    path = f"/v1/applicants/{case['applicant_id']}"
    for address in ("somebody@else.example.pk", "it@indus.example.pk", "somebody@else.example.pk"):
        await ask(service, case)
        await run(service, mailer)
        changed = await pseb.patch(path, json={"email": address}, headers={"If-Match": "*"})
        assert changed.status_code == 200, changed.text
    await ask(service, case)
    await run(service, mailer)
    assert [each["To"] for each in mailbox.mails] == ["it@indus.example.pk", "somebody@else.example.pk"]


async def test_a_code_is_not_sent_to_an_address_that_came_after_it_was_asked_for(
    service: Service, pseb: Caller, mailer: Mailer, mailbox: Mailbox
) -> None:
    case = await cases.submitted(pseb)
    await ask(service, case)
    path = f"/v1/applicants/{case['applicant_id']}"
    changed = await pseb.patch(path, json={"email": "somebody@else.example.pk"}, headers={"If-Match": "*"})
    assert changed.status_code == 200, changed.text
    await run(service, mailer)
    assert mailbox.mails == []


@pytest.mark.parametrize("wrong", ["00000000", "", "1234567", "x" * 200])
async def test_a_wrong_code_verifies_nothing(
    service: Service, pseb: Caller, mailer: Mailer, mailbox: Mailbox, wrong: str
) -> None:
    case = await cases.submitted(pseb)
    assert not await confirm(service, case, wrong)
    await ask(service, case)
    await run(service, mailer)
    assert not await confirm(service, case, wrong)
    assert await confirm(service, case, code_in(mailbox))


async def test_five_wrong_codes_end_the_right_one(
    service: Service, pseb: Caller, mailer: Mailer, mailbox: Mailbox
) -> None:
    case = await cases.submitted(pseb)
    await ask(service, case)
    await run(service, mailer)
    for _ in range(5):
        assert not await confirm(service, case, "00000000")
    assert not await confirm(service, case, code_in(mailbox))


async def test_a_code_is_good_for_an_hour_and_one_use(
    service: Service, pseb: Caller, mailer: Mailer, mailbox: Mailbox
) -> None:
    case = await cases.submitted(pseb)
    await ask(service, case)
    await run(service, mailer)
    code = code_in(mailbox)
    await service.move_clock(timedelta(hours=1, seconds=1))
    assert not await confirm(service, case, code)
    await service.move_clock(timedelta())
    assert await confirm(service, case, code)
    assert not await confirm(service, case, code)


async def test_one_mail_tells_of_all_cases_of_a_batch_and_names_no_address_number_or_person(
    service: Service, pseb: Caller, officer: Caller, mailer: Mailer, mailbox: Mailbox
) -> None:
    applicant = cases.company(legal_name="Indus Softworks (Pvt) Ltd", ntn="7654321-0", email="it@indus.example.pk")
    several = [await cases.approved(pseb, officer, applicant=applicant) for _ in range(3)]
    await run(service, mailer)
    await verify(service, mailer, mailbox, several[0])
    await suspend(officer, *several)
    await run(service, mailer)
    await run(service, mailer)
    (told,) = mailbox.mails
    assert (told["To"], told["From"]) == ("it@indus.example.pk", "IP register <noreply@register.example>")
    content = f"{told['Subject']}\n{told.get_content()}"
    assert "This concerns 3 of your registrations." in content
    secrets = [each for case in several for each in (*case["networks"], case["networks"][0].split("/")[0], case["id"])]
    for secret in (*secrets, "7654321", "Indus", "it@indus"):
        assert secret not in content


async def test_a_mail_can_be_stopped_by_one_click_and_says_how(
    service: Service, pseb: Caller, officer: Caller, mailer: Mailer, mailbox: Mailbox
) -> None:
    case = await cases.approved(pseb, officer)
    await run(service, mailer)
    await verify(service, mailer, mailbox, case)
    await suspend(officer, case)
    await run(service, mailer)
    (told,) = mailbox.mails
    assert told["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = told["List-Unsubscribe"].strip(" <>")
    assert link in told.get_content()
    token = UUID(link.rpartition("/")[2])
    async with service.database.transaction() as tx:
        assert await mail.stop(tx, token)
        assert not await mail.stop(tx, UUID(int=1))
    await cases.decide(officer, (await pseb.get(f"/v1/registrations/{case['id']}")).json(), "reinstate")
    await suspend(officer, case)
    await run(service, mailer)
    assert len(mailbox.mails) == 1


async def test_a_verification_does_not_hold_for_another_address(
    service: Service, pseb: Caller, officer: Caller, mailer: Mailer, mailbox: Mailbox
) -> None:
    case = await cases.approved(pseb, officer)
    await run(service, mailer)
    await verify(service, mailer, mailbox, case)
    applicant = await pseb.get(f"/v1/applicants/{case['applicant_id']}")
    changed = await pseb.patch(
        f"/v1/applicants/{case['applicant_id']}",
        json={"email": "somebody-else@example.com"},
        headers={"If-Match": applicant.headers["ETag"]},
    )
    assert changed.status_code == 200, changed.text
    await suspend(officer, case)
    await run(service, mailer)
    assert mailbox.mails == []


async def test_an_erased_applicant_is_forgotten(
    service: Service, pseb: Caller, mailer: Mailer, mailbox: Mailbox
) -> None:
    case = await cases.submitted(pseb)
    await verify(service, mailer, mailbox, case)
    withdrawn = await pseb.post(
        f"/v1/registrations/{case['id']}/withdraw", headers={"If-Match": f'"{case["version"]}"'}
    )
    assert withdrawn.status_code == 200
    applicant = await pseb.get(f"/v1/applicants/{case['applicant_id']}")
    eraser = await service.caller("pseb", client="eraser", scopes=["applicants:erase", "applicants:read"])
    erased = await eraser.post(
        f"/v1/applicants/{case['applicant_id']}/erasure", headers={"If-Match": applicant.headers["ETag"]}
    )
    assert erased.status_code == 200, erased.text
    assert await rows(service, "mail_contacts") == []


async def test_a_refusal_for_good_is_not_tried_again_and_a_passing_one_is(
    service: Service, pseb: Caller, mailer: Mailer, mailbox: Mailbox
) -> None:
    mailbox.refusal = "451 Greylisted"
    await ask(service, await cases.submitted(pseb))
    await run(service, mailer)
    (waiting,) = await rows(service, "mails")
    assert (waiting.status, waiting.attempts, waiting.last_error) == ("pending", 1, "SMTPRecipientsRefused 451")
    mailbox.refusal = "550 There is no it@indus.example.pk"
    async with service.database.transaction() as tx:
        await tx.execute(text("UPDATE mails SET next_attempt_at = now()"))
    await run(service, mailer)
    (ended,) = await rows(service, "mails")
    assert (ended.status, ended.attempts, ended.last_error) == ("failed", 2, "SMTPRecipientsRefused 550")
    assert (ended.sealed_code, ended.settled_at is not None) == (None, True)
    await run(service, mailer)
    assert mailbox.asked == 2


async def test_without_its_server_mail_waits(service: Service, pseb: Caller, mailbox: Mailbox) -> None:
    nowhere = settings_for(service.settings.database_url, smtp_url="smtp://127.0.0.1:9", mail_from="r@register.example")
    await ask(service, await cases.submitted(pseb))
    await Mailer(service.database, nowhere).run_once()
    (waiting,) = await rows(service, "mails")
    assert (waiting.status, waiting.attempts) == ("pending", 1)


async def test_a_register_without_a_mail_server_sends_nothing(service: Service, pseb: Caller, mailbox: Mailbox) -> None:
    await ask(service, await cases.submitted(pseb))
    await Mailer(service.database, settings_for(service.settings.database_url)).run_once()
    assert mailbox.mails == []


async def test_sent_mails_are_forgotten_after_a_month(
    service: Service, pseb: Caller, mailer: Mailer, mailbox: Mailbox
) -> None:
    await ask(service, await cases.submitted(pseb))
    await run(service, mailer)
    async with service.database.transaction() as tx:
        await forget_old_mails(tx)
    assert len(await rows(service, "mails")) == 1
    async with service.database.transaction() as tx:
        await tx.execute(text("UPDATE mails SET settled_at = now() - interval '31 days'"))
        await forget_old_mails(tx)
    assert await rows(service, "mails") == []
