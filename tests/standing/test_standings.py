"""Whoever has a receipt learns whether the registration is in force, and nothing of whose it is."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.partners.rules import PartnerKind
from tests.support import cases, uploads
from tests.support.service import Caller, Service
from tests.support.statements import record_statements

URL = "/v1/standings"
ARABIC = "\u0600", "\u06ff"


async def ask(service: Service, receipt: str, address: str | None = None, **headers: str) -> httpx.Response:
    body = {"receipt": receipt, **({"address": address} if address else {})}
    return await service.http.post(URL, json=body, headers=headers)


async def told(service: Service, receipt: str, address: str | None = None, **headers: str) -> dict[str, Any]:
    answer = await ask(service, receipt, address, **headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def brief(body: dict[str, Any]) -> tuple[str, str]:
    return body["status"], body["standing"]


REFUSALS = {
    "nothing": ({}, {"/receipt": "missing_field"}),
    "blank": ({"receipt": " "}, {"/receipt": "missing_field"}),
    "number": ({"receipt": 7}, {"/receipt": "invalid_value"}),
    "list": ({"receipt": ["PK"]}, {"/receipt": "invalid_value"}),
    "unknown_field": ({"receipt": "PK", "cnic": "x"}, {"/cnic": "invalid_value"}),
    "name_as_address": ({"receipt": "PK", "address": "Ayesha"}, {"/address": "network_malformed"}),
    "prefix": ({"receipt": "PK", "address": "203.99.50.0/24"}, {"/address": "network_malformed"}),
    "long_address": ({"receipt": "PK", "address": "2" * 61}, {"/address": "invalid_value"}),
    "all_at_once": (
        {"address": "x", "case": 1},
        {"/receipt": "missing_field", "/address": "network_malformed", "/case": "invalid_value"},
    ),
}


@pytest.mark.parametrize(("body", "errors"), REFUSALS.values(), ids=REFUSALS)
async def test_a_malformed_question_is_told_all_that_is_wrong(
    service: Service, body: dict[str, Any], errors: dict[str, str]
) -> None:
    answer = await service.http.post(URL, json=body)
    assert (answer.status_code, cases.codes(answer)) == (422, errors)


async def test_a_question_that_is_no_json_or_too_long_or_has_parameters_is_refused(service: Service) -> None:
    text = {"Content-Type": "text/plain"}
    assert (await service.http.post(URL, content=b"PK", headers=text)).status_code == 415
    assert (await ask(service, "0" * 20_000)).status_code == 413
    assert (await service.http.post(f"{URL}?receipt=PK", json={"receipt": "PK"})).status_code == 422
    assert (await service.http.get(URL)).status_code == 405


async def unknown_receipts(service: Service, pseb: Caller) -> dict[str, str]:
    """Receipts that are malformed, of no case, of a wrong MAC, and ended."""
    case, ended = await cases.with_receipt(pseb)
    new = (await pseb.post(f"/v1/registrations/{case['id']}/receipt")).json()["receipt"]
    other = "PK-000000-00000000-0"
    assert new != ended
    return {"malformed": "Ayesha Khan", "short": new[:-1], "no_case": other, "ended": ended}


async def test_malformed_unknown_and_ended_receipts_get_one_answer_after_the_same_work(
    service: Service, pseb: Caller
) -> None:
    receipts = await unknown_receipts(service, pseb)
    answers, work = [], []
    for receipt in receipts.values():
        async with record_statements(service.app.state.database) as sent:
            answers.append(await ask(service, receipt))
        work.append([each for each in sent if "rate_windows" not in str(each)])
    assert {each.status_code for each in answers} == {404}
    assert len({each.text for each in answers}) == 1
    assert answers[0].json()["code"] == "unknown_receipt"
    varying = {"x-request-id", "ratelimit"}
    headers = [{name: value for name, value in each.headers.items() if name not in varying} for each in answers]
    assert all(each == headers[0] for each in headers)
    assert len(work[0]) >= 1
    assert all(each == work[0] for each in work)


async def test_failures_are_limited_by_source_address_and_successes_never(service: Service, pseb: Caller) -> None:
    _, receipt = await cases.with_receipt(pseb)
    answers = [await ask(service, f"PK-{i}") for i in range(12)]
    assert [each.status_code for each in answers] == [404] * 10 + [429] * 2
    assert int(answers[-1].headers["Retry-After"]) <= 60
    assert {(await ask(service, receipt)).status_code for _ in range(15)} == {200}
    transport: Any = httpx.ASGITransport(service.app, raise_app_exceptions=False, client=("198.51.100.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as elsewhere:
        assert (await elsewhere.post(URL, json={"receipt": "PK"})).status_code == 404


async def test_however_many_ask_at_once_the_database_is_asked_for_all_that_wait_together(service: Service) -> None:
    async with record_statements(service.app.state.database) as sent:
        answers = await asyncio.gather(*(ask(service, f"PK-{i}") for i in range(100)))
    assert {each.status_code for each in answers} == {404, 429}
    assert len([each for each in sent if "case_number" in each]) <= 10


async def test_the_addresses_of_a_receipt_cannot_be_found_out_by_trying(service: Service, pseb: Caller) -> None:
    case, receipt = await cases.with_receipt(pseb)
    tried = [await ask(service, receipt, f"203.99.1.{i}") for i in range(11)]
    assert [each.status_code for each in tried] == [200] * 10 + [429]
    assert all(each.json()["address_matches"] is False for each in tried[:10])
    own = case["networks"][0].partition("/")[0]
    assert (await told(service, receipt, own))["address_matches"] is True


async def test_a_standing_names_nobody_and_no_address(service: Service, pseb: Caller, officer: Caller) -> None:
    firm = cases.company(legal_name="Confidential Softworks", email="secret@confidential.example.pk")
    case, receipt = await cases.with_receipt(
        pseb, firm, reference="SECRET-REF", description="Secret plan", subscriber_id="SECRET-SUB"
    )
    verdict = {"reason_codes": ["other"], "note": "Secret note"}
    assert (await cases.decide(officer, case, "reject", **verdict)).status_code == 201
    answer = await ask(service, receipt, case["networks"][0].partition("/")[0])
    secret = ("Confidential", "confidential", "SECRET", "Secret", "pseb", firm["ntn"], case["id"], case["applicant_id"],
              case["partner_id"], case["networks"][0].partition("/")[0], receipt)  # fmt: skip
    assert [each for each in secret if each in answer.text + str(answer.headers)] == []


async def test_two_worlds_with_another_holder_are_told_the_same(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    """The same address, held by nobody and by another partner's applicant, is told the same of a receipt."""
    _, receipt = await cases.with_receipt(pseb)
    address = cases.address()
    before = await told(service, receipt, address)
    other = await cases.approved(pasha, officer, networks=[address])
    await service.publish()
    assert other["status"] == "approved"
    assert await told(service, receipt, address) == before


async def test_a_case_is_followed_from_submission_to_its_end(service: Service, pseb: Caller, officer: Caller) -> None:
    await cases.approved(pseb, officer)  # so that the list is never empty
    case, receipt = await cases.with_receipt(pseb)
    first = await told(service, receipt)
    assert (brief(first), first["since"], first["due_at"]) == (
        ("submitted", "pending"),
        case["submitted_at"],
        case["due_at"],
    )
    assert (first["overdue"], first["operator"], first["address_matches"]) == (
        False,
        {"code": "nayatel", "in_step": None},
        None,
    )
    await service.move_clock(timedelta(days=3))
    late = await told(service, receipt)
    assert (late["overdue"], len(late["hints"])) == (True, 1)
    await service.move_clock(timedelta())
    decided = await cases.decide(officer, case, "approve")
    waiting = await told(service, receipt)
    assert (brief(waiting), waiting["due_at"]) == (("approved", "pending"), None)
    publication = await service.publish()
    assert publication is not None
    listed = await told(service, receipt)
    assert brief(listed) == ("approved", "in_force")
    assert (listed["until"], listed["expires_at"]) == (listed["ends_at"], decided.json()["expires_at"])
    now = (await officer.get(f"/v1/registrations/{case['id']}")).json()
    grounds = {"reason_codes": ["misuse"], "legal_basis": "S.R.O. 1"}
    assert (await cases.decide(officer, now, "suspend", **grounds)).status_code == 201
    assert brief(await told(service, receipt)) == ("suspended", "in_force")  # until it is published
    await service.publish()
    ended = await told(service, receipt)
    assert (brief(ended), ended["reason_codes"], ended["until"]) == (("suspended", "not_in_force"), ["misuse"], None)


async def test_a_registration_that_was_withdrawn_before_it_was_published_is_not_in_force(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case, receipt = await cases.with_receipt(pseb)
    await cases.decide(officer, case, "approve")
    now = (await officer.get(f"/v1/registrations/{case['id']}")).json()
    await cases.decide(officer, now, "revoke", reason_codes=["misuse"], legal_basis="S.R.O. 1")
    await service.publish()
    assert brief(await told(service, receipt)) == ("revoked", "not_in_force")


@pytest.mark.parametrize("accept", ["ur", "ur-PK,en;q=0.5", "fr, ur;q=0.9, en;q=0.1"])
async def test_who_prefers_urdu_is_answered_in_urdu(service: Service, pseb: Caller, accept: str) -> None:
    _, receipt = await cases.with_receipt(pseb)
    answer = await ask(service, receipt, cases.address(), **{"Accept-Language": accept})
    assert answer.headers["Content-Language"] == "ur"
    texts = [answer.json()["next_step"], *answer.json()["hints"]]
    assert len(texts) == 2
    assert all(any(ARABIC[0] <= each <= ARABIC[1] for each in text) for text in texts)


@pytest.mark.parametrize("accept", ["", "en", "fr", "en, ur;q=0.1", "ur;q=0", "*", ";;q=,", "ur;q=x"])
async def test_everybody_else_is_answered_in_english(service: Service, pseb: Caller, accept: str) -> None:
    _, receipt = await cases.with_receipt(pseb)
    answer = await ask(service, receipt, **{"Accept-Language": accept})
    assert (answer.headers["Content-Language"], answer.json()["next_step"].isascii()) == ("en", True)


async def test_a_replayed_submission_tells_the_same_receipt(service: Service, pseb: Caller) -> None:
    applicant = (await pseb.post("/v1/applicants", json=cases.company())).json()["id"]
    body, key = cases.registration(applicant, reference="one"), {"Idempotency-Key": "once"}
    first, again = [await pseb.post("/v1/registrations", json=body, headers=key) for _ in range(2)]
    assert first.json() == again.json()
    assert brief(await told(service, first.json()["receipt"])) == ("submitted", "pending")
    unchanged = await pseb.post("/v1/registrations", json=body)
    assert (unchanged.status_code, "receipt" in unchanged.json()) == (200, False)
    assert "receipt" not in (await pseb.get(first.headers["Location"])).json()


async def test_the_regulators_own_case_has_a_receipt_too(service: Service) -> None:
    everything = await service.caller(
        "pta",
        PartnerKind.REGULATOR,
        client="all",
        scopes=["applicants:write", "registrations:write", "registrations:read"],
    )
    _, receipt = await cases.with_receipt(everything)
    assert brief(await told(service, receipt)) == ("submitted", "pending")


async def test_a_new_receipt_ends_the_former_and_is_replayed(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    case, former = await cases.with_receipt(pseb, reference="one")
    path = f"/v1/registrations/{case['id']}/receipt"
    made = [await pseb.post(path, headers={"Idempotency-Key": "new"}) for _ in range(2)]
    assert ({each.status_code for each in made}, made[0].text) == ({201}, made[1].text)
    new = made[0].json()["receipt"]
    assert ((await ask(service, former)).status_code, (await ask(service, new)).status_code) == (404, 200)
    assert (await pseb.get(f"/v1/registrations/{case['id']}")).json() == case
    names = [each["type"] for each in (await pseb.get(f"/v1/registrations/{case['id']}/history")).json()["items"]]
    assert names == ["registration.submitted", "registration.receipt_replaced"]
    assert (await pasha.post(path)).status_code == 404
    assert (await officer.post(path)).json()["code"] == "illegal_transition"
    assert (await pseb.post(path, json={"receipt": new})).status_code == 422


async def test_the_receipts_of_an_upload_are_those_of_its_new_cases(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    await cases.submitted(pseb, reference="known")
    rows = [uploads.row("one"), uploads.row("bad", email="x"), uploads.row("two")]
    upload = await uploads.ingest(pseb, uploads.csv_of(rows))
    path = f"/v1/bulk-uploads/{upload['id']}/receipts.csv"
    answer = await pseb.get(path)
    header, *lines = answer.content.decode("utf-8-sig").splitlines()
    assert header == "sheet,row,line,reference,registration_id,receipt"
    found = [line.split(",") for line in lines]
    assert [(row, line, reference) for _, row, line, reference, _, _ in found] == [("2", "2", "one"), ("4", "4", "two")]
    assert {brief(await told(service, each[-1])) for each in found} == {("submitted", "pending")}
    await pseb.post(f"/v1/registrations/{found[0][4]}/receipt")
    again = (await pseb.get(path)).content.decode("utf-8-sig").splitlines()
    assert (again[1].endswith(","), again[2]) == (True, lines[1])
    assert (await pasha.get(path)).status_code == 404
    assert (await officer.get(path)).status_code == 403


async def test_a_dry_run_has_no_receipts(pseb: Caller) -> None:
    upload = await uploads.ingest(pseb, uploads.csv_of([uploads.row("one")]), dry_run=True)
    answer = await pseb.get(f"/v1/bulk-uploads/{upload['id']}/receipts.csv")
    assert len(answer.content.decode("utf-8-sig").splitlines()) == 1
