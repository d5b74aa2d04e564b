"""Served proofs, verified with nothing but their hashes and the published keys."""

import json
from hashlib import sha256
from typing import Any
from uuid import uuid4

import httpx
import rfc8785
from joserfc import jws
from joserfc.jwk import KeySet

from app.audit import tree
from app.core.auth.signatures import ALGORITHM
from app.partners.rules import PartnerKind
from tests.support import cases
from tests.support.audit_trees import record_events, sequence_events
from tests.support.events import wait_for_event
from tests.support.service import Caller, Service

INCLUSION, CONSISTENCY, CHECKPOINT = (f"/v1/audit/{name}" for name in ("inclusion", "consistency", "checkpoint"))


async def served(caller: Caller, path: str, **query: Any) -> dict[str, Any]:
    answer = await caller.get(path, params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def refusal(caller: Caller, path: str, **query: Any) -> tuple[int, str]:
    answer = await caller.get(path, params=query)
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def proves(proof: dict[str, Any]) -> bool:
    """True when the served entry is in the tree of the checkpoint."""
    head, path = proof["checkpoint"], [bytes.fromhex(each) for each in proof["path"]]
    leaf = sha256(b"\x00" + proof["entry"].encode()).digest()
    assert leaf.hex() == proof["leaf_hash"]
    return tree.verify_inclusion(bytes.fromhex(head["root"]), head["size"], leaf, proof["position"], path)


def opened(proof: dict[str, Any]) -> dict[str, Any]:
    """Return the disclosed values, once their commitments are verified."""
    commitments = json.loads(proof["entry"])["commitments"]
    for name, each in proof["disclosed"].items():
        assert sha256(rfc8785.dumps([each["salt"], each["value"]])).hexdigest() == commitments[name]
    return {name: each["value"] for name, each in proof["disclosed"].items()}


async def rejected(pseb: Caller, officer: Caller) -> dict[str, Any]:
    """Return the event of a rejection with a note, as the officer reads it."""
    case = await cases.submitted(pseb)
    await cases.decide(officer, case, "reject", reason_codes=["other"], note="The letter is of another year.")
    name = "registration.rejected"
    return next(each for each in await wait_for_event(officer, name) if each["name"] == name)


async def test_before_anything_is_signed_there_is_no_checkpoint_and_no_proof(pseb: Caller) -> None:
    event = (await wait_for_event(pseb, "client.created"))[0]
    assert await refusal(pseb, CHECKPOINT) == (404, "not_found")
    assert await refusal(pseb, CONSISTENCY, first=1) == (404, "not_found")
    assert await refusal(pseb, INCLUSION, event_id=event["id"]) == (409, "not_in_tree")


async def test_anothers_event_looks_as_if_it_did_not_exist(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    event = await rejected(pseb, officer)
    await sequence_events(service)
    ptcl = await service.caller("ptcl", PartnerKind.OPERATOR, operator="ptcl")
    for caller in (pasha, ptcl):
        theirs = await caller.get(INCLUSION, params={"event_id": event["id"]})
        nobodys = await caller.get(INCLUSION, params={"event_id": str(uuid4())})
        assert (theirs.status_code, theirs.json()) == (404, nobodys.json())


async def test_invalid_parameters_are_refused_with_their_pointers(service: Service, pseb: Caller) -> None:
    size = await sequence_events(service, batch=1)
    for path, query, pointer in (
        (INCLUSION, {}, "/query/event_id"),
        (INCLUSION, {"event_id": "x"}, "/query/event_id"),
        (CHECKPOINT, {"size": 0}, "/query/size"),
        (CHECKPOINT, {"size": 2**70}, "/query/size"),
        (CHECKPOINT, {"sise": 1}, "/query/sise"),
        (CONSISTENCY, {}, "/query/first"),
        (CONSISTENCY, {"first": 2, "second": 1}, "/query/first"),
        (CONSISTENCY, {"first": size + 1}, "/query/first"),
    ):
        answer = await pseb.get(path, params=query)
        assert answer.status_code == 422
        assert list(cases.codes(answer)) == [pointer]
    assert await refusal(pseb, CHECKPOINT, size=size + 1) == (404, "not_found")
    assert await refusal(pseb, CONSISTENCY, first=1, second=size + 1) == (404, "not_found")


async def test_nobody_reads_proofs_without_the_scope_of_the_log(service: Service, pseb: Caller) -> None:
    narrow = Caller(service, pseb.credentials, await service.token(pseb.credentials, "registrations:read"))
    for path in (INCLUSION, CONSISTENCY, CHECKPOINT):
        assert await refusal(narrow, path) == (403, "forbidden")


async def test_an_event_beyond_the_requested_size_is_not_in_that_tree(service: Service, pseb: Caller) -> None:
    first = await sequence_events(service)
    await record_events(service, "test.later")
    event = (await wait_for_event(pseb, "test.later"))[-1]
    assert await refusal(pseb, INCLUSION, event_id=event["id"]) == (409, "not_in_tree")
    await sequence_events(service)
    assert await refusal(pseb, INCLUSION, event_id=event["id"], size=first) == (409, "not_in_tree")
    assert proves(await served(pseb, INCLUSION, event_id=event["id"]))


async def test_every_event_is_proven_against_every_checkpoint_that_covers_it(service: Service, pseb: Caller) -> None:
    await record_events(service, *(f"test.{number}" for number in range(9)))
    size = await sequence_events(service, batch=4)
    events = await wait_for_event(pseb, "test.8")
    assert len(events) == size == 11
    for position, event in enumerate(events):
        for covering in [each for each in (4, 8, 11) if each > position]:
            proof = await served(pseb, INCLUSION, event_id=event["id"], size=covering)
            assert proves(proof)
            assert (proof["position"], proof["checkpoint"]["size"]) == (position, covering)
            assert not proves({**proof, "position": position ^ 1})
            entry = json.loads(proof["entry"])
            shown = {name: event[name] for name in ("id", "name", "occurred_at", "subject_id", "actor_partner_id")}
            assert shown.items() <= entry.items()
            assert rfc8785.dumps(entry).decode() == proof["entry"]


async def test_each_checkpoint_is_proven_to_begin_with_the_ones_before(service: Service, pseb: Caller) -> None:
    await record_events(service, *(f"test.{number}" for number in range(9)))
    await sequence_events(service, batch=3)
    sizes = [3, 6, 9, 11]
    for second in sizes:
        for first in [each for each in sizes if each <= second]:
            proof = await served(pseb, CONSISTENCY, first=first, second=second)
            assert [proof[each] for each in ("first", "second")] == [
                await served(pseb, CHECKPOINT, size=size) for size in (first, second)
            ]
            old, new = (bytes.fromhex(proof[each]["root"]) for each in ("first", "second"))
            path = [bytes.fromhex(each) for each in proof["path"]]
            assert tree.verify_consistency(new, second, old, first, path)
            assert not tree.verify_consistency(new, second, bytes(32), first, path)
    assert (await served(pseb, CONSISTENCY, first=3))["second"] == await served(pseb, CHECKPOINT)


async def test_a_checkpoint_is_signed_by_a_published_key(service: Service, pseb: Caller) -> None:
    size = await sequence_events(service)
    head = await served(pseb, CHECKPOINT)
    keys = KeySet.import_key_set((await service.http.get("/.well-known/jwks.json")).json())
    found = jws.deserialize_compact(head["signed"], keys, algorithms=[ALGORITHM])
    assert found.headers()["typ"] == "audit-checkpoint"
    assert httpx.Response(200, content=found.payload).json() == {
        "issuer": service.settings.public_url,
        "size": size,
        "root": head["root"],
        "time": head["signed_at"],
    }


async def test_each_reader_gets_the_disclosures_of_the_fields_it_may_read_and_no_others(
    service: Service, pseb: Caller, nayatel: Caller, officer: Caller
) -> None:
    event = await rejected(pseb, officer)
    await sequence_events(service)
    client, note = str(officer.credentials.id), event["details"]["note"]
    to_pseb, to_nayatel, to_officer = [
        await served(caller, INCLUSION, event_id=event["id"]) for caller in (pseb, nayatel, officer)
    ]
    assert all(proves(each) for each in (to_pseb, to_nayatel, to_officer))
    assert to_pseb["entry"] == to_nayatel["entry"] == to_officer["entry"]
    assert opened(to_officer) == {"actor_client_id": client, "remarks": {"note": note, "legal_basis": None}}
    assert opened(to_pseb) == {"remarks": {"note": note, "legal_basis": None}}
    assert opened(to_nayatel) == {}
    for word in (client, note, to_officer["disclosed"]["remarks"]["salt"]):
        assert word not in json.dumps(to_nayatel)
