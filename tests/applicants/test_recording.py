"""Items of uploads are recorded in few statements, without losing what another transaction changes at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any
from uuid import UUID

import pytest

from app.applicants import service as applicants
from app.applicants import store
from app.applicants.merging import CLEARED, Change, PlannedRecords, Policy
from app.applicants.rules import Particulars
from app.applicants.schemas import ApplicantChange
from app.applicants.service import RecordedApplicant
from app.core.database.roles import INTAKE
from app.core.database.transaction import Transaction
from app.core.errors import Invalid
from app.core.keyring import Keyring
from app.core.principal import Principal
from app.core.validation.preconditions import IfMatch
from tests.support import cases
from tests.support.service import Caller, Service
from tests.support.statements import record_statements

NTN, OTHER_NTN = "7700001-1", "7700002-2"
CNIC, OTHER_CNIC = "35202-1111111-1", "35202-2222222-2"
FIRM = Particulars("company", "Keeps Ltd", NTN, CNIC, "it@keeps.example.pk", "+923009990001", "PSEB-1", "PASHA-1")
PARTIAL = FIRM._replace(cnic=None, mobile=None, pseb_number=None, pasha_number=None)
PERSON = Particulars("individual", "Ayesha Khan", None, OTHER_CNIC, "ayesha@example.com", None, None, None)
SECONDS = 10


def principal_of(caller: Caller) -> Principal:
    return Principal(caller.credentials.id, caller.credentials.partner_id, "association", None, frozenset())


@asynccontextmanager
async def uploading(caller: Caller) -> AsyncIterator[tuple[Transaction, Principal]]:
    """A transaction as a worker has it, which acts for the caller."""
    principal = principal_of(caller)
    async with caller.service.database.transaction(principal, role=INTAKE) as tx:
        yield tx, principal


async def record(caller: Caller, *items: Particulars, policy: Policy = Policy.MERGE) -> list[Any]:
    """Record items in one transaction, and return what is told of each."""
    async with uploading(caller) as (tx, principal):
        return told(await applicants.record(tx, principal, items, policy))


def told(outcomes: Sequence[RecordedApplicant | Invalid]) -> list[Any]:
    return [
        [(error.pointer, error.code, error.detail) for error in each.errors]
        if isinstance(each, Invalid)
        else (each.created, each.changes)
        for each in outcomes
    ]


async def kept(caller: Caller) -> dict[str, Particulars]:
    """Return the caller's records, unsealed, by their identifying number."""
    async with uploading(caller) as (tx, principal):
        found = await store.lock_for_change(tx, principal.partner_id, subjects(tx))
    return {each.identity[1]: each for each in found}


def subjects(tx: Transaction) -> list[str]:
    hashes = [store.blind_index(tx.keyring, *each) for each in (("ntn", NTN), ("ntn", OTHER_NTN))]
    return hashes + [store.blind_index(tx.keyring, "cnic", each) for each in (CNIC, OTHER_CNIC)]


async def test_another_name_is_refused_and_the_record_stays_as_it_was(pseb: Caller) -> None:
    await record(pseb, FIRM)
    ((error,),) = await record(pseb, PARTIAL._replace(legal_name="Keps Ltd", mobile=CLEARED, email="x@example.pk"))
    assert error[:2] == ("/legal_name", "applicant_conflict")
    assert "typing error" in error[2]
    assert await kept(pseb) == {NTN: FIRM}
    (one,) = (await pseb.get("/v1/applicants")).json()["items"]
    assert one["version"] == 1


async def test_an_ntn_and_a_cnic_of_two_stored_records_are_refused(pseb: Caller) -> None:
    other = FIRM._replace(ntn=OTHER_NTN, legal_name="Other Ltd", cnic=OTHER_CNIC)
    await record(pseb, FIRM, other)
    for item in (FIRM._replace(cnic=OTHER_CNIC), other._replace(cnic=CNIC)):
        (refused,) = await record(pseb, item)
        assert [each[:2] for each in refused] == [("/cnic", "applicant_conflict")]
        assert CNIC not in str(refused)
        assert OTHER_CNIC not in str(refused)
    assert await kept(pseb) == {NTN: FIRM, OTHER_NTN: other}


async def test_a_number_of_the_other_kind_is_refused_until_it_is_given_up(pseb: Caller) -> None:
    person = PERSON._replace(cnic=CNIC)
    await record(pseb, FIRM)
    (refused,) = await record(pseb, person)
    assert [each[:2] for each in refused] == [("/cnic", "applicant_conflict")]
    assert await record(pseb, PARTIAL._replace(cnic=CLEARED), person, FIRM) == [
        (False, (Change("cnic", CNIC, None),)),
        (True, ()),
        [("/cnic", "applicant_conflict", refused[0][2].replace("a company", "an individual"))],
    ]


async def test_what_an_item_leaves_out_stays_and_what_it_gives_is_told(pseb: Caller) -> None:
    assert await record(pseb, FIRM) == [(True, ())]
    assert await record(pseb, PARTIAL) == [(False, ())]
    changed = PARTIAL._replace(email="noc@keeps.example.pk", mobile=CLEARED)
    assert await record(pseb, changed, changed) == [
        (False, (Change("email", FIRM.email, changed.email), Change("mobile", FIRM.mobile, None))),
        (False, ()),
    ]
    assert await kept(pseb) == {NTN: FIRM._replace(email=changed.email, mobile=None)}


async def test_an_erased_applicant_is_a_new_record(pseb: Caller) -> None:
    await record(pseb, FIRM)
    (old,) = (await pseb.get("/v1/applicants")).json()["items"]
    erased = await pseb.post(f"/v1/applicants/{old['id']}/erasure", headers={"If-Match": '"1"'})
    assert erased.status_code in (200, 204), erased.text
    assert await record(pseb, PARTIAL._replace(legal_name="Another Ltd")) == [(True, ())]


async def test_outcomes_do_not_depend_on_what_another_partner_has(pseb: Caller, pasha: Caller, officer: Caller) -> None:
    other = FIRM._replace(ntn=OTHER_NTN, cnic=OTHER_CNIC, legal_name="Other Ltd")
    items = [FIRM, PARTIAL._replace(legal_name="Keps Ltd"), PERSON._replace(cnic=CNIC, ntn=NTN), PERSON, other]
    alone = await record(pseb, *items)
    third = await pseb.service.caller("third")
    await record(third, other._replace(legal_name="Quite Another Ltd"), PERSON._replace(cnic=CNIC, legal_name="B"))
    assert await record(pasha, *items) == alone
    assert alone[0] == (True, ())
    assert await kept(pasha) == await kept(pseb)


async def test_a_batch_costs_few_statements_and_unseals_only_records_that_differ(
    pseb: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    firms = [FIRM._replace(ntn=f"77{n:05}-1", cnic=None, legal_name=f"Firm {n}") for n in range(50)]
    partial = [each._replace(mobile=None) for each in firms]
    changed = [each._replace(email="noc@keeps.example.pk") for each in partial]
    unsealed: list[object] = []
    details_of = store.details_of

    def counted(keyring: Keyring, applicant: Any) -> dict[str, Any]:
        unsealed.append(applicant)
        return details_of(keyring, applicant)

    monkeypatch.setattr(store, "details_of", counted)
    for items, statements, unsealings in ((firms, 4, 0), (firms, 2, 0), (partial, 3, 50), (changed * 3, 5, 50)):
        async with uploading(pseb) as (tx, principal), record_statements(pseb.service.database) as sent:
            await applicants.record(tx, principal, items, Policy.MERGE)
        assert (len(sent), len(unsealed)) == (statements, unsealings), sent
        unsealed.clear()


async def at_once(
    caller: Caller, first: Callable[[Transaction, Principal], Awaitable[Any]], *items: Particulars
) -> list[Any]:
    """Record items while a transaction that did ``first`` is still open, and has to commit before they are recorded."""
    async with uploading(caller) as (tx, principal):
        await first(tx, principal)
        second = asyncio.create_task(record(caller, *items))
        await asyncio.sleep(0.3)
        assert not second.done()
    return await asyncio.wait_for(second, SECONDS)


def recording(*items: Particulars) -> Callable[[Transaction, Principal], Awaitable[Any]]:
    async def first(tx: Transaction, principal: Principal) -> None:
        await applicants.record(tx, principal, items, Policy.MERGE)

    return first


async def test_two_uploads_that_change_one_record_at_once_keep_both_changes(pseb: Caller) -> None:
    await record(pseb, FIRM)
    numbered = PARTIAL._replace(pseb_number="PSEB-2")
    outcomes = await at_once(pseb, recording(PARTIAL._replace(mobile="+923001111111")), numbered)
    assert outcomes == [(False, (Change("pseb_number", "PSEB-1", "PSEB-2"),))]
    assert await kept(pseb) == {NTN: FIRM._replace(pseb_number="PSEB-2", mobile="+923001111111")}


async def test_a_change_by_hand_and_an_upload_at_once_keep_both_changes(pseb: Caller) -> None:
    await record(pseb, FIRM)
    (made,) = (await pseb.get("/v1/applicants")).json()["items"]
    patch = ApplicantChange.model_validate({"pseb_number": "PSEB-2"})

    async def by_hand(tx: Transaction, principal: Principal) -> None:
        await applicants.change(tx, principal, UUID(made["id"]), IfMatch('"1"'), patch)

    outcomes = await at_once(pseb, by_hand, PARTIAL._replace(mobile="+923001111111"))
    assert outcomes == [(False, (Change("mobile", FIRM.mobile, "+923001111111"),))]
    assert await kept(pseb) == {NTN: FIRM._replace(pseb_number="PSEB-2", mobile="+923001111111")}


async def test_two_uploads_that_create_one_record_at_once_merge_it(pseb: Caller) -> None:
    other = FIRM._replace(ntn=OTHER_NTN, legal_name="Other Ltd", cnic=None)
    late = PARTIAL._replace(email="noc@keeps.example.pk")
    outcomes = await at_once(pseb, recording(FIRM), late, late, other, PERSON)
    assert outcomes == [(False, (Change("email", FIRM.email, late.email),)), (False, ()), (True, ()), (True, ())]
    assert await kept(pseb) == {NTN: FIRM._replace(email=late.email), OTHER_NTN: other, OTHER_CNIC: PERSON}
    versions = {each["ntn"]: each["version"] for each in (await pseb.get("/v1/applicants")).json()["items"]}
    assert versions == {NTN: 2, OTHER_NTN: 1, None: 1}


async def test_the_second_of_two_names_given_at_once_is_refused(pseb: Caller) -> None:
    outcomes = await at_once(pseb, recording(FIRM), PARTIAL._replace(legal_name="Beta Exports Ltd"), PERSON)
    assert [each[:2] for each in outcomes[0]] == [("/legal_name", "applicant_conflict")]
    assert outcomes[1] == (True, ())
    assert await kept(pseb) == {NTN: FIRM, OTHER_CNIC: PERSON}


async def test_uploads_that_change_the_same_records_in_opposite_orders_do_not_deadlock(pseb: Caller) -> None:
    firms = [FIRM._replace(ntn=f"77{n:05}-1", cnic=None, legal_name=f"Firm {n}") for n in range(100)]
    await record(pseb, *firms[:50])

    async def upload(number: int) -> list[Any]:
        order = firms if number % 2 else firms[::-1]
        return await record(pseb, *(each._replace(email=f"it{number}@keeps.example.pk") for each in order))

    outcomes = await asyncio.wait_for(asyncio.gather(*map(upload, range(6))), 60)
    assert [created for told_ in outcomes for created, _ in told_].count(True) == 50


NAMES = ("Keeps Ltd", "keeps  ltd", "Keps Ltd", "Beta")


def random_item(random: Random) -> Particulars:
    """An item of few names and numbers, so that many meet."""
    pick = random.choice
    optional = [pick([None, "1", "2", CLEARED]) for _ in range(2)]
    mobile, email = pick([None, CLEARED, "+923001111111"]), pick(["a@example.pk", "b@example.pk"])
    if random.random() < 0.6:
        cnic = pick([CNIC, OTHER_CNIC, CLEARED, None])
        return Particulars("company", pick(NAMES), pick([NTN, OTHER_NTN]), cnic, email, mobile, *optional)
    ntn = pick([NTN, OTHER_NTN, None, None])
    return Particulars("individual", pick(NAMES), ntn, pick([CNIC, OTHER_CNIC]), email, mobile, *optional)


async def run(
    caller: Caller, items: Sequence[Particulars], policy: Policy, chunk: int, *, dry_run: bool
) -> tuple[list[Any], dict[str, Particulars]]:
    """Record items chunk by chunk, in a dry run rolled back, and return what is told and what is left."""
    planned = PlannedRecords() if dry_run else None
    outcomes: list[Any] = []
    for start in range(0, len(items), chunk):
        async with uploading(caller) as (tx, principal):
            given = items[start : start + chunk]
            if planned is None:
                outcomes += told(await applicants.record(tx, principal, given, policy))
            else:
                async with tx.dry_run():
                    outcomes += told(await applicants.record(tx, principal, given, policy, planned=planned))
    return outcomes, await kept(caller)


@pytest.mark.parametrize("seed", range(6))
async def test_chunks_of_any_size_and_dry_runs_tell_the_same_of_every_row(service: Service, seed: int) -> None:
    random = Random(seed)
    policy = Policy.RENAME if seed % 3 == 2 else Policy.MERGE
    before = [random_item(random) for _ in range(3)]
    items = [random_item(random) for _ in range(25)]
    results = []
    for number, (chunk, dry_run) in enumerate([(1_000, False), (1, False), (2, False), (1_000, True), (2, True)]):
        caller = await service.caller(f"association-{number}")
        await record(caller, *before, policy=Policy.RENAME)
        stored = await kept(caller)
        outcomes, left = await run(caller, items, policy, chunk, dry_run=dry_run)
        results.append((outcomes, None if dry_run else left))
        if dry_run:
            assert left == stored
    first = results[0]
    assert all(outcomes == first[0] for outcomes, _ in results)
    assert all(left in (None, first[1]) for _, left in results)
    assert {type(each) for each in first[0]} == {list, tuple}


async def test_post_still_replaces_all_details(pseb: Caller) -> None:
    firm = cases.company(pseb_number="PSEB-1")
    await pseb.post("/v1/applicants", json=firm)
    replaced = await pseb.post("/v1/applicants", json={**firm, "legal_name": "New Ltd", "pseb_number": None})
    assert replaced.status_code == 200
    assert (replaced.json()["legal_name"], replaced.json()["pseb_number"]) == ("New Ltd", None)
