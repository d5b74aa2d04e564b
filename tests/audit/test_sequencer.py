"""Every settled event gets one leaf, in the order of the log, also under concurrency and crashes."""

import asyncio

import pytest
from sqlalchemy import select

from app.audit import checkpoint, store
from app.audit.errors import VerificationFailed
from app.audit.models import Leaf
from app.audit.sequencer import sequence
from app.core.settings import Settings
from app.events import store as events
from app.events.models import Event
from app.events.store import NewEvent
from app.partners import store as partners
from tests.support import postgres, processes
from tests.support.audit_trees import count_leaves, record_events, sequence_events, verify_log
from tests.support.service import Service

ISSUER = "https://register.example.pk"


async def leaves(service: Service) -> list[str]:
    """Return the names of the events in the order of their leaves."""
    statement = select(Event.name).join(Leaf, Leaf.event_id == Event.id).order_by(Leaf.position)
    async with service.database.transaction(read_only=True) as tx:
        return list(await tx.scalars(statement))


async def test_without_an_event_nothing_is_signed(service: Service) -> None:
    await sequence(service.database, ISSUER)
    async with service.database.transaction(read_only=True) as tx:
        assert await store.newest_checkpoint(tx) is None
    assert (await verify_log(service)).size == 0


async def test_an_event_that_commits_late_gets_one_leaf_before_the_events_after_it(service: Service) -> None:
    await record_events(service, "test.first")
    await sequence_events(service)
    async with service.database.transaction() as late:
        await events.record(late, None, [NewEvent("test.late")])
        await late.flush()
        await record_events(service, "test.early")
        await sequence(service.database, ISSUER)
        assert await leaves(service) == ["test.first"]
    await sequence_events(service)
    assert await leaves(service) == ["test.first", "test.late", "test.early"]
    assert (await verify_log(service)).size == 3


@pytest.mark.parametrize("batch", [1, 4, 7, 100])
async def test_the_tree_is_the_same_whatever_the_batch(service: Service, batch: int) -> None:
    names = [f"test.{number}" for number in range(21)]
    await record_events(service, *names)
    assert await sequence_events(service, batch) == 21
    assert await leaves(service) == names
    assert (await verify_log(service, batch=5)).size == 21
    async with service.database.transaction(read_only=True) as tx:
        signed = (await store.recorded_tree(tx, 0, 21)).checkpoints
    assert sorted(signed) == sorted({*range(batch, 21, batch), 21})


async def test_concurrent_sequencers_append_each_event_once(service: Service) -> None:
    writing = asyncio.gather(*(record_events(service, *(f"test.{n}.{m}" for m in range(5))) for n in range(6)))
    await asyncio.gather(*(sequence(service.database, ISSUER, 2) for _ in range(4)))
    await writing
    assert await sequence_events(service, 4) == 30
    assert (await verify_log(service)).size == 30


@pytest.mark.slow
async def test_sequencing_continues_after_a_worker_was_killed_between_batches(
    service: Service, settings: Settings
) -> None:
    await record_events(service, *(f"test.{number}" for number in range(12_000)))

    async def started() -> bool:
        return await count_leaves(service) > 0

    worker = processes.start("worker", processes.environment(settings))
    try:
        await processes.until(started, 60)
    finally:
        processes.kill(worker)

    async def continued() -> bool:  # not before PostgreSQL has ended the connection of the killed worker
        return await sequence_events(service) == 12_000

    await processes.until(continued)
    assert (await verify_log(service)).size == 12_000


async def test_after_a_key_rotation_the_newest_checkpoint_is_signed_again(service: Service) -> None:
    await record_events(service, "test.first")
    await sequence_events(service)
    await record_events(service, "test.second")
    await sequence_events(service)
    async with service.database.transaction() as tx:
        new = await partners.rotate_signing_key(tx)
    await service.let_keys_settle()
    await sequence(service.database, ISSUER)
    async with service.database.transaction(read_only=True) as tx:
        first, second = [await store.get_checkpoint(tx, size) for size in (1, 2)]
    assert checkpoint.key_id(first.signed) != new
    assert checkpoint.key_id(second.signed) == new
    assert (await verify_log(service)).size == 2


async def test_checkpoints_of_a_revoked_key_are_accepted_once_another_key_signed_a_newer_one(service: Service) -> None:
    await record_events(service, "test.first")
    await sequence_events(service)
    async with service.database.transaction(read_only=True) as tx:
        old = checkpoint.key_id((await store.get_checkpoint(tx, 1)).signed)
    async with service.database.transaction() as tx:
        new = await partners.revoke_signing_key(tx, old)
    with pytest.raises(VerificationFailed, match="revoked"):
        await verify_log(service)
    await record_events(service, "test.second")
    await sequence_events(service)
    async with service.database.transaction(read_only=True) as tx:
        first, second = [await store.get_checkpoint(tx, size) for size in (1, 2)]
    assert [checkpoint.key_id(each.signed) for each in (first, second)] == [old, new]
    assert (await verify_log(service)).size == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE audit_nodes SET hash = sha256('x')", "subtrees"),
        ("DELETE FROM audit_nodes", "subtrees"),
        ("UPDATE audit_checkpoints SET root = sha256('x')", "signed"),
        ("UPDATE audit_checkpoints SET size = 1", "signed"),
    ],
)
async def test_nothing_is_signed_on_top_of_a_changed_tree(service: Service, change: str, told: str) -> None:
    await record_events(service, "test.1", "test.2", "test.3")
    await sequence_events(service)
    await postgres.execute(service.settings.database_url, change)
    await record_events(service, "test.4")
    with pytest.raises(VerificationFailed, match=told):
        await sequence_events(service)
    assert await leaves(service) == ["test.1", "test.2", "test.3"]
