"""Names that do not resolve hold up only their owner."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from app.core.outbound import name_resolution
from app.core.outbound.name_resolution import NameResolver, NameUnanswered

SLOW = ".slow.example"


class Resolver:
    """A resolver that answers some names only once ``released``, and counts queries."""

    def __init__(self) -> None:
        self.asked = Counter[str]()
        self.at_once = 0
        self.most_at_once = 0
        self.released = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        with self._lock:
            self.asked[host] += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        if host.endswith(SLOW):
            self.released.wait(60)
        with self._lock:
            self.at_once -= 1
        if host.startswith("absent"):
            raise socket.gaierror(socket.EAI_NONAME, "absent")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.99.160.5", port))]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    """A stand-in for the system's resolver, which cannot be made to hang."""
    stand_in = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", stand_in)
    monkeypatch.setattr(name_resolution, "LOOKUP_SECONDS", 0.3)
    yield stand_in
    stand_in.released.set()


async def test_names_that_do_not_resolve_hold_up_only_their_owner(resolver: Resolver) -> None:
    names = NameResolver()
    slow = [
        asyncio.create_task(names.addresses(f"{number}{SLOW}", 443, owner="slow"))
        for number in range(name_resolution.MAX_LOOKUPS)
    ]
    await asyncio.sleep(0)
    assert await asyncio.to_thread(lambda: "done") == "done"  # where the publisher works
    assert await names.addresses("quick.example", 443, owner="other") == ["203.99.160.5"]
    with pytest.raises(NameUnanswered):
        await names.addresses("quick.example", 443, owner="slow")
    given_up = await asyncio.gather(*slow, return_exceptions=True)
    assert {type(each) for each in given_up} == {NameUnanswered}


async def test_an_owner_has_so_many_look_ups_at_a_time_and_no_more_however_many_names_it_gives(
    resolver: Resolver,
) -> None:
    names = NameResolver()
    hosts = [f"{number}{SLOW}" for number in range(3 * name_resolution.MAX_LOOKUPS)]
    given_up = await asyncio.gather(
        *(names.addresses(host, 443, owner="slow") for host in hosts), return_exceptions=True
    )
    assert {type(each) for each in given_up} == {NameUnanswered}
    assert (resolver.most_at_once, len(resolver.asked)) == (name_resolution.MAX_LOOKUPS, name_resolution.MAX_LOOKUPS)
    resolver.released.set()
    assert await names.addresses("quick.example", 443, owner="slow") == ["203.99.160.5"]


async def test_a_name_is_looked_up_once_at_a_time_and_anew_the_next_time(resolver: Resolver) -> None:
    names = NameResolver()
    host = f"one{SLOW}"
    for _ in range(3):
        found = await asyncio.gather(
            *(names.addresses(host, 443, owner="slow") for _ in range(5)), return_exceptions=True
        )
        assert {type(each) for each in found} == {NameUnanswered}
    assert resolver.asked[host] == 1
    resolver.released.set()
    for number in (1, 2):
        found = await asyncio.gather(*(names.addresses("quick.example", 443, owner="slow") for _ in range(5)))
        assert (found, resolver.asked["quick.example"]) == ([["203.99.160.5"]] * 5, number)


async def test_a_name_without_an_address_differs_from_one_that_times_out(resolver: Resolver) -> None:
    names = NameResolver()
    with pytest.raises(socket.gaierror):
        await names.addresses("absent.example", 443, owner="other")
    with pytest.raises(NameUnanswered):
        await names.addresses(f"absent{SLOW}", 443, owner="other")


async def test_a_name_that_cannot_be_encoded_has_no_address() -> None:
    with pytest.raises(socket.gaierror):
        await NameResolver().addresses("a" * 64 + ".example", 443, owner="other")
