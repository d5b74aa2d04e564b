"""A cache of what is expensive to make: each thing is made once however many ask for it, and kept up to a size."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from app.allowlist.serving.work_slots import retrieve

Built = TypeVar("Built")


class BuildCache(Generic[Built]):
    """Keeps what was used last, ``max_bytes`` of it by ``size_of``; what alone is larger is not kept.

    A build goes on when whoever asked for it has left: others may be waiting for it. One that fails is not kept.
    """

    def __init__(self, max_bytes: int, size_of: Callable[[Built], int]) -> None:
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._kept: OrderedDict[Hashable, Built] = OrderedDict()
        self._building: dict[Hashable, asyncio.Task[Built]] = {}
        self._bytes = 0

    def get(self, key: Hashable) -> Built | None:
        """The thing that is kept under ``key``, or None."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key]

    async def get_or_build(self, key: Hashable, build: Callable[[], Awaitable[Built]]) -> Built:
        """The thing under ``key``, built when it is not kept, once at a time. Raises what ``build`` raises."""
        kept = self.get(key)
        if kept is not None:
            return kept
        building = self._building.get(key)
        if building is None:
            building = self._building[key] = asyncio.create_task(self._build(key, build))
            building.add_done_callback(retrieve)
        return await asyncio.shield(building)

    async def _build(self, key: Hashable, build: Callable[[], Awaitable[Built]]) -> Built:
        try:
            built = await build()
        finally:
            del self._building[key]
        self._keep(key, built)
        return built

    def _keep(self, key: Hashable, built: Built) -> None:
        size = self._size_of(built)
        if size > self._max_bytes:
            return
        self._kept[key] = built
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= self._size_of(dropped)
