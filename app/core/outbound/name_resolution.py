"""DNS look-ups of names that partners give, in threads of their own."""

import asyncio
import concurrent.futures
import socket
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

LOOKUP_SECONDS = 5.0
MAX_LOOKUPS = 20  # at once of one owner, which is its limit of webhooks

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class NameUnanswered(OSError):
    """No name server responded in time."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name by the system's resolver. Raises ``OSError``.

    The resolver cannot be cancelled and may take half a minute. So a look-up has a daemon thread of its own instead of
    one of asyncio's, which other work needs.
    """
    answer = concurrent.futures.Future[list[Any]]()
    threading.Thread(target=_look_up, args=(answer, host, port), name="look-up", daemon=True).start()
    return [str(each[4][0]) for each in await asyncio.wrap_future(answer)]


def _look_up(answer: concurrent.futures.Future[list[Any]], host: str, port: int) -> None:
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except UnicodeError:
        answer.set_exception(socket.gaierror(socket.EAI_NONAME, "the name cannot be encoded"))
    except BaseException as error:  # noqa: BLE001 - raised where it is awaited
        answer.set_exception(error)


class NameResolver:
    """Resolves names by ``resolve``: concurrent look-ups of a name are shared, and an owner has few at a time.

    So names that do not resolve hold up only their owner.
    """

    def __init__(self, resolve: Resolve = resolve) -> None:
        self._resolve = resolve
        self._lookups: dict[tuple[str, str, int], asyncio.Future[Sequence[str]]] = {}
        self._slots = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(MAX_LOOKUPS))

    async def addresses(self, host: str, port: int, *, owner: str) -> Sequence[str]:
        """Return the addresses of a name. Raises ``OSError``, ``NameUnanswered`` on a timeout.

        After a timeout the look-up goes on, and counts among those of its owner until the resolver ends.
        """
        key = (owner, host, port)
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                if key not in self._lookups:
                    await self._begin(key)
                return await asyncio.shield(self._lookups[key])
        except TimeoutError:
            raise NameUnanswered(host) from None

    async def _begin(self, key: tuple[str, str, int]) -> None:
        owner, host, port = key
        slots = self._slots[owner]
        await slots.acquire()
        if key in self._lookups:  # begun by another caller meanwhile
            slots.release()
            return
        self._lookups[key] = asyncio.ensure_future(self._resolve(host, port))
        self._lookups[key].add_done_callback(partial(self._end, key))

    def _end(self, key: tuple[str, str, int], lookup: asyncio.Future[Sequence[str]]) -> None:
        del self._lookups[key]
        self._slots[key[0]].release()
        if not lookup.cancelled():
            lookup.exception()  # retrieved, since no caller may be left
