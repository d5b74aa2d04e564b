"""Erasures leave the tree verifiable, and no other change passes for an erasure."""

import json
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import text

from app.audit import entry, erasure, store
from app.audit.errors import VerificationFailed
from app.audit.verification import VerificationResult, verify
from app.events import store as events
from tests.support import cases, postgres
from tests.support.audit_trees import sequence_events
from tests.support.erasure import erase, withdraw
from tests.support.events import wait_for_event
from tests.support.service import Caller, Service

WITH_REFERENCE = ("registration.submitted", "registration.withdrawn")
SUBMITTED = "name = 'registration.submitted'"
MARK = """details - 'reference' || '{"erased": ["reference"]}'"""


@pytest.fixture
def before_commitments(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Make leaves without commitments to erasable details, as older versions did."""
    monkeypatch.setattr("app.audit.sequencer.commit_erasable", lambda *_: None)
    return monkeypatch


async def a_case(caller: Caller, reference: str = "REF-1") -> dict[str, Any]:
    """Submit a case and withdraw it."""
    case = await cases.submitted(caller, reference=reference)
    await withdraw(caller, case)
    return case


async def verified(service: Service) -> VerificationResult:
    """Verify the whole log."""
    async with service.database.transaction(read_only=True) as tx:
        return await verify(tx, batch=3)


async def changed(service: Service, *statements: str) -> None:
    """Change the database as its owner."""
    await postgres.execute(service.settings.database_url, *statements)


async def inclusion(caller: Caller, name: str) -> dict[str, Any]:
    """Return the inclusion proof of the newest event ``name``."""
    event = [each for each in await wait_for_event(caller, name) if each["name"] == name][-1]
    answer: dict[str, Any] = (await caller.get(f"/v1/audit/inclusion?event_id={event['id']}")).json()
    return answer


async def test_an_erased_event_has_the_same_proof_without_the_erased_details(service: Service, pseb: Caller) -> None:
    case = await a_case(pseb)
    await sequence_events(service)
    before = {name: await inclusion(pseb, name) for name in WITH_REFERENCE}
    for proof in before.values():
        opened = proof["disclosed"]["erasable"]
        assert opened["value"] == {"reference": "REF-1"}
        commitment = json.loads(proof["entry"])["commitments"]["erasable"]
        assert commitment == sha256(entry.canonical_json([opened["salt"], opened["value"]])).hexdigest()
        assert "REF-1" not in proof["entry"]
    await erase(pseb, case["applicant_id"])
    await sequence_events(service)
    for name in WITH_REFERENCE:
        after = await inclusion(pseb, name)
        assert (after["entry"], after["leaf_hash"]) == (before[name]["entry"], before[name]["leaf_hash"])
        assert "erasable" not in after["disclosed"]
    assert (await verified(service))[1:] == (2, 0)
    log = (await pseb.get("/v1/events?limit=500&type=registration.*")).json()["items"]
    assert [each["details"].get("reference") for each in log] == [None] * 3
    assert all(each["details"]["networks"] == case["networks"] for each in log)


async def test_an_event_erased_before_it_has_a_leaf_is_proven_as_it_is(service: Service, pseb: Caller) -> None:
    case = await a_case(pseb)
    await erase(pseb, case["applicant_id"])
    await sequence_events(service)
    assert (await verified(service))[1:] == (2, 0)
    assert json.loads((await inclusion(pseb, "registration.submitted"))["entry"])["details"]["erased"] == ["reference"]


async def test_an_older_leaf_without_commitment_stays_and_its_erasure_records_the_remaining_hash(
    service: Service, pseb: Caller, before_commitments: pytest.MonkeyPatch
) -> None:
    case = await a_case(pseb)
    await sequence_events(service)
    before = await inclusion(pseb, "registration.submitted")
    assert "REF-1" in before["entry"]
    before_commitments.undo()
    await erase(pseb, case["applicant_id"])
    assert (await verified(service))[1:] == (2, 2)
    await sequence_events(service)
    assert (await verified(service))[1:] == (2, 2)
    after = await inclusion(pseb, "registration.submitted")
    assert (after["entry"], after["disclosed"]) == (None, {})
    assert (after["leaf_hash"], after["position"]) == (before["leaf_hash"], before["position"])


async def test_an_older_leaf_gets_another_salt_so_that_nobody_can_guess_values_by_its_hash(
    service: Service, pseb: Caller, before_commitments: pytest.MonkeyPatch
) -> None:
    case = await a_case(pseb)
    await sequence_events(service)
    salt = (await inclusion(pseb, "registration.submitted"))["disclosed"]["remarks"]["salt"]
    before_commitments.undo()
    await erase(pseb, case["applicant_id"])
    async with service.database.transaction(read_only=True) as tx:
        (event,) = await events.of_subjects(tx, "registration.submitted", [case["id"]])
        ((_, leaf),) = await store.events_with_leaves(tx, [event.id])
    assert entry.disclosures(event, leaf.salt)["remarks"].salt != salt


FORGED = {
    "another time": f"UPDATE events SET occurred_at = occurred_at + interval '1 s' WHERE {SUBMITTED}",
    "another status": f"""UPDATE events SET details = details || '{{"status": "approved"}}' WHERE {SUBMITTED}""",
    "more said to be erased": f"""UPDATE events SET details = details || '{{"erased": ["note"]}}' WHERE {SUBMITTED}""",
    "the reference is another": f"""UPDATE events SET details = details || '{{"reference": "B"}}' WHERE {SUBMITTED}""",
    "the erasure is gone": "DELETE FROM events WHERE name = 'registration.erased'",
}


@pytest.mark.parametrize("change", FORGED)
@pytest.mark.parametrize("is_old", [False, True])
async def test_no_change_passes_for_an_erasure(
    service: Service, pseb: Caller, before_commitments: pytest.MonkeyPatch, change: str, is_old: bool
) -> None:
    if not is_old:
        before_commitments.undo()
    case = await a_case(pseb)
    await sequence_events(service)
    before_commitments.undo()
    await erase(pseb, case["applicant_id"])
    await verified(service)
    await changed(service, FORGED[change])
    with pytest.raises(VerificationFailed):
        await verified(service)


@pytest.mark.parametrize("is_old", [False, True])
async def test_a_reference_removed_without_a_recorded_erasure_is_found(
    service: Service, pseb: Caller, before_commitments: pytest.MonkeyPatch, is_old: bool
) -> None:
    if not is_old:
        before_commitments.undo()
    await a_case(pseb)
    await sequence_events(service)
    await changed(service, f"UPDATE events SET details = {MARK} WHERE {SUBMITTED}")
    with pytest.raises(VerificationFailed, match="no event records its erasure"):
        await verified(service)


async def test_a_removed_reference_that_is_not_marked_is_found(service: Service, pseb: Caller) -> None:
    await a_case(pseb)
    await sequence_events(service)
    await changed(service, f"UPDATE events SET details = details - 'reference' WHERE {SUBMITTED}")
    with pytest.raises(VerificationFailed, match="not what was committed to"):
        await verified(service)


async def test_the_sequencer_makes_no_leaf_while_an_erasure_runs(service: Service, pseb: Caller) -> None:
    case = await a_case(pseb)
    async with service.database.transaction() as tx:
        await erasure.erase(tx, [case["id"]])
        before = await tx.scalar(text("SELECT count(*) FROM audit_leaves"))
        async with service.database.transaction() as other:
            assert not await store.try_lock_sequencing(other)
        assert before == await tx.scalar(text("SELECT count(*) FROM audit_leaves"))
