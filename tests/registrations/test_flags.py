"""Flags of cases: stored ones, and ``contested``, which only officers see."""

import asyncio
from itertools import count
from typing import Any

import pytest
from sqlalchemy import text

from tests.support import cases
from tests.support.service import Caller, Service

_hosts = count(1)


def address() -> str:
    """An address of the country's that Nayatel announces."""
    return f"58.65.130.{next(_hosts)}"


async def flags(officer: Caller, *contest: dict[str, Any]) -> list[list[str]]:
    return [(await officer.get(f"/v1/registrations/{case['id']}")).json()["flags"] for case in contest]


async def current(caller: Caller, case: dict[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = (await caller.get(f"/v1/registrations/{case['id']}")).json()
    return read


async def test_an_address_outside_the_country_or_of_another_operator_is_flagged_and_accepted(pseb: Caller) -> None:
    assert (await cases.submitted(pseb, networks=[address()]))["flags"] == []
    foreign = await cases.submitted(pseb, networks=[address(), "8.8.8.8"])
    assert foreign["flags"] == ["outside_country", "operator_prefix_mismatch"]
    elsewhere = await cases.submitted(pseb, networks=["39.32.0.7"])
    assert elsewhere["flags"] == ["operator_prefix_mismatch"]
    assert (await cases.submitted(pseb, networks=["39.32.0.8"], operator="ptcl"))["flags"] == []


async def test_an_overlap_with_anothers_open_case_is_contested_on_both_sides(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    contested = address()
    first = await cases.submitted(pseb, networks=[contested])
    second = await cases.submitted(pasha, networks=[f"{contested}/32", address()])
    assert await flags(officer, first, second) == [["contested"], ["contested"]]


async def test_cases_submitted_at_once_for_one_address_are_both_contested(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    made = [(await caller.post("/v1/applicants", json=cases.company())).json() for caller in (pseb, pasha)]
    for networks in (("58.65.129.7", "58.65.129.0/24"), ("2400:1460:1::/48", "2400:1460:1:ffff::1")):
        bodies = [cases.registration(each["id"], networks=[one]) for each, one in zip(made, networks, strict=True)]
        answers = await asyncio.gather(
            *(caller.post("/v1/registrations", json=body) for caller, body in zip((pseb, pasha), bodies, strict=True))
        )
        assert [answer.status_code for answer in answers] == [201, 201]
        assert all("contested" in each for each in await flags(officer, *(answer.json() for answer in answers)))


@pytest.mark.parametrize("end", ["withdraw", "reject", "approve"])
async def test_a_contest_ends_with_the_other_case(pseb: Caller, pasha: Caller, officer: Caller, end: str) -> None:
    contested = address()
    kept = await cases.submitted(pseb, networks=[contested])
    other = await cases.submitted(pasha, networks=[contested])
    if end == "withdraw":
        answer = await pasha.post(f"/v1/registrations/{other['id']}/withdraw", headers={"If-Match": '"1"'})
    else:
        verdict = {"reason_codes": ["operator_mismatch"]} if end == "reject" else {}
        answer = await cases.decide(officer, other, end, **verdict)
    assert answer.is_success, answer.text
    assert await flags(officer, kept) == [[]]


async def test_of_three_contested_cases_two_stay_contested_when_one_ends(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    contested = address()
    one, two = [await cases.submitted(pseb, networks=[contested]) for _ in range(2)]
    three = await cases.submitted(pasha, networks=[contested])
    await pasha.post(f"/v1/registrations/{three['id']}/withdraw", headers={"If-Match": '"1"'})
    assert await flags(officer, one, two) == [["contested"], ["contested"]]


@pytest.mark.parametrize("way", ["patch", "reference"])
async def test_a_contest_ends_when_the_other_case_is_corrected_to_another_address(
    pseb: Caller, pasha: Caller, officer: Caller, way: str
) -> None:
    contested, elsewhere = address(), address()
    kept = await cases.submitted(pseb, networks=[contested])
    other = await cases.submitted(pasha, networks=[contested], reference="other")
    answer = await cases.decide(officer, other, "request_information", reason_codes=["operator_mismatch"])
    assert answer.status_code == 201
    assert await flags(officer, kept) == [["contested"]]
    if way == "patch":
        path, tag = f"/v1/registrations/{other['id']}", (await current(pasha, other))["version"]
        answer = await pasha.patch(path, json={"networks": [elsewhere]}, headers={"If-Match": f'"{tag}"'})
    else:
        body = cases.registration(other["applicant_id"], networks=[elsewhere], reference="other")
        answer = await pasha.post("/v1/registrations", json=body)
    assert answer.status_code == 200, answer.text
    assert await flags(officer, kept, other) == [[], []]


async def test_a_contest_begins_again_when_a_rejected_case_is_submitted_again(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    contested = address()
    rejected = await cases.submitted(pseb, networks=[contested])
    await cases.decide(officer, rejected, "reject", reason_codes=["document_missing"])
    other = await cases.submitted(pasha, networks=[contested])
    assert other["flags"] == []
    again = await pseb.post(f"/v1/registrations/{rejected['id']}/submit", headers={"If-Match": "*"})
    assert (again.status_code, again.json()["flags"]) == (200, [])
    assert await flags(officer, rejected, other) == [["contested"], ["contested"]]


async def test_the_first_approval_wins_a_contest(pseb: Caller, pasha: Caller, officer: Caller) -> None:
    contested = address()
    loser = await cases.submitted(pseb, networks=[address(), contested])
    winner = await cases.submitted(pasha, networks=[contested])
    assert (await cases.decide(officer, winner, "approve")).status_code == 201
    answer = await cases.decide(officer, await current(officer, loser), "approve")
    assert (answer.status_code, answer.json()["code"]) == (422, "network_taken")
    assert (await current(officer, loser))["status"] == "submitted"
    free = await cases.submitted(pasha, networks=[loser["networks"][0]])
    assert (await cases.decide(officer, free, "approve")).status_code == 201


async def test_only_officers_see_contested_wherever_the_case_is_read(
    pseb: Caller, pasha: Caller, nayatel: Caller, officer: Caller
) -> None:
    contested = address()
    case = await cases.submitted(pseb, networks=[contested, "8.8.8.8"])
    await cases.submitted(pasha, networks=[contested])
    one, all_ = f"/v1/registrations/{case['id']}", "/v1/registrations"
    for caller in (pseb, pasha, nayatel):
        read = [await caller.get(path) for path in (one, all_, f"{one}/history", "/v1/events")]
        assert "contested" not in "".join(answer.text for answer in read)
    kept = ["outside_country", "operator_prefix_mismatch"]
    assert (await current(pseb, case))["flags"] == kept
    assert (await current(officer, case))["flags"] == [*kept, "contested"]
    (listed, _) = (await officer.get(all_)).json()["items"]
    assert listed["flags"] == [*kept, "contested"]


async def test_only_officers_filter_by_what_only_officers_see(
    pseb: Caller, pasha: Caller, nayatel: Caller, officer: Caller
) -> None:
    contested = address()
    pair = [await cases.submitted(caller, networks=[contested]) for caller in (pseb, pasha)]
    await cases.submitted(pseb)
    found = (await officer.get("/v1/registrations?flag=contested")).json()["items"]
    assert [case["id"] for case in found] == [case["id"] for case in pair]
    assert (await officer.get("/v1/registrations?flag=contested&status=in_review")).json()["items"] == []
    for caller in (pseb, pasha, nayatel):
        answer = await caller.get(f"/v1/registrations?flag=contested&claimed_by={officer.credentials.id}")
        assert cases.codes(answer) == {"/query/claimed_by": "invalid_value", "/query/flag": "invalid_value"}


async def test_a_change_of_one_case_changes_neither_content_nor_etag_of_an_overlapping_one(
    pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    contested, elsewhere = address(), address()
    case = await cases.submitted(pseb, networks=[contested])
    path = f"/v1/registrations/{case['id']}"
    before = await officer.get(path)

    async def is_unchanged(flags: list[str]) -> None:
        now = await officer.get(path)
        assert (now.headers["ETag"], now.json()) == (before.headers["ETag"], {**before.json(), "flags": flags})
        assert await current(pseb, case) == case

    other = await cases.submitted(pasha, networks=[contested])
    await is_unchanged(["contested"])
    await cases.decide(officer, other, "request_information", reason_codes=["operator_mismatch"])
    theirs, any_ = f"/v1/registrations/{other['id']}", {"If-Match": "*"}
    assert (await pasha.patch(theirs, json={"networks": [elsewhere]}, headers=any_)).status_code == 200
    await is_unchanged([])
    assert (await pasha.patch(theirs, json={"networks": [contested]}, headers=any_)).status_code == 200
    assert (await pasha.post(f"{theirs}/submit", headers=any_)).status_code == 200
    await is_unchanged(["contested"])
    assert (await pasha.post(f"{theirs}/withdraw", headers=any_)).status_code == 200
    await is_unchanged([])
    assert (await cases.decide(officer, before.json(), "approve")).status_code == 201


async def test_an_officer_who_submits_sees_contested_in_the_response(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    contested = address()
    await cases.submitted(pseb, networks=[contested])
    made = await cases.submitted(officer, networks=[contested])
    assert made["flags"] == ["contested"]
    assert await current(officer, made) == made


async def test_a_flag_that_an_earlier_version_stored_is_not_shown(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    case = await cases.submitted(pseb)
    async with service.database.transaction() as tx:
        await tx.execute(text("UPDATE registrations SET flags = '{outside_country,contested}'"))
    assert await flags(pseb, case) == await flags(officer, case) == [["outside_country"]]
    assert (await officer.get("/v1/registrations?flag=contested")).json()["items"] == []
