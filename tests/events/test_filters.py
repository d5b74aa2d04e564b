"""Filters of the event log, its end as a place to begin, and the newest events first."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from app.events import store
from app.events.store import NewEvent
from tests.support import cases
from tests.support.events import wait_for_event
from tests.support.service import Caller, Service

PATH = "/v1/events"
ISSUED = ["client.created", "applicant.created", "registration.approved", "registration.rejected", "client.created"]


async def record(service: Service, caller: Caller, *names: str, **business: Any) -> None:
    """Record events of a caller's partner, and wait until it can read them."""
    partner_id = caller.credentials.partner_id
    async with service.database.transaction() as tx:
        await store.record(tx, None, [NewEvent(name, partner_id=partner_id, **business) for name in names])
    await wait_for_event(caller, names[-1])


async def read(caller: Caller, **query: Any) -> dict[str, Any]:
    """Read a page."""
    answer = await caller.get(PATH, params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def types(page: dict[str, Any]) -> list[str]:
    """Return the types of a page's events."""
    return [each["type"] for each in page["items"]]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("type=case.*", "/query/type"),
        ("type=registration", "/query/type"),
        ("type=*&type=registration.aproved", "/query/type"),
        ("name=registration.aproved", "/query/name"),
        ("subject_id=x", "/query/subject_id"),
        (f"subject_id={UUID(int=1)}&subject_id={UUID(int=2)}", "/query/subject_id"),
        ("from=yesterday", "/query/from"),
        ("from=now&from=now", "/query/from"),
        (f"from=now&after={UUID(int=3)}", "/query/from"),
        ("from=now&order=newest", "/query/from"),
        ("order=latest", "/query/order"),
        (f"order=newest&after={UUID(int=4)}", "/query/after"),
    ],
)
async def test_a_filter_that_means_nothing_is_refused(pseb: Caller, query: str, pointer: str) -> None:
    answer: httpx.Response = await pseb.get(f"{PATH}?{query}")
    assert (answer.status_code, cases.codes(answer)) == (422, {pointer: "invalid_value"})


async def test_events_of_a_type_of_a_subject_or_of_several_types_are_read(
    service: Service, pseb: Caller, officer: Caller
) -> None:
    await record(service, pseb, *ISSUED, "bulk_upload.completed")
    for caller in (pseb, officer):
        assert types(await read(caller, type="registration.approved")) == ["registration.approved"]
        assert types(await read(caller, name="registration.approved")) == ["registration.approved"]
        both = await read(caller, type=["registration.*", "applicant.*"])
        assert types(both) == ["applicant.created", "registration.approved", "registration.rejected"]
        assert types(await read(caller, type="registration.rejected", name="registration.approved")) == types(both)[1:]
        assert await read(caller, type=["*", "registration.approved"]) == await read(caller)
        first = await caller.get(PATH, params={"type": "registration.*", "limit": 1})
        rest = (await caller.get(first.links["next"]["url"])).json()
        assert [*types(first.json()), *types(rest)] == ["registration.approved", "registration.rejected"]


async def test_events_about_one_subject_are_read_by_those_who_may_see_them(
    service: Service, pseb: Caller, pasha: Caller, officer: Caller
) -> None:
    subject = uuid4()
    await record(service, pseb, "registration.approved", "registration.revoked", subject_id=subject)
    await record(service, pseb, "registration.expired")
    for caller in (pseb, officer):
        assert types(await read(caller, subject_id=subject)) == ["registration.approved", "registration.revoked"]
        assert types(await read(caller, subject_id=subject, type="registration.revoked")) == ["registration.revoked"]
    assert types(await read(pasha, subject_id=subject)) == []


async def test_a_reader_can_begin_at_the_end_of_the_log(service: Service, pseb: Caller, pasha: Caller) -> None:
    await record(service, pseb, *ISSUED)
    answer = await pseb.get(PATH, params={"from": "now", "type": "registration.*"})
    page = answer.json()
    assert page["items"] == []
    assert page["next_cursor"]
    await record(service, pseb, "applicant.changed", "registration.expired")
    await record(service, pasha, "registration.approved")
    assert types((await pseb.get(answer.links["next"]["url"])).json()) == ["registration.expired"]
    assert types(await read(pseb, after=page["next_cursor"])) == ["applicant.changed", "registration.expired"]


async def test_a_reader_of_rare_types_moves_on_over_the_others(service: Service, pseb: Caller) -> None:
    await record(service, pseb, *ISSUED)
    start = (await read(pseb, limit=1))["next_cursor"]
    page = await read(pseb, type="registration.expired", after=start)
    assert (page["items"], page["next_cursor"]) == ([], (await read(pseb))["items"][-1]["id"])
    await record(service, pseb, "registration.expired")
    assert types(await read(pseb, type="registration.expired", after=page["next_cursor"])) == ["registration.expired"]


async def test_the_newest_events_are_read_first_back_to_the_first(
    service: Service, pseb: Caller, pasha: Caller, nayatel: Caller, officer: Caller
) -> None:
    await record(service, pseb, *ISSUED, operator="nayatel")
    await record(service, pasha, *ISSUED)
    await record(service, pseb, "bulk_upload.completed")
    for caller in (pseb, nayatel, officer):
        for wanted in ({}, {"type": ["registration.*", "client.created"]}):
            oldest_first = (await read(caller, limit=500, **wanted))["items"]
            found: list[dict[str, Any]] = []
            url: str | None = str(httpx.URL(PATH, params={"order": "newest", "limit": 2, **wanted}))
            while url:
                answer = await caller.get(url)
                found += answer.json()["items"]
                url = answer.links["next"]["url"] if answer.links else None
            assert answer.json()["next_cursor"] is None
            assert found == oldest_first[::-1]
