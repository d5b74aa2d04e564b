"""Mass changes are held until another officer releases them; other changes are published."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.partners.rules import PartnerKind
from app.registrations import expiry
from tests.support import cases, feed, uploads
from tests.support.feed import FEED, addresses, events, granted, metric, published
from tests.support.service import Caller, Service

WHY = {"reason_codes": ["misuse"], "legal_basis": "Order 12/2026"}


@pytest.fixture
async def second(service: Service, officer: Caller) -> Caller:
    """Another officer."""
    return await service.officer("pta-officer-2")


async def batch(officer: Caller, ids: Sequence[str], action: str, **verdict: Any) -> None:
    body = {"selection": {"registration_ids": list(ids)}, "action": action, **verdict}
    answer = await officer.post("/v1/review-decisions/batch", json=body)
    assert answer.json()["counts"]["decided"] == len(ids), answer.text


async def approved_ids(service: Service, pseb: Caller, officer: Caller, count: int) -> list[str]:
    """Registrations of one upload, approved in one batch and published."""
    rows = [uploads.row(f"R-{n}") for n in range(count)]
    done = await uploads.ingest(pseb, uploads.csv_of(rows))
    assert done["counts"]["created"] == count
    body = {"selection": {"bulk_upload_id": done["id"], "status": "submitted"}, "action": "approve"}
    answer = await officer.post("/v1/review-decisions/batch", json=body)
    assert answer.json()["counts"]["decided"] == count, answer.text
    publication = await service.publish()
    assert publication
    return [item["id"] for item in (await officer.get("/v1/registrations?limit=100")).json()["items"]]


async def held(officer: Caller, query: str = "") -> list[dict[str, Any]]:
    answer = await officer.get(f"{FEED}/held{query}")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def release(officer: Caller, change: dict[str, Any]) -> httpx.Response:
    return await officer.post(f"{FEED}/held/{change['id']}/release")


async def test_only_an_officer_sees_and_releases_what_is_held(service: Service, nayatel: Caller, pseb: Caller) -> None:
    for caller in (nayatel, pseb):
        assert (await caller.get(f"{FEED}/held")).status_code == 403
        answer = await caller.post(f"{FEED}/held/019b2f6e-0000-7000-8000-000000000001/release")
        assert answer.status_code == 403


async def test_what_is_not_held_cannot_be_released(service: Service, officer: Caller) -> None:
    answer = await officer.post(f"{FEED}/held/019b2f6e-0000-7000-8000-000000000001/release")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_mass_removal_waits_for_another_officer_while_all_else_is_published(
    service: Service, pseb: Caller, officer: Caller, second: Caller, nayatel: Caller
) -> None:
    ids = await approved_ids(service, pseb, officer, 30)
    before = await feed.listed(nayatel)
    counted = metric("allowlist_changes_held_total", kind="removal")
    await batch(officer, ids[:11], "revoke", **WHY)
    single = (await officer.get(f"/v1/registrations/{ids[20]}")).json()
    assert (await cases.decide(officer, single, "revoke", **WHY)).status_code == 201
    added = await cases.approved(pseb, officer)
    await service.publish()
    now = await feed.listed(nayatel)
    assert set(before["networks"]) - set(now["networks"]) == set(single["networks"])
    assert set(now["networks"]) - set(before["networks"]) == set(added["networks"])

    (change,) = await held(officer)
    assert (change["kind"], change["count"], change["in_force"]) == ("removal", 11, 30)
    assert change["released_at"] is change["released_by"] is None
    assert metric("allowlist_changes_held_total", kind="removal") == counted + 1
    (said,) = await events(service, "allowlist.held")
    counts = {"count": 11, "in_force": 30, "in_window": 12, "bound": 10}
    assert said == {"held_id": change["id"], "kind": "removal", **counts}
    assert {name: change[name] for name in counts} == counts
    assert await service.publish() is None
    assert len(await held(officer)) == 1

    own = await release(officer, change)
    assert (own.status_code, own.json()["code"]) == (403, "self_review")
    assert await service.publish() is None
    let_go = await release(second, change)
    assert let_go.status_code == 200, let_go.text
    assert let_go.json()["released_by"] == str(second.credentials.id)
    publication = await service.publish()
    assert publication
    assert (publication.added, publication.removed) == (0, 11)
    assert await held(officer, "?released=false") == []
    assert [each["id"] for each in await held(officer, "?released=true")] == [change["id"]]
    assert await events(service, "allowlist.released") == [{"held_id": change["id"], "kind": "removal", "count": 11}]
    delta = (await nayatel.get(f"{FEED}/deltas/{publication.serial}")).json()
    assert {each["reason"] for each in delta["removed"]} == {"revoked"}


async def test_another_client_of_the_same_person_or_without_one_releases_nothing(
    service: Service, pseb: Caller, officer: Caller, second: Caller
) -> None:
    twin = await service.officer("at-home", person="pta-officer-1")
    unnamed = await service.caller("pta", PartnerKind.REGULATOR, client="unnamed")
    ids = await approved_ids(service, pseb, officer, 20)
    await batch(officer, ids[:11], "revoke", **WHY)
    await service.publish()
    (change,) = await held(officer)
    for caller, said in ((twin, "your own"), (unnamed, "client person")):
        answer = await release(caller, change)
        assert (answer.status_code, answer.json()["code"]) == (403, "self_review")
        assert said in answer.json()["detail"]
    assert await service.publish() is None
    assert (await release(second, change)).status_code == 200


async def test_releasing_twice_changes_nothing_more(
    service: Service, pseb: Caller, officer: Caller, second: Caller
) -> None:
    ids = await approved_ids(service, pseb, officer, 20)
    await batch(officer, ids[:11], "revoke", **WHY)
    await service.publish()
    (change,) = await held(officer)
    first = (await release(second, change)).json()
    third = await service.officer("pta-officer-3")
    assert (await release(third, change)).json() == first
    assert len(await events(service, "allowlist.released")) == 1


async def test_ten_removals_at_once_are_not_a_mass_change(service: Service, pseb: Caller, officer: Caller) -> None:
    ids = await approved_ids(service, pseb, officer, 20)
    await batch(officer, ids[:10], "revoke", **WHY)
    publication = await service.publish()
    assert publication
    assert publication.removed == 10
    assert await held(officer) == []


async def test_eleven_single_decisions_are_not_a_mass_change(service: Service, pseb: Caller, officer: Caller) -> None:
    ids = await approved_ids(service, pseb, officer, 12)
    for id_ in ids[:11]:
        case = (await officer.get(f"/v1/registrations/{id_}")).json()
        assert (await cases.decide(officer, case, "revoke", **WHY)).status_code == 201
    publication = await service.publish()
    assert publication
    assert publication.removed == 11


async def test_a_held_removal_that_is_taken_back_is_not_pending_any_more(
    service: Service, pseb: Caller, officer: Caller, second: Caller, nayatel: Caller
) -> None:
    ids = await approved_ids(service, pseb, officer, 20)
    before = await feed.listed(nayatel)
    await batch(officer, ids[:12], "suspend", **WHY)
    assert await service.publish() is None
    (change,) = await held(officer)
    back = (await officer.get(f"/v1/registrations/{ids[0]}")).json()
    assert (await cases.decide(officer, back, "reinstate")).status_code == 201
    assert (await release(second, change)).status_code == 200
    publication = await service.publish()
    assert publication
    assert publication.removed == 11
    gone = set(before["networks"]) - set((await feed.listed(nayatel))["networks"])
    assert len(gone) == 11
    assert not gone & set(back["networks"])
    # and a later decision about it is not let through by the old release
    await batch(officer, [ids[0], *ids[12:19]], "revoke", **WHY)
    assert await service.publish()


async def test_expiry_counts_as_a_mass_change_and_any_officer_may_release_it(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    await approved_ids(service, pseb, officer, 12)
    keeper = await cases.approved(pseb, officer)
    await service.publish()
    expire = "UPDATE registrations SET expires_at = now(), ends_at = now() WHERE id <> $1"
    await feed.execute(service, expire, UUID(keeper["id"]))
    async with service.database.transaction() as tx:
        assert await expiry.move_due(tx) == 12
    assert await service.publish() is None
    assert (await feed.listed(nayatel))["count"] == 13
    (change,) = await held(officer)
    assert (await release(officer, change)).status_code == 200
    assert await service.publish()
    delta = (await nayatel.get(f"{FEED}/deltas/{(await feed.listed(nayatel))['serial']}")).json()
    assert {each["reason"] for each in delta["removed"]} == {"expired"}
    assert (await feed.listed(nayatel))["networks"] == keeper["networks"]


async def test_mass_growth_by_more_than_half_is_held_from_a_thousand_networks_on(
    service: Service, pseb: Caller, officer: Caller, second: Caller, nayatel: Caller
) -> None:
    await published(service, *(f"39.32.{n // 250}.{n % 250}/32" for n in range(1_000)))
    counted = metric("allowlist_changes_held_total", kind="growth")
    done = await uploads.ingest(pseb, uploads.csv_of([uploads.row(f"G-{n}") for n in range(510)]))
    body = {"selection": {"bulk_upload_id": done["id"], "status": "submitted"}, "action": "approve"}
    assert (await officer.post("/v1/review-decisions/batch", json=body)).json()["counts"]["decided"] == 510
    single = await cases.approved(pseb, second)
    publication = await service.publish()
    assert publication
    assert (publication.added, publication.count) == (1, 1_001)
    assert single["networks"][0] in (await feed.listed(nayatel))["networks"]
    (change,) = await held(officer)
    assert (change["kind"], change["count"], change["in_force"]) == ("growth", 510, 1_000)
    assert metric("allowlist_changes_held_total", kind="growth") == counted + 1
    assert (await events(service, "allowlist.held"))[0]["kind"] == "growth"
    assert (await release(officer, change)).json()["code"] == "self_review"
    assert (await release(second, change)).status_code == 200
    grown = await service.publish()
    assert grown
    assert (grown.added, grown.count) == (510, 1_511)


async def test_below_a_thousand_networks_and_up_to_half_a_list_grows_freely(service: Service) -> None:
    start = addresses(999)
    await published(service, *start)
    await granted(service, addresses(700, start=1_000), in_mass=True)
    publication = await service.publish()
    assert publication
    assert publication.count == 1_699
    await granted(service, addresses(849, start=2_000), in_mass=True)
    publication = await service.publish()
    assert publication
    assert publication.count == 2_548


async def test_a_held_grant_that_is_revoked_is_never_published(
    service: Service, officer: Caller, second: Caller, nayatel: Caller, pseb: Caller
) -> None:
    await published(service, *addresses(1_000, start=10_000))
    done = await uploads.ingest(pseb, uploads.csv_of([uploads.row(f"G-{n}") for n in range(505)]))
    body = {"selection": {"bulk_upload_id": done["id"], "status": "submitted"}, "action": "approve"}
    assert (await officer.post("/v1/review-decisions/batch", json=body)).json()["counts"]["decided"] == 505
    assert await service.publish() is None
    (change,) = await held(officer)
    case = (await officer.get("/v1/registrations?limit=1")).json()["items"][0]
    assert (await cases.decide(officer, case, "revoke", **WHY)).status_code == 201
    assert (await release(second, change)).status_code == 200
    publication = await service.publish()
    assert publication
    assert publication.added == 504
    assert case["networks"][0] not in (await feed.listed(nayatel))["networks"]
    assert datetime.fromisoformat((await held(officer))[0]["released_at"]) <= datetime.now(UTC)
