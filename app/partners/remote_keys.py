"""Key sets that others publish: fetched through the guarded way out, kept for minutes, asked again for a new key."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from joserfc.jwk import Key

from app.core.outbound import Outbound, Unreachable
from app.core.targets import UrlRefused
from app.partners import key_sets

FRESH_SECONDS = 300.0
ASKED_AGAIN_SECONDS = 30.0
TRUSTED_WITHOUT_ANSWER_SECONDS = 3600.0
FETCH_SECONDS = 5.0


class KeysUnreachable(Exception):
    """The keys cannot be had just now; ``str()`` says why."""


async def fetch(outbound: Outbound, url: str) -> Any:
    """The JSON document at a URL. Raises ``KeysUnreachable``."""
    try:
        answer = await outbound.request("GET", url, headers={"Accept": "application/json"}, seconds=FETCH_SECONDS)
        if answer.status != 200 or answer.cut:
            raise KeysUnreachable(f"The answer has status {answer.status} or is too long.")
        return json.loads(answer.body)
    except (Unreachable, UrlRefused) as failed:
        raise KeysUnreachable(str(failed)) from None
    except (ValueError, RecursionError):
        raise KeysUnreachable("The answer is not JSON.") from None


class RemoteKeys:
    """One key set of another's, asked for by ``load`` at most every half minute, whoever wants whichever key.

    While it cannot be had, keys that are known go on for an hour.
    """

    def __init__(self, load: Callable[[], Awaitable[Any]], smallest_rsa: int = key_sets.SMALLEST_RSA) -> None:
        self._load = load
        self._smallest_rsa = smallest_rsa
        self._turn = asyncio.Lock()
        self._keys: Mapping[str, Key] = {}
        self._fetched = self._asked = float("-inf")
        self._failure: KeysUnreachable | None = None

    async def find(self, kid: str) -> Key | None:
        """The key of that id, or None. Raises ``KeysUnreachable``. No transaction may be open meanwhile."""
        if kid not in self._keys or _age(self._fetched) > FRESH_SECONDS:
            async with self._turn:
                if _age(self._asked) > ASKED_AGAIN_SECONDS:
                    await self._ask()
        if self._failure and (kid not in self._keys or _age(self._fetched) > TRUSTED_WITHOUT_ANSWER_SECONDS):
            raise self._failure
        return self._keys.get(kid)

    async def _ask(self) -> None:
        self._asked = time.monotonic()
        try:
            self._keys = key_sets.usable(await self._load(), self._smallest_rsa)
            self._fetched, self._failure = time.monotonic(), None
        except KeysUnreachable as failure:
            self._failure = failure


def _age(moment: float) -> float:
    return time.monotonic() - moment
