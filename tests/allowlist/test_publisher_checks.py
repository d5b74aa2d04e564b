"""Each check refuses a publication, keeps the last valid one, and records the refusal once."""

from collections import Counter
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.allowlist.publisher import Publisher
from tests.support import cases, postgres
from tests.support.service import Caller, Service

ENTRY = "INSERT INTO allowlist_entries (network, registration_id, holder) VALUES ({}, gen_random_uuid(), 'x')"
UNCONSTRAINED = (
    "ALTER TABLE allowlist_entries DROP CONSTRAINT allowlist_entries_granted_no_overlap, "
    "DROP CONSTRAINT allowlist_entries_published_no_overlap"
)
NULLABLE = "ALTER TABLE allowlist_entries ALTER COLUMN network DROP NOT NULL"


async def refusals(service: Service) -> list[str]:
    """The checks in the recorded refusals."""
    told = "SELECT details->>'check' FROM events WHERE name = 'allowlist.publication_refused' ORDER BY sequence"
    async with service.database.transaction(read_only=True) as tx:
        return list(await tx.scalars(text(told)))


def refused(check: str) -> float:
    return REGISTRY.get_sample_value("allowlist_publications_refused_total", {"check": check}) or 0


# The checks that refuse a fault: first with the list in memory, then, after the refusal, with the one in the database.
FAULTS = {
    "reserved": (["not_publishable"], [ENTRY.format("'10.0.0.0/24'")]),
    "too wide": (["not_publishable"], [ENTRY.format("'8.8.0.0/16'")]),
    "null": (["not_publishable"], [NULLABLE, ENTRY.format("NULL")]),
    "null in what is removed": (
        ["replay_differs", "not_a_list"],
        [NULLABLE, "UPDATE allowlist_entries SET network = NULL, withdrawn_at = now() WHERE added_serial = 1"],
    ),
    "overlapping": (["replay_differs"], [UNCONSTRAINED, ENTRY.format("'203.99.160.0/24'")]),
    "twice": (["replay_differs"], [UNCONSTRAINED, ENTRY.format("'203.99.160.1'")]),
    "entry changed": (
        ["replay_differs", "chain_broken"],
        ["UPDATE allowlist_entries SET network = '8.8.8.8' WHERE added_serial = 1"],
    ),
    "entry lost": (["count_differs", "chain_broken"], ["DELETE FROM allowlist_entries WHERE added_serial = 1"]),
    "entry added to history": (
        ["count_differs", "chain_broken"],
        [ENTRY.format("'8.8.8.8'"), "UPDATE allowlist_entries SET added_serial = 1 WHERE network = '8.8.8.8'"],
    ),
    "entry added to the future": (
        ["count_differs"],
        [ENTRY.format("'8.8.8.8'"), "UPDATE allowlist_entries SET added_serial = 9 WHERE network = '8.8.8.8'"],
    ),
    "entry removed in the future": (
        ["count_differs"],
        ["UPDATE allowlist_entries SET removed_serial = 9 WHERE added_serial = 1"],
    ),
    "digest changed": (["chain_broken"], ["UPDATE publications SET digest = repeat('0', 64)"]),
    "publication lost": (["count_differs"], ["DELETE FROM publications"]),
    "feed lost": (["feed_missing"], ["DELETE FROM allowlist_feed"]),
}
# The checks that refuse a publisher that has just started.
FAULTS_BEFORE_A_START = {
    "entry changed": ("chain_broken", ["UPDATE allowlist_entries SET network = '8.8.8.8' WHERE added_serial = 1"]),
    "entry lost": ("chain_broken", ["DELETE FROM allowlist_entries WHERE added_serial = 1"]),
    "null in history": (
        "not_a_list",
        [NULLABLE, "UPDATE allowlist_entries SET network = NULL WHERE added_serial = 1"],
    ),
    "overlap in history": (
        "not_a_list",
        [
            UNCONSTRAINED,
            "UPDATE allowlist_entries SET network = '203.99.160.0/24'",
            "UPDATE allowlist_entries SET added_serial = 1",
        ],
    ),
    "digest changed": ("chain_broken", ["UPDATE publications SET digest = repeat('0', 64)"]),
    "publication lost": ("count_differs", ["DELETE FROM publications"]),
    "feed lost": ("feed_missing", ["DELETE FROM allowlist_feed"]),
}


async def assert_refused_by(
    checks: list[str], service: Service, publisher: Publisher, nayatel: Caller, before: dict[str, Any]
) -> None:
    """Assert that four publications are refused, by each check in turn and then by the last; each is recorded once."""
    expected = [*checks, *[checks[-1]] * (4 - len(checks))]
    counted = {check: refused(check) for check in checks}
    assert [await publisher.publish() for _ in expected] == [None] * len(expected)

    assert await refusals(service) == checks
    assert {check: refused(check) - counted[check] for check in checks} == Counter(expected)
    async with service.database.transaction(read_only=True) as tx:
        assert (await tx.scalar(text("SELECT coalesce(max(serial), 0) FROM publications")) or 0) <= 1
        assert await tx.scalar(text("SELECT count(*) FROM allowlist_entries WHERE added_serial = 2")) == 0
        assert await tx.scalar(text("SELECT count(*) FROM allowlist_entries WHERE removed_serial = 2")) == 0
    assert (await nayatel.get("/v1/allowlist")).json() == before


@pytest.fixture
async def before(service: Service, pseb: Caller, officer: Caller, nayatel: Caller) -> dict[str, Any]:
    """The list at serial 1, with an addition pending for serial 2."""
    await cases.approved(pseb, officer, networks=["203.99.160.1"])
    await service.publish()
    listed: dict[str, Any] = (await nayatel.get("/v1/allowlist")).json()
    await cases.approved(pseb, officer, networks=["203.99.161.1"])
    return listed


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_refuses_the_publication_and_the_last_good_one_stays(
    service: Service, nayatel: Caller, database_url: str, before: dict[str, Any], fault: str
) -> None:
    checks, statements = FAULTS[fault]
    await postgres.execute(database_url, *statements)
    await assert_refused_by(checks, service, service.publisher, nayatel, before)


@pytest.mark.parametrize("fault", FAULTS_BEFORE_A_START)
async def test_a_publisher_that_starts_on_a_fault_publishes_nothing(
    service: Service, nayatel: Caller, database_url: str, before: dict[str, Any], fault: str
) -> None:
    check, statements = FAULTS_BEFORE_A_START[fault]
    await postgres.execute(database_url, *statements)
    await assert_refused_by([check], service, Publisher(service.database), nayatel, before)


async def test_the_list_never_becomes_empty(service: Service, pseb: Caller, officer: Caller, nayatel: Caller) -> None:
    last = await cases.approved(pseb, officer)
    await service.publish()
    await cases.decide(officer, last, "revoke", reason_codes=["misuse"], legal_basis="Order 1")
    assert [await service.publish() for _ in range(2)] == [None, None]
    assert await refusals(service) == ["empty"]
    assert (await nayatel.get("/v1/allowlist")).json()["networks"] == last["networks"]

    follower = await cases.approved(pseb, officer)
    publication = await service.publish()
    assert publication is not None
    assert (publication.serial, publication.added, publication.removed) == (2, 1, 1)
    assert (await nayatel.get("/v1/allowlist")).json()["networks"] == follower["networks"]


async def test_once_the_fault_is_repaired_all_pending_changes_are_published(
    service: Service, pseb: Caller, officer: Caller, database_url: str
) -> None:
    await cases.approved(pseb, officer)
    await postgres.execute(database_url, ENTRY.format("'10.0.0.0/24'"))
    assert await service.publish() is None
    await cases.approved(pseb, officer)
    await postgres.execute(database_url, "DELETE FROM allowlist_entries WHERE network = '10.0.0.0/24'")
    publication = await service.publish()
    assert publication is not None
    assert (publication.serial, publication.added) == (1, 2)
    await postgres.execute(database_url, ENTRY.format("'10.0.0.0/24'"))
    assert await service.publish() is None
    assert await refusals(service) == ["not_publishable"] * 2


async def test_a_publisher_whose_tables_are_missing_fails_and_creates_none(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller, database_url: str
) -> None:
    case = await cases.approved(pseb, officer)
    await service.publish()
    await postgres.execute(database_url, "ALTER TABLE publications RENAME TO lost")
    with pytest.raises(ProgrammingError):
        await service.publisher.publish()
    async with service.database.transaction(read_only=True) as tx:
        assert await tx.scalar(text("SELECT to_regclass('publications')")) is None
    assert (await nayatel.get("/v1/allowlist")).json()["networks"] == case["networks"]
