"""The cache builds a value once, keeps it within its size, and builds it again after a failure."""

import asyncio

import pytest

from app.allowlist.serving.build_cache import BuildCache


class Maker:
    """Makes bytes and counts how often; it waits until it is let go on."""

    def __init__(self, *, failing: bool = False) -> None:
        self.made = 0
        self.go_on = asyncio.Event()
        self.failing = failing

    async def make(self) -> bytes:
        self.made += 1
        await self.go_on.wait()
        if self.failing:
            raise MemoryError
        return b"12345"


def cache(max_bytes: int = 100) -> BuildCache[bytes]:
    return BuildCache(max_bytes, len)


async def made(body: bytes) -> bytes:
    return body


async def test_a_build_that_failed_is_not_kept_and_all_who_asked_hear_of_it() -> None:
    kept, maker = cache(), Maker(failing=True)
    maker.go_on.set()
    answers = await asyncio.gather(*(kept.get_or_build("a", maker.make) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in answers] == [MemoryError] * 3
    maker.failing = False
    assert await kept.get_or_build("a", maker.make) == b"12345"
    assert maker.made == 2


async def test_a_build_goes_on_when_the_one_who_asked_for_it_leaves() -> None:
    kept, maker = cache(), Maker()
    first, second = (asyncio.create_task(kept.get_or_build("a", maker.make)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    maker.go_on.set()
    assert await second == b"12345"
    assert (maker.made, kept.get("a")) == (1, b"12345")


async def test_what_alone_is_larger_than_all_that_is_kept_is_given_and_not_kept() -> None:
    kept = cache(4)
    assert await kept.get_or_build("small", lambda: made(b"123")) == b"123"
    assert await kept.get_or_build("large", lambda: made(b"12345")) == b"12345"
    assert (kept.get("large"), kept.get("small")) == (None, b"123")


async def test_what_was_used_last_is_kept_up_to_the_size() -> None:
    kept = cache(10)
    for key in ("a", "b"):
        await kept.get_or_build(key, lambda: made(b"12345"))
    kept.get("a")
    await kept.get_or_build("c", lambda: made(b"1"))
    assert [kept.get(key) for key in ("a", "b", "c")] == [b"12345", None, b"1"]


async def test_an_empty_thing_is_kept_like_any_other() -> None:
    kept, maker = cache(), Maker()
    assert await kept.get_or_build("a", lambda: made(b"")) == b""
    assert await kept.get_or_build("a", maker.make) == b""
    assert maker.made == 0
