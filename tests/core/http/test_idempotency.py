"""A repeated POST replays the first response without repeating the work, and stores it sealed."""

import asyncio
import hashlib
import json
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import func, select, text, update

from app.core.database.transaction import Transaction
from app.core.http import idempotency
from app.core.http.idempotency import IdempotencyKey
from tests.support import cases
from tests.support.service import Caller, Service

APPLICANTS = "/v1/applicants"


def _key() -> dict[str, str]:
    return {"Idempotency-Key": uuid4().hex}


async def _somebody_waits(tx: Transaction) -> None:
    waiting = text("SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted "
                   "AND datname = current_database()")  # fmt: skip
    async with asyncio.timeout(20):
        while not await tx.scalar(waiting):
            await tx.execute(text("SELECT pg_sleep(0.01)"))


async def _count(caller: Caller) -> int:
    return len((await caller.get(APPLICANTS)).json()["items"])


async def test_a_stored_fingerprint_cannot_be_guessed_without_the_key(service: Service, pseb: Caller) -> None:
    body = json.dumps(cases.individual()).encode()
    answer = await pseb.post(APPLICANTS, content=body, headers={**_key(), "Content-Type": "application/json"})
    assert answer.status_code == 201
    request = f"POST {APPLICANTS}?\n{hashlib.sha256(body).hexdigest()}"
    async with service.database.transaction(read_only=True) as tx:
        kept = await tx.scalar(select(IdempotencyKey.fingerprint))
        assert kept == tx.keyring.keyed_hash("fingerprint", request)
    assert kept != hashlib.sha256(request.encode()).hexdigest()


async def test_a_key_of_other_than_1_to_255_visible_characters_is_refused(pseb: Caller) -> None:
    keys: list[Any] = ["", " ", "a b", "a\tb", "x" * 256, b"caf\xc3\xa9"]
    for key in keys:
        answer = await pseb.post(APPLICANTS, json=cases.company(), headers={"Idempotency-Key": key})
        assert answer.status_code == 422
        assert cases.codes(answer) == {"/header/idempotency-key": "invalid_value"}
    assert await _count(pseb) == 0


async def test_a_key_that_comes_with_another_request_is_refused_and_nothing_is_done(pseb: Caller) -> None:
    headers, body = _key(), cases.company()
    assert (await pseb.post(APPLICANTS, json=body, headers=headers)).status_code == 201
    others: list[tuple[str, dict[str, Any]]] = [
        (APPLICANTS, cases.company()),
        ("/v1/registrations", cases.registration(str(uuid4()))),
    ]
    for path, other in others:
        answer = await pseb.post(path, json=other, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_conflict"), path
    assert await _count(pseb) == 1


async def test_a_first_request_that_was_refused_does_not_use_the_key_up(pseb: Caller) -> None:
    headers = _key()
    for bad in (cases.company(ntn="x"), cases.registration(str(uuid4()))):
        path = "/v1/registrations" if "track" in bad else APPLICANTS
        assert (await pseb.post(path, json=bad, headers=headers)).status_code in (404, 422)
    answer = await pseb.post(APPLICANTS, json=cases.company(), headers=headers)
    assert (answer.status_code, answer.headers.get("Idempotency-Replayed")) == (201, None)


async def test_a_repeat_while_the_first_request_is_in_progress_is_refused(service: Service, pseb: Caller) -> None:
    headers, body = _key(), cases.company()
    async with service.database.transaction() as other:
        await other.execute(text("LOCK TABLE applicants IN EXCLUSIVE MODE"))
        first = asyncio.create_task(pseb.post(APPLICANTS, json=body, headers=headers))
        await _somebody_waits(other)
        repeat = await pseb.post(APPLICANTS, json=body, headers=headers)
        assert (repeat.status_code, repeat.json()["code"]) == (409, "request_in_progress")
    assert (await first).status_code == 201
    repeat = await pseb.post(APPLICANTS, json=body, headers=headers)
    assert (repeat.status_code, repeat.headers["Idempotency-Replayed"]) == (201, "true")


async def test_of_many_repeats_at_once_only_one_does_the_work(pseb: Caller) -> None:
    case = await cases.submitted(pseb)
    body, headers = cases.registration(case["applicant_id"]), _key()
    answers = await asyncio.gather(*(pseb.post("/v1/registrations", json=body, headers=headers) for _ in range(5)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    assert len((await pseb.get("/v1/registrations")).json()["items"]) == 2


async def test_a_repeat_gets_the_first_answer_with_its_headers_and_changes_nothing(pseb: Caller) -> None:
    headers, body = _key(), cases.company()
    first = await pseb.post(APPLICANTS, json=body, headers=headers)
    await pseb.patch(
        first.headers["Location"], json={"legal_name": "Later (Pvt) Ltd"}, headers={"If-Match": first.headers["ETag"]}
    )
    again = await pseb.post(APPLICANTS, json=body, headers=headers)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    kept = ("Content-Type", "ETag", "Location")
    assert [again.headers[name] for name in kept] == [first.headers[name] for name in kept]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    now = await pseb.get(first.headers["Location"])
    assert (now.json()["legal_name"], now.json()["version"]) == ("Later (Pvt) Ltd", 2)


async def test_the_same_key_of_another_client_is_another_key(pseb: Caller, pasha: Caller) -> None:
    headers, body = _key(), cases.company()
    answers: list[httpx.Response] = [
        await caller.post(APPLICANTS, json=body, headers=headers) for caller in (pseb, pasha)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] != answers[1].json()["id"]


async def test_a_replayed_client_secret_is_the_same_and_was_not_kept_readable(
    service: Service, pseb: Caller, admin: Caller
) -> None:
    headers = _key()
    path = f"/v1/partners/{pseb.credentials.partner_id}/clients"
    first, again = [await admin.post(path, json={"name": "new-portal"}, headers=headers) for _ in range(2)]
    secret = first.json()["client_secret"]
    assert (first.status_code, again.json()["client_secret"]) == (201, secret)
    async with service.database.transaction(read_only=True) as tx:
        (kept,) = (await tx.scalars(select(IdempotencyKey))).all()
    assert secret.encode() not in kept.sealed_body
    assert secret not in json.dumps([kept.headers, kept.fingerprint])
    assert kept.client_id == UUID(str(admin.credentials.id))


async def test_a_key_is_forgotten_after_its_hours(service: Service, pseb: Caller) -> None:
    old, young, body = _key(), _key(), cases.company()
    for headers in (old, young):
        await pseb.post(APPLICANTS, json=body, headers=headers)
    long_ago = update(IdempotencyKey).where(IdempotencyKey.key == old["Idempotency-Key"])
    async with service.database.transaction() as tx:
        await tx.execute(long_ago.values(created_at=func.now() - func.make_interval(0, 0, 0, 0, 25)))
        await idempotency.delete_older_than(tx, service.settings.idempotency_hours)
    assert "Idempotency-Replayed" not in (await pseb.post(APPLICANTS, json=body, headers=old)).headers
    assert "Idempotency-Replayed" in (await pseb.post(APPLICANTS, json=body, headers=young)).headers
