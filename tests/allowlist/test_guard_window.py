"""Mass changes counted over a window in the database, however they are split and whoever decides them."""

from typing import Any

import pytest

from app.allowlist.models import Publication
from app.allowlist.publisher import Publisher
from app.registrations import service as registrations
from tests.support import feed, uploads
from tests.support.feed import FEED, addresses, execute, granted, published, withdrawn
from tests.support.service import Caller, Service

WHY = {"reason_codes": ["misuse"], "legal_basis": "Order 12/2026"}
MANY = addresses(2_000)  # 20 may leave in an hour
EARLIER = "UPDATE publications SET published_at = published_at - $1::text::interval"


@pytest.fixture
async def listed(service: Service) -> list[str]:
    """A list of 2,000 networks, published before the window."""
    await published(service, *MANY)
    await execute(service, EARLIER, "2 hours")
    return list(MANY)


async def publish(service: Service) -> Publication | None:
    """Publish by a publisher that has just started, and so has nothing in memory."""
    return await Publisher(service.database).publish()


async def held(service: Service) -> list[tuple[str, int, int, int]]:
    """Kind, count, count in the window and bound of the held changes, oldest first."""
    details = await feed.events(service, "allowlist.held")
    return [(each["kind"], each["count"], each["in_window"], each["bound"]) for each in details]


async def release_all(service: Service) -> None:
    await execute(service, "UPDATE held_changes SET released_at = now() WHERE released_at IS NULL")


async def approved(service: Service, caller: Caller, officer: Caller, count: int) -> list[dict[str, Any]]:
    """Cases of one upload, approved in one batch and published."""
    done = await uploads.ingest(caller, uploads.csv_of([uploads.row(f"W-{n}") for n in range(count)]))
    body = {"selection": {"bulk_upload_id": done["id"], "status": "submitted"}, "action": "approve"}
    assert (await officer.post("/v1/review-decisions/batch", json=body)).json()["counts"]["decided"] == count
    await service.publish()
    found = (await caller.get(f"/v1/registrations?limit=500&bulk_upload_id={done['id']}")).json()["items"]
    assert len(found) == count
    return list(found)


async def revoke(officer: Caller, cases_: list[dict[str, Any]]) -> None:
    body = {"selection": {"registration_ids": [each["id"] for each in cases_]}, "action": "revoke", **WHY}
    assert (await officer.post("/v1/review-decisions/batch", json=body)).json()["counts"]["decided"] == len(cases_)


async def test_ten_batches_of_several_officers_remove_no_more_than_one_may(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    officers = [officer, await service.officer("pta-officer-2"), await service.officer("pta-officer-3")]
    found = await approved(service, pseb, officer, 60)
    for at in range(10):
        await revoke(officers[at % 3], found[4 * at : 4 * at + 4])
        await publish(service)
    assert await held(service) == [("removal", 4, 12, 10)] * 8
    await service.app.state.reader.refresh()
    assert (await feed.listed(officer))["count"] == 60 - 8


async def test_single_decisions_count_and_are_never_held(service: Service, listed: list[str]) -> None:
    await withdrawn(service, listed[:30])
    publication = await publish(service)
    assert publication
    assert publication.removed == 30
    await withdrawn(service, listed[30:31], in_mass=True)
    assert await publish(service) is None
    assert await held(service) == [("removal", 1, 31, 20)]
    await withdrawn(service, listed[31:35])
    publication = await publish(service)
    assert publication
    assert publication.removed == 4


async def test_what_was_removed_before_the_window_does_not_count(service: Service, listed: list[str]) -> None:
    for start in (0, 20, 40):
        await withdrawn(service, listed[start : start + 19], in_mass=True)
        publication = await publish(service)
        assert publication
        assert publication.removed == 19
        await execute(service, EARLIER, "61 minutes")
    assert await held(service) == []


async def test_released_changes_do_not_count_again(service: Service, listed: list[str]) -> None:
    await withdrawn(service, listed[:100], in_mass=True)
    assert await publish(service) is None
    assert await held(service) == [("removal", 100, 100, 20)]
    await withdrawn(service, listed[100:110], in_mass=True)
    publication = await publish(service)  # what is held has left nothing yet
    assert publication
    assert publication.removed == 10
    await release_all(service)
    publication = await publish(service)
    assert publication
    assert (publication.removed, publication.exempt_removed) == (100, 100)
    await withdrawn(service, listed[110:120], in_mass=True)
    publication = await publish(service)
    assert publication
    assert publication.removed == 10
    await withdrawn(service, listed[120:121], in_mass=True)
    assert await publish(service) is None
    assert (await held(service))[1:] == [("removal", 1, 21, 20)]


async def test_a_list_grows_by_no_more_than_half_however_many_batches_that_takes(
    service: Service, listed: list[str]
) -> None:
    fresh = addresses(2_000, start=10_000)
    grown = 0
    for at in range(10):
        await granted(service, fresh[150 * at : 150 * at + 150], in_mass=True)
        publication = await publish(service)
        grown += publication.added if publication else 0
    assert grown == 900
    assert await held(service) == [("growth", 150, 1_050, 1_000)] * 4
    await release_all(service)
    publication = await publish(service)
    assert publication
    assert (publication.added, publication.exempt_added) == (600, 600)
    await granted(service, fresh[1_500:1_600], in_mass=True)
    publication = await publish(service)
    assert publication
    assert publication.added == 100
    await granted(service, fresh[1_600:1_601], in_mass=True)
    assert await publish(service) is None


async def test_additions_that_are_taken_off_again_still_count_as_growth(service: Service, listed: list[str]) -> None:
    fresh = addresses(2_000, start=10_000)
    await granted(service, fresh[:1_000], in_mass=True)
    assert await publish(service)
    await withdrawn(service, fresh[:1_000], in_mass=True)
    assert await publish(service) is None  # held: they are on the list still
    await granted(service, fresh[1_000:1_001], in_mass=True)
    assert await publish(service) is None
    assert await held(service) == [("removal", 1_000, 1_000, 20), ("growth", 1, 1_001, 1_000)]


async def test_removals_by_expiry_count_together(service: Service, pseb: Caller, officer: Caller) -> None:
    found = await approved(service, pseb, officer, 30)
    removed = 0
    for at in range(5):
        ids = ", ".join(f"'{each['id']}'" for each in found[4 * at : 4 * at + 4])
        await execute(service, f"UPDATE registrations SET expires_at = now() WHERE id IN ({ids})")
        async with service.database.transaction() as tx:
            assert await registrations.expire(tx) == 4
        publication = await publish(service)
        removed += publication.removed if publication else 0
    assert removed == 8
    assert await held(service) == [("removal", 4, 12, 10)] * 3


async def test_a_publication_that_is_refused_holds_nothing(service: Service, listed: list[str]) -> None:
    await execute(service, "UPDATE publications SET digest = reverse(digest)")
    await withdrawn(service, listed[:50], in_mass=True)
    assert await publish(service) is None
    assert await held(service) == []
    await execute(service, "UPDATE publications SET digest = reverse(digest)")
    assert await publish(service) is None
    assert await held(service) == [("removal", 50, 50, 20)]


async def test_networks_that_are_granted_again_in_parts_by_the_same_serial_are_not_removed(
    service: Service, nayatel: Caller
) -> None:
    await published(service, *(f"39.32.{n}.0/24" for n in range(100)), "8.8.8.0/24")
    await withdrawn(service, [f"39.32.{n}.0/24" for n in range(60)], in_mass=True)
    await granted(service, [f"39.32.{n}.{low}/25" for n in range(60) for low in (0, 128)], in_mass=True)
    publication = await service.publish()
    assert publication
    assert (publication.added, publication.removed, publication.exempt_removed) == (120, 60, 60)
    assert (await nayatel.get(f"{FEED}/check?address=39.32.59.200")).json()["allowed"]
    assert await held(service) == []


async def test_a_long_history_before_the_window_counts_for_nothing(service: Service, listed: list[str]) -> None:
    await execute(
        service,
        "INSERT INTO publications (serial, published_at, count, added, removed, digest, previous_digest) "
        "SELECT n, now() - interval '1 day' + n * interval '1 ms', 2000, 0, 500, max(digest), max(digest) "
        "FROM publications, generate_series(2, 5000) n GROUP BY n",
    )
    await withdrawn(service, listed[:20], in_mass=True)
    publication = await publish(service)
    assert publication
    assert (publication.serial, publication.removed) == (5_001, 20)
