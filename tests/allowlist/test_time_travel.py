"""The list at an earlier time or serial, verified by the digest published then."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.allowlist import publication_store
from tests.support import cases, feed
from tests.support.cases import codes
from tests.support.feed import FEED, addresses, digest_of, published
from tests.support.service import Caller, Service
from tests.support.statements import record_statements

A, B = addresses(2)
WHY = {"reason_codes": ["misuse"], "legal_basis": "Order 12/2026"}


async def check(caller: Caller, address: str, **moment: Any) -> Any:
    return await caller.get(f"{FEED}/check", params={"address": address.removesuffix("/32"), **moment})


async def test_a_check_at_both_a_time_and_a_serial_is_refused(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    answer = await check(nayatel, A, at="2026-01-01T00:00:00Z", serial=1)
    assert answer.status_code == 422
    assert set(codes(answer).values()) == {"invalid_value"}


@pytest.mark.parametrize(
    "moment", [{"at": "yesterday"}, {"at": "2026-01-01T00:00:00"}, {"serial": 0}, {"serial": 2**31}]
)
async def test_an_invalid_time_or_serial_is_refused(service: Service, nayatel: Caller, moment: dict[str, Any]) -> None:
    answer = await check(nayatel, A, **moment)
    assert answer.status_code == 422
    assert list(codes(answer)) == [f"/query/{next(iter(moment))}"]


async def test_times_before_the_first_publication_and_serials_after_the_last_are_not_found(
    service: Service, nayatel: Caller
) -> None:
    assert (await check(nayatel, A, at="2099-01-01T00:00:00Z")).status_code == 404
    await published(service, A)
    first = (await nayatel.get(f"{FEED}/publications/1")).json()
    assert (await check(nayatel, A, at="2020-01-01T00:00:00Z")).json()["code"] == "not_found"
    for path in ("snapshots/2", "publications/2", "check?address=1.1.1.1&serial=2"):
        assert (await nayatel.get(f"{FEED}/{path}")).json()["code"] == "not_found"
    at_first = (await check(nayatel, A, at=first["published_at"])).json()
    assert (at_first["serial"], at_first["allowed"], at_first["since"]) == (1, True, first["published_at"])


async def test_an_address_can_be_checked_at_any_serial_and_any_time(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    await published(service, "2400:1460:1::/48")
    await feed.withdrawn(service, [A])
    await service.publish()
    times = [(await nayatel.get(f"{FEED}/publications/{n}")).json()["published_at"] for n in (1, 2, 3)]
    for serial, allowed in ((1, True), (2, True), (3, False)):
        by_serial = (await check(nayatel, A, serial=serial)).json()
        assert (by_serial["serial"], by_serial["allowed"]) == (serial, allowed)
        assert by_serial == (await check(nayatel, A, at=times[serial - 1])).json()
        assert by_serial["since_serial"] == (1 if allowed else None)
    inside = (await check(nayatel, "2400:1460:1:2::3", serial=2)).json()
    assert (inside["network"], inside["since_serial"], inside["since"]) == ("2400:1460:1::/48", 2, times[1])
    assert not (await check(nayatel, "2400:1460:1:2::3", serial=1)).json()["allowed"]


async def test_a_clock_that_went_back_does_not_hide_the_newest_serial(service: Service, nayatel: Caller) -> None:
    for network in (A, B):
        await published(service, network)
    await feed.execute(
        service, "UPDATE publications SET published_at = published_at - interval '1 hour' WHERE serial = 2"
    )
    first = (await nayatel.get(f"{FEED}/publications/1")).json()
    assert (await check(nayatel, B, at=first["published_at"])).json()["serial"] == 2


async def test_what_stood_at_a_time_is_found_by_an_index_however_long_ago(service: Service, nayatel: Caller) -> None:
    await published(service, *addresses(10, start=1))
    await feed.long_history(service, 2, 3_000, width=10)
    await feed.execute(
        service, "UPDATE publications SET published_at = now() - interval '3000 days' + serial * interval '1 day'"
    )
    await feed.execute(service, "ANALYZE publications")
    async with service.database.transaction(read_only=True) as tx:
        async with record_statements(service.database) as sent:
            then = await publication_store.publication_at(tx, datetime.now(UTC) - timedelta(days=2_000, hours=12))
        plan = await tx.execute(
            text(f"EXPLAIN {sent[-1].replace('$1', 'now()').replace('$2', '100')}")  # our own statement
        )
        assert then.serial == 999
        assert "publications_published_at_idx" in "".join(plan.scalars())


async def test_every_serial_ever_published_is_shown_with_the_digest_that_it_was_published_with(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    dice = random.Random(20_261_121)
    made = [await cases.approved(pseb, officer) for _ in range(3)]
    then: dict[int, list[str]] = {}
    for _ in range(8):
        for _ in range(dice.randint(1, 3)):
            case = (await officer.get(f"/v1/registrations/{dice.choice(made[1:])['id']}")).json()
            action = dice.choice(
                {"approved": ["suspend", "revoke"], "suspended": ["reinstate", "revoke"]}.get(case["status"], [""])
            )
            if action:
                answer = await cases.decide(officer, case, action, **({} if action == "reinstate" else WHY))
                assert answer.status_code == 201, answer.text
            else:
                made.append(await cases.approved(pseb, officer))
        await service.publish()
        listed = await feed.listed(nayatel)
        then[listed["serial"]] = listed["networks"]
    assert len(then) >= 5
    assert any(len(set(then[a]) - set(then[b])) for a, b in zip(then, list(then)[1:], strict=False))
    recorded = {each["serial"]: each for each in (await nayatel.get(f"{FEED}/publications")).json()["items"]}
    assert list(recorded) == list(range(max(then), 0, -1))
    restarted = Service(service.settings)
    await restarted.app.state.reader.refresh()
    again = Caller(restarted, nayatel.credentials, nayatel.token)
    for serial, networks in then.items():
        text = (await again.get(f"{FEED}/snapshots/{serial}?format=text")).text
        assert text.splitlines() == networks
        assert digest_of(text.splitlines()) == recorded[serial]["digest"]
        assert recorded[serial]["previous_digest"] == (recorded[serial - 1]["digest"] if serial > 1 else None)
    await restarted.close()
