"""Publisher: serials without gaps, the chain of digests, and changes that are never published."""

import asyncio
import hashlib
from typing import Any

from app.allowlist.publisher import Publisher
from tests.support import cases
from tests.support.events import wait_for_event
from tests.support.service import Caller, Service

ENDED = {"reason_codes": ["misuse"], "legal_basis": "Order 1"}


async def current(officer: Caller, case: dict[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = (await officer.get(f"/v1/registrations/{case['id']}")).json()
    return read


async def decided(officer: Caller, case: dict[str, Any], action: str, **verdict: Any) -> None:
    answer = await cases.decide(officer, await current(officer, case), action, **verdict)
    assert answer.status_code == 201, answer.text


async def publications(caller: Caller) -> list[dict[str, Any]]:
    """All of them, the first one first."""
    items: list[dict[str, Any]] = (await caller.get("/v1/allowlist/publications")).json()["items"]
    return items[::-1]


async def test_with_nothing_pending_there_is_no_new_serial(service: Service, pseb: Caller, officer: Caller) -> None:
    assert await service.publish() is None
    await cases.submitted(pseb)
    assert await service.publish() is None
    await cases.approved(pseb, officer)
    assert await service.publish() is not None
    assert await service.publish() is None
    assert len(await publications(pseb)) == 1
    log = [event["name"] for event in await wait_for_event(officer, "allowlist.published")]
    assert log.count("allowlist.published") == 1


async def test_serials_have_no_gap_and_each_digest_is_chained_to_the_one_before(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    first, second = [await cases.approved(pseb, officer) for _ in range(2)]
    digests = []
    for step in range(4):
        if step == 1:
            await decided(officer, first, "suspend", **ENDED)
        if step == 2:
            await decided(officer, second, "revoke", **ENDED)
            await cases.approved(pseb, officer, networks=["2400:1460:1::/64", *second["networks"]][:1])
        if step == 3:
            await decided(officer, first, "reinstate")
        assert await service.publish() is not None
        listed = await pseb.get("/v1/allowlist?format=text")
        digests.append(hashlib.sha256(listed.content).hexdigest())
    made = await publications(pseb)
    assert [each["serial"] for each in made] == [1, 2, 3, 4]
    assert [(each["added"], each["removed"], each["count"]) for each in made] == [
        (2, 0, 2),
        (0, 1, 1),
        (1, 1, 1),
        (1, 0, 2),
    ]
    assert [each["digest"] for each in made] == digests
    assert [each["previous_digest"] for each in made] == [None, *digests[:-1]]
    assert (await pseb.get("/v1/allowlist/publications/3")).json() == made[2]


async def test_what_was_granted_and_withdrawn_between_two_publications_never_appears(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    keeper = await cases.approved(pseb, officer)
    fleeting = await cases.approved(pseb, officer)
    await decided(officer, fleeting, "revoke", **ENDED)
    publication = await service.publish()
    assert publication is not None
    assert (publication.added, publication.removed) == (1, 0)
    assert (await nayatel.get("/v1/allowlist")).json()["networks"] == keeper["networks"]
    assert await service.publish() is None


async def test_what_was_suspended_and_reinstated_between_two_publications_was_never_gone(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    case = await cases.approved(pseb, officer)
    await service.publish()
    await decided(officer, case, "suspend", **ENDED)
    await decided(officer, case, "reinstate")
    assert await service.publish() is None
    check = f"/v1/allowlist/check?address={case['networks'][0].removesuffix('/32')}"
    assert (await nayatel.get(check)).json()["since_serial"] == 1


async def test_what_is_reinstated_after_it_was_gone_is_in_force_since_then(
    service: Service, pseb: Caller, officer: Caller, nayatel: Caller
) -> None:
    case = await cases.approved(pseb, officer)
    await cases.approved(pseb, officer)
    await service.publish()
    check = f"/v1/allowlist/check?address={case['networks'][0].removesuffix('/32')}"
    await decided(officer, case, "suspend", **ENDED)
    await service.publish()
    gone = (await nayatel.get(check)).json()
    assert (gone["allowed"], gone["since_serial"], gone["serial"]) == (False, None, 2)
    await decided(officer, case, "reinstate")
    await service.publish()
    back = (await nayatel.get(check)).json()
    assert (back["allowed"], back["since_serial"]) == (True, 3)
    assert back["since"] == (await publications(pseb))[2]["published_at"]


async def test_two_publishers_at_once_make_each_serial_once(service: Service, pseb: Caller, officer: Caller) -> None:
    other = Publisher(service.app.state.database)
    for serial in range(1, 5):
        await cases.approved(pseb, officer)
        made = await asyncio.gather(service.publisher.publish(), other.publish())
        assert [each.serial for each in made if each] == [serial]
    chain = await publications(pseb)
    assert [each["serial"] for each in chain] == [1, 2, 3, 4]
    assert [each["previous_digest"] for each in chain[1:]] == [each["digest"] for each in chain[:-1]]
