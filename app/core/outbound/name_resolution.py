"""Look-ups of the names that partners give, in threads that nothing else waits for."""

import asyncio
import concurrent.futures
import socket
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

LOOKUP_SECONDS = 5.0
MOST_AT_ONCE = 20  # of one owner, who has no more webhooks than that

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class NameUnanswered(OSError):
    """No name server answered in time."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as the system's resolver gives them. Raises ``OSError``.

    The resolver cannot be stopped, and may take half a minute over a name that nobody answers for. So a look-up has a
    thread of its own, not one of asyncio's, which the publisher needs too; it does not keep the process from ending.
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
    except BaseException as error:  # noqa: BLE001 - whoever waits for the answer meets it
        answer.set_exception(error)


class Names:
    """Looks names up, each once at a time, and few at a time for one owner; ``resolve`` does the look-up itself.

    An owner whose names are not answered waits alone.
    """

    def __init__(self, resolve: Resolve = resolve) -> None:
        self._resolve = resolve
        self._under_way: dict[tuple[str, str, int], asyncio.Future[Sequence[str]]] = {}
        self._slots = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(MOST_AT_ONCE))

    async def addresses(self, host: str, port: int, *, owner: str) -> Sequence[str]:
        """The addresses of a name. Raises ``OSError``; ``NameUnanswered`` when there is none within the deadline.

        A look-up that is given up goes on, and holds its place among those of its owner until the resolver ends it.
        """
        asked = (owner, host, port)
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                if asked not in self._under_way:
                    await self._begin(asked)
                return await asyncio.shield(self._under_way[asked])
        except TimeoutError:
            raise NameUnanswered(host) from None

    async def _begin(self, asked: tuple[str, str, int]) -> None:
        owner, host, port = asked
        slots = self._slots[owner]
        await slots.acquire()
        if asked in self._under_way:  # begun by another who waited for a place
            slots.release()
            return
        self._under_way[asked] = asyncio.ensure_future(self._resolve(host, port))
        self._under_way[asked].add_done_callback(partial(self._end, asked))

    def _end(self, asked: tuple[str, str, int], answer: asyncio.Future[Sequence[str]]) -> None:
        del self._under_way[asked]
        self._slots[asked[0]].release()
        if not answer.cancelled():
            answer.exception()  # nobody may be waiting for it any more
