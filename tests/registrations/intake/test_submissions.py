"""Group commit: submissions at once share a transaction, and each is answered as if it had come alone."""

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import func, select, text

from app.core.database.roles import INTAKE
from app.core.http.idempotency import IdempotencyKey
from app.core.principal import Principal
from app.core.settings import Settings
from app.events.models import Event
from app.registrations.intake import service as intake
from app.registrations.intake.batch import LOCK_NUMBERS
from app.registrations.intake.statements import LOCK_CLASS
from app.registrations.models import Registration
from app.registrations.rules import RegistrationRequest
from app.registrations.schemas import RegistrationDetails
from tests.support import cases
from tests.support.service import Caller, Service

PATH = "/v1/registrations"


async def _applicant(caller: Caller) -> str:
    return str((await caller.post("/v1/applicants", json=cases.company())).json()["id"])


async def _at_once(
    service: Service, caller: Caller, bodies: list[dict[str, Any]], headers: list[dict[str, str]] | None = None
) -> list[httpx.Response]:
    """The responses to requests that arrive while the first waits for a lock on the table of operators."""
    async with service.database.transaction() as other:
        await other.execute(text("LOCK TABLE operators IN ACCESS EXCLUSIVE MODE"))
        asked = zip(bodies, headers or [{}] * len(bodies), strict=True)
        tasks = [asyncio.create_task(caller.post(PATH, json=body, headers=extra)) for body, extra in asked]
        await asyncio.sleep(0.3)
    return list(await asyncio.gather(*tasks))


async def _transactions(service: Service) -> int:
    async with service.database.transaction(read_only=True) as tx:
        events = select(func.count(Event.transaction_id.distinct())).where(Event.name == "registration.submitted")
        return int(await tx.scalar(events) or 0)


async def test_each_submission_gets_its_own_refusal_and_the_others_are_created(
    service: Service, pseb: Caller, pasha: Caller
) -> None:
    mine, theirs = await _applicant(pseb), await _applicant(pasha)
    bodies = [
        cases.registration(mine),
        cases.registration(theirs),
        cases.registration(mine, operator="nobody"),
        cases.registration(mine, networks=["203.99.160.0/28"]),
        cases.registration(mine, networks=["203.99.160.5"]),
        cases.registration(mine, track="vpn_freelancer"),
        cases.registration(mine),
    ]
    answers = await _at_once(service, pseb, bodies)
    assert [answer.status_code for answer in answers] == [201, 404, 422, 201, 422, 422, 201]
    refused = [cases.codes(answer) for answer in answers if answer.status_code >= 400]
    assert refused == [
        {"/applicant_id": "not_found"},
        {"/operator": "unknown_operator"},
        {"/networks/0": "network_overlap"},
        {"/track": "invalid_value"},
    ]
    async with service.database.transaction(read_only=True) as tx:
        assert await tx.scalar(select(func.count()).select_from(Registration)) == 3


async def test_waiting_submissions_are_one_transaction_and_each_response_is_the_stored_case(
    service: Service, pseb: Caller
) -> None:
    applicants = [await _applicant(pseb) for _ in range(3)]
    bodies = [cases.registration(applicants[i % 3], reference=f"at-once-{i}") for i in range(40)]
    answers = await _at_once(service, pseb, bodies)
    assert {answer.status_code for answer in answers} == {201}
    for body, answer in zip(bodies, answers, strict=True):
        made = cases.without_receipt(answer)
        assert (made["reference"], made["applicant_id"]) == (body["reference"], body["applicant_id"])
        read = await pseb.get(answer.headers["Location"])
        assert (read.json(), read.headers["ETag"]) == (made, answer.headers["ETag"])
    assert await _transactions(service) <= 2  # of the first, and of all that came meanwhile


async def test_of_one_reference_at_once_the_first_is_created_and_the_others_find_it(
    service: Service, pseb: Caller
) -> None:
    applicant = await _applicant(pseb)
    same = cases.registration(applicant, reference="one")
    answers = await _at_once(service, pseb, [same, same, same, cases.registration(applicant, reference="one")])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 2, 422: 1}
    assert cases.codes(answers[3]) == {"/reference": "reference_duplicate"}
    assert len({answer.json()["id"] for answer in answers[:3]}) == 1


async def test_cases_of_several_own_applicants_for_one_address_at_once_are_all_contested(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    contested = cases.address()
    bodies = [cases.registration(await _applicant(pseb), networks=[contested]) for _ in range(3)]
    answers = await _at_once(service, pseb, bodies)
    assert {answer.status_code for answer in answers} == {201}
    now = [(await officer.get(answer.headers["Location"])).json()["flags"] for answer in answers]
    assert all("contested" in flags for flags in now)


async def test_each_idempotency_key_belongs_to_its_own_request(service: Service, pseb: Caller) -> None:
    applicant = await _applicant(pseb)
    bodies = [cases.registration(applicant) for _ in range(4)]
    bodies.append(cases.registration(applicant, operator="nobody"))
    keys = [{"Idempotency-Key": uuid4().hex} for _ in bodies]
    first = await _at_once(service, pseb, bodies, keys)
    assert [answer.status_code for answer in first] == [201] * 4 + [422]
    others = [bodies[1], bodies[1], bodies[2], bodies[3], {**bodies[4], "operator": "nayatel"}]
    again = await _at_once(service, pseb, others, keys)
    assert [answer.status_code for answer in again] == [422, 201, 201, 201, 201]
    assert again[0].json()["code"] == "idempotency_conflict"
    for before, now in zip(first[1:4], again[1:4], strict=True):
        assert (now.content, now.headers["ETag"], now.headers["Location"]) == (
            before.content,
            before.headers["ETag"],
            before.headers["Location"],
        )
        assert now.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in again[4].headers
    async with service.database.transaction(read_only=True) as tx:
        assert await tx.scalar(select(func.count()).select_from(Registration)) == 5
        assert await tx.scalar(select(func.count()).select_from(IdempotencyKey)) == 5


async def test_of_one_key_at_once_one_request_is_done_and_the_others_get_request_in_progress(
    service: Service, pseb: Caller
) -> None:
    body, key = cases.registration(await _applicant(pseb)), {"Idempotency-Key": "one"}
    answers = await _at_once(
        service, pseb, [cases.registration(body["applicant_id"]), body, body, body], [{}, *[key] * 3]
    )
    assert [answer.status_code for answer in answers] == [201, 201, 409, 409]
    assert {answer.json()["code"] for answer in answers[2:]} == {"request_in_progress"}


async def test_submissions_of_several_partners_at_once_stay_apart(
    service: Service, pseb: Caller, pasha: Caller
) -> None:
    bodies = {caller: cases.registration(await _applicant(caller), reference="ours") for caller in (pseb, pasha)}
    many = [(caller, bodies[caller]) for _ in range(5) for caller in bodies]
    answers = await asyncio.gather(*(caller.post(PATH, json=body) for caller, body in many))
    assert Counter(answer.status_code for answer in answers) == {201: 2, 200: 8}
    for (caller, _), answer in zip(many, answers, strict=True):
        assert answer.json()["partner_id"] == str(caller.credentials.partner_id)


async def test_batches_of_two_partners_that_repeat_references_do_not_deadlock(
    service: Service, pseb: Caller, pasha: Caller
) -> None:
    addresses = [cases.address(), "203.99.160.5"]
    requests: dict[Caller, list[RegistrationRequest]] = {}
    for caller, networks in ((pseb, addresses), (pasha, addresses[::-1])):
        bodies = [
            cases.registration(await _applicant(caller), reference="one", networks=[network]) for network in networks
        ]
        requests[caller] = [RegistrationDetails.model_validate(body).request for body in bodies]

    async def submit(caller: Caller) -> list[Any]:
        who = Principal(caller.credentials.id, caller.credentials.partner_id, "association", None, frozenset())
        async with service.database.transaction(who, role=INTAKE) as tx:
            batch = await intake.prepare(tx, who, requests[caller])
            return (await intake.submit(tx, who, batch)).of_each(batch)

    outcomes = await asyncio.gather(submit(pseb), submit(pasha))
    for first, second in outcomes:
        assert (first.outcome, second.code) == ("created", "reference_duplicate")


async def test_a_lock_timeout_creates_nothing_and_is_answered_503(settings: Settings) -> None:
    service = Service(settings.model_copy(update={"lock_timeout_ms": 300}))
    pseb = await service.caller("pseb")
    bodies = [cases.registration(await _applicant(pseb)) for _ in range(3)]
    async with service.database.transaction() as other:
        await other.execute(select(func.pg_advisory_xact_lock(LOCK_CLASS, func.generate_series(0, LOCK_NUMBERS - 1))))
        answers = await asyncio.gather(*(pseb.post(PATH, json=body) for body in bodies))
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(503, "unavailable")}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
    assert (await pseb.get(PATH)).json()["items"] == []
    assert (await pseb.post(PATH, json=bodies[0])).status_code == 201
    await service.close()
