"""The board of enforcers: names and lag are shown to the regulator and to the operator itself, and to nobody else."""

import json
from datetime import timedelta
from typing import Any

import pytest

from app.enforcers import service as enforcers
from app.partners.rules import PartnerKind
from tests.enforcers.test_confirmations import A, B, C, confirm, item, newest
from tests.support import cases
from tests.support.events import wait_for_event
from tests.support.feed import FEED, published
from tests.support.service import Caller, Service

BOARD = f"{FEED}/enforcers"


async def lines(caller: Caller, query: str = "") -> list[dict[str, Any]]:
    answer = await caller.get(f"{BOARD}?{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


@pytest.fixture
async def ptcl(service: Service) -> Caller:
    """Another operator."""
    return await service.caller("ptcl", PartnerKind.OPERATOR, operator="ptcl")


async def test_the_regulator_sees_every_enforcer_and_an_operator_its_own(
    service: Service, nayatel: Caller, ptcl: Caller, officer: Caller
) -> None:
    await published(service, A)
    of = await newest(nayatel)
    await confirm(nayatel, item(of, "isb-1"), item(of, "isb-2"))
    await confirm(ptcl, item(of, "khi-1"))
    assert {each["enforcer"] for each in await lines(officer)} == {"isb-1", "isb-2", "khi-1"}
    assert {each["enforcer"] for each in await lines(nayatel)} == {"isb-1", "isb-2"}
    (line,) = await lines(ptcl)
    assert (line["operator"], line["grade"], line["state"], line["serial"], line["matches"]) == (
        ("ptcl", "applied", "in_step", 1, True)
    )


async def test_an_association_gets_one_line_an_operator_that_has_nothing_of_an_enforcer(
    service: Service, nayatel: Caller, ptcl: Caller, pseb: Caller
) -> None:
    await published(service, A)
    of = await newest(nayatel)
    await confirm(nayatel, item(of, "isb-1"), item({**of, "digest": "0" * 64}, "isb-2"))
    await confirm(ptcl, item(of, "khi-1"))
    assert await lines(pseb) == [
        {"operator": "nayatel", "grade": "applied", "state": "diverged"},
        {"operator": "ptcl", "grade": "applied", "state": "in_step"},
    ]
    assert await lines(pseb, "operator=ptcl") == await lines(pseb, "state=in_step") == (await lines(pseb))[1:]


async def test_what_an_association_and_another_operator_read_does_not_change_with_names_numbers_and_lag(
    service: Service, nayatel: Caller, ptcl: Caller, pseb: Caller
) -> None:
    async def read() -> list[str]:
        answers = []
        for caller in (pseb, ptcl):
            answers += [
                (await caller.get(BOARD)).text,
                json.dumps((await caller.get("/v1/events?type=enforcer.*")).json()),
            ]
        return answers

    await published(service, A)
    old = await newest(nayatel)
    await published(service, B)
    new = await newest(nayatel)
    await confirm(nayatel, item(old, "one"), item(new, "two"))
    await service.move_clock(timedelta(minutes=6))
    await enforcers.sweep(service.database)
    one_is_behind = await read()
    await confirm(nayatel, *(item(old, f"another-{number}") for number in range(50)))
    await service.move_clock(timedelta(minutes=40))
    await confirm(nayatel, *(item(old, f"another-{number}") for number in range(50)))
    assert await read() == one_is_behind


async def test_events_of_enforcers_are_read_by_the_regulator_and_the_operator_alone(
    service: Service, nayatel: Caller, ptcl: Caller, pseb: Caller, officer: Caller
) -> None:
    await published(service, A)
    await confirm(nayatel, item({**await newest(nayatel), "digest": "0" * 64}, "isb-1"))
    for caller in (nayatel, officer):
        event = (await wait_for_event(caller, "enforcer.diverged"))[-1]
        assert event["details"]["enforcer"] == "isb-1"
    for caller in (ptcl, pseb):
        assert (await caller.get("/v1/events?type=enforcer.*")).json()["items"] == []


async def test_pages_follow_each_other(
    service: Service, nayatel: Caller, ptcl: Caller, pseb: Caller, officer: Caller
) -> None:
    await published(service, A)
    of = await newest(nayatel)
    await confirm(nayatel, *(item(of, f"isb-{number}") for number in range(3)))
    await confirm(ptcl, item(of, "khi-1"))
    for caller, names in (
        (officer, ["isb-0", "isb-1", "isb-2", "khi-1"]),
        (pseb, ["nayatel", "ptcl"]),
    ):
        found, query = [], "limit=1"
        while query:
            page = (await caller.get(f"{BOARD}?{query}")).json()
            found += [each.get("enforcer", each["operator"]) for each in page["items"]]
            query = page["next_cursor"] and f"limit=1&cursor={page['next_cursor']}"
        assert sorted(found) == names
    assert cases.codes(await pseb.get(f"{BOARD}?cursor=abc")) == {"/query/cursor": "invalid_value"}


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("state=asleep", {"/query/state": "invalid_value"}),
        ("grade=guessed", {"/query/grade": "invalid_value"}),
        ("operator=nobody", {"/query/operator": "unknown_operator"}),
        ("colour=red", {"/query/colour": "invalid_value"}),
    ],
)
async def test_a_wrong_filter_is_refused(pseb: Caller, officer: Caller, query: str, errors: dict[str, str]) -> None:
    for caller in (pseb, officer):
        refused = await caller.get(f"{BOARD}?{query}")
        assert cases.codes(refused) == errors


async def flush(service: Service) -> None:
    await enforcers.record_fetched(service.database, service.app.state.reader)


async def test_a_client_that_reads_the_list_is_on_the_board_without_saying_anything(
    service: Service, nayatel: Caller, officer: Caller
) -> None:
    await published(service, A)
    assert (await nayatel.get(f"{FEED}?format=text")).status_code == 200
    assert await lines(nayatel) == []
    await flush(service)
    (line,) = await lines(nayatel)
    assert (line["grade"], line["enforcer"], line["serial"], line["matches"], line["applied_at"]) == (
        ("fetched", "nayatel", 1, True, None)
    )


async def test_a_poll_that_is_answered_304_keeps_a_client_from_silence(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    tag = (await nayatel.get(FEED)).headers["ETag"]
    await flush(service)
    await service.move_clock(timedelta(minutes=59))
    assert (await nayatel.get(FEED, headers={"If-None-Match": tag})).status_code == 304
    await flush(service)
    await service.move_clock(timedelta(minutes=61))
    assert await enforcers.sweep(service.database) == 0
    await service.move_clock(timedelta(minutes=119))
    assert await enforcers.sweep(service.database) == 1
    assert [each["state"] for each in await lines(nayatel)] == ["silent"]


async def test_a_client_that_fetched_nothing_since_a_publication_is_behind(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    await nayatel.get(FEED)
    await flush(service)
    await published(service, B)
    await published(service, C)
    await service.move_clock(timedelta(minutes=6))
    await enforcers.sweep(service.database)
    (line,) = await lines(nayatel)
    assert (line["state"], line["serial"], line["behind_serials"]) == ("behind", 1, 2)
    feed = (await nayatel.get(FEED)).json()
    await flush(service)
    await enforcers.sweep(service.database)
    assert [each["state"] for each in await lines(nayatel)] == ["in_step"]
    await published(service, addresses_after := "154.200.0.0/32")
    delta = await nayatel.get(f"{FEED}/delta?session={feed['session']}&since={feed['serial']}")
    assert delta.json()["added"] == [addresses_after]
    await flush(service)
    assert [each["serial"] for each in await lines(nayatel)] == [4]


async def test_only_operators_clients_are_on_the_board(service: Service, pseb: Caller, officer: Caller) -> None:
    await published(service, A)
    for caller in (pseb, officer):
        await caller.get(FEED)
    await flush(service)
    assert await lines(officer) == []


async def test_what_was_fetched_is_written_once_whatever_the_number_of_reads_and_nothing_when_there_is_none(
    service: Service, nayatel: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    async def write(_: Any, rows: list[Any]) -> None:
        written.append(len(rows))

    monkeypatch.setattr("app.enforcers.store.record_fetched", write)
    await published(service, A)
    for _ in range(5):
        await nayatel.get(FEED)
    for _ in range(3):
        await flush(service)
    assert written == [1]


async def test_what_could_not_be_written_is_kept_for_the_next_time(
    service: Service, nayatel: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise OSError("the database is away")

    await published(service, A)
    await nayatel.get(FEED)
    with monkeypatch.context() as patched:
        patched.setattr("app.enforcers.store.record_fetched", fail)
        with pytest.raises(OSError, match="away"):
            await flush(service)
    await flush(service)
    assert [each["enforcer"] for each in await lines(nayatel)] == ["nayatel"]


async def test_what_is_applied_goes_before_what_is_fetched(service: Service, nayatel: Caller, pseb: Caller) -> None:
    await published(service, A)
    await nayatel.get(FEED)
    await flush(service)
    assert await lines(pseb) == [{"operator": "nayatel", "grade": "fetched", "state": "in_step"}]
    await confirm(nayatel, item({**await newest(nayatel), "digest": "0" * 64}))
    assert await lines(pseb) == [{"operator": "nayatel", "grade": "applied", "state": "diverged"}]
