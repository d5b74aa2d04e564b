"""What is erased of the log leaves the tree as it was, and nothing else passes for an erasure."""

import json
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import text

from app.audit import entry, erasure, store
from app.audit.errors import Difference
from app.audit.verification import Verified, verify
from app.events import store as events
from tests.support import cases, postgres
from tests.support.erasing import erased, withdrawn
from tests.support.events import told
from tests.support.service import Caller, Service
from tests.support.trees import sequenced

SUBMITTED = "name = 'registration.submitted'"
MARK = """details - 'reference' || '{"erased": ["reference"]}'"""


@pytest.fixture
def before_commitments(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Leaves are made as they were before there were commitments to what can be erased."""
    monkeypatch.setattr("app.audit.sequencer.committed_to", lambda *_: None)
    return monkeypatch


async def a_case(caller: Caller, reference: str = "REF-1") -> dict[str, Any]:
    """A case that was withdrawn."""
    case = await cases.submitted(caller, reference=reference)
    await withdrawn(caller, case)
    return case


async def found(service: Service) -> Verified:
    """What ``verify`` finds of the whole log."""
    async with service.database.transaction(read_only=True) as session:
        return await verify(session, batch=3)


async def changed(service: Service, *statements: str) -> None:
    """The owner of the database changes it."""
    await postgres.execute(service.settings.database_url, *statements)


async def inclusion(caller: Caller, name: str) -> dict[str, Any]:
    """The proof of the newest event of a name."""
    event = [each for each in await told(caller, name) if each["name"] == name][-1]
    answer: dict[str, Any] = (await caller.get(f"/v1/audit/inclusion?event_id={event['id']}")).json()
    return answer


async def test_an_erased_event_is_still_proven_but_for_what_was_erased(service: Service, pseb: Caller) -> None:
    case = await a_case(pseb)
    await sequenced(service)
    before = await inclusion(pseb, "registration.submitted")
    opened = before["disclosed"]["erasable"]
    assert opened["value"] == {"reference": "REF-1"}
    commitment = json.loads(before["entry"])["commitments"]["erasable"]
    assert commitment == sha256(entry.canonical([opened["salt"], opened["value"]])).hexdigest()
    assert "REF-1" not in before["entry"]
    await erased(pseb, case["applicant_id"])
    await sequenced(service)
    after = await inclusion(pseb, "registration.submitted")
    assert (after["entry"], after["leaf_hash"]) == (before["entry"], before["leaf_hash"])
    assert "erasable" not in after["disclosed"]
    assert (await found(service))[1:] == (1, 0)


async def test_an_event_erased_before_it_has_its_leaf_is_proven_as_it_is(service: Service, pseb: Caller) -> None:
    case = await a_case(pseb)
    await erased(pseb, case["applicant_id"])
    await sequenced(service)
    assert (await found(service))[1:] == (1, 0)
    assert json.loads((await inclusion(pseb, "registration.submitted"))["entry"])["details"]["erased"] == ["reference"]


async def test_of_an_event_from_before_commitments_the_leaf_stays_and_its_erasure_says_what_is_left(
    service: Service, pseb: Caller, before_commitments: pytest.MonkeyPatch
) -> None:
    case = await a_case(pseb)
    await sequenced(service)
    before = await inclusion(pseb, "registration.submitted")
    assert "REF-1" in before["entry"]
    before_commitments.undo()
    await erased(pseb, case["applicant_id"])
    assert (await found(service))[1:] == (1, 1)
    await sequenced(service)
    assert (await found(service))[1:] == (1, 1)
    after = await inclusion(pseb, "registration.submitted")
    assert (after["entry"], after["disclosed"]) == (None, {})
    assert (after["leaf_hash"], after["position"]) == (before["leaf_hash"], before["position"])


async def test_the_salt_of_a_leaf_that_was_made_of_the_value_is_gone_so_that_nobody_can_try_values_on_its_hash(
    service: Service, pseb: Caller, before_commitments: pytest.MonkeyPatch
) -> None:
    case = await a_case(pseb)
    await sequenced(service)
    salt = (await inclusion(pseb, "registration.submitted"))["disclosed"]["remarks"]["salt"]
    before_commitments.undo()
    await erased(pseb, case["applicant_id"])
    async with service.database.transaction(read_only=True) as session:
        (event,) = await events.of_subjects(session, "registration.submitted", [case["id"]])
        ((_, leaf),) = await store.with_leaves(session, [event.id])
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
    await sequenced(service)
    before_commitments.undo()
    await erased(pseb, case["applicant_id"])
    await found(service)
    await changed(service, FORGED[change])
    with pytest.raises(Difference):
        await found(service)


@pytest.mark.parametrize("is_old", [False, True])
async def test_a_reference_taken_out_without_an_erasure_is_found(
    service: Service, pseb: Caller, before_commitments: pytest.MonkeyPatch, is_old: bool
) -> None:
    if not is_old:
        before_commitments.undo()
    await a_case(pseb)
    await sequenced(service)
    await changed(service, f"UPDATE events SET details = {MARK} WHERE {SUBMITTED}")
    with pytest.raises(Difference, match="no event says so"):
        await found(service)


async def test_a_reference_that_is_gone_without_a_word_is_found(service: Service, pseb: Caller) -> None:
    await a_case(pseb)
    await sequenced(service)
    await changed(service, f"UPDATE events SET details = details - 'reference' WHERE {SUBMITTED}")
    with pytest.raises(Difference, match="not what was committed to"):
        await found(service)


async def test_the_sequencer_makes_no_leaf_of_what_is_just_being_erased(service: Service, pseb: Caller) -> None:
    case = await a_case(pseb)
    async with service.database.transaction() as session:
        await erasure.erase(session, [case["id"]])
        before = await session.scalar(text("SELECT count(*) FROM audit_leaves"))
        async with service.database.transaction() as other:
            assert not await store.take_turn(other)
        assert before == await session.scalar(text("SELECT count(*) FROM audit_leaves"))
