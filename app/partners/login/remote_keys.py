"""Key sets that others publish: fetched through the guarded way out, kept for minutes, asked again for a new key."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from joserfc.jwk import Key

from app.core.outbound.client import Outbound, Unreachable
from app.core.outbound.url_policy import UrlRefused
from app.partners import key_sets

FRESH_SECONDS = 300.0
ASKED_AGAIN_SECONDS = 30.0
TRUSTED_WITHOUT_ANSWER_SECONDS = 3600.0
FETCH_SECONDS = 5.0


class KeysUnreachable(Exception):
    """The keys cannot be had just now; ``str()`` says why."""


async def fetch(outbound: Outbound, url: str, owner: str) -> Any:
    """The JSON document at a URL that ``owner`` gave. Raises ``KeysUnreachable``."""
    accept = {"Accept": "application/json"}
    try:
        answer = await outbound.request("GET", url, headers=accept, seconds=FETCH_SECONDS, owner=owner)
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
        self._asking: asyncio.Task[None] | None = None
        self._keys: Mapping[str, Key] = {}
        self._fetched = self._asked = float("-inf")
        self._failure: KeysUnreachable | None = None

    async def find(self, kid: str, patience: float | None = None) -> Key | None:
        """The key of that id, or None. Raises ``KeysUnreachable``. No transaction may be open meanwhile.

        An answer that takes longer than ``patience`` counts as none, and is there for whoever asks next.
        """
        if kid not in self._keys or _age(self._fetched) > FRESH_SECONDS:
            if self._asking is None and _age(self._asked) > ASKED_AGAIN_SECONDS:
                self._asking = asyncio.create_task(self._ask())
            if self._asking is not None:
                done, _ = await asyncio.wait([self._asking], timeout=patience)
                for each in done:
                    each.result()
        failure = KeysUnreachable("The answer takes too long.") if self._asking else self._failure
        if failure and (kid not in self._keys or _age(self._fetched) > TRUSTED_WITHOUT_ANSWER_SECONDS):
            raise failure
        return self._keys.get(kid)

    async def _ask(self) -> None:
        self._asked = time.monotonic()
        try:
            self._keys = key_sets.usable(await self._load(), self._smallest_rsa)
            self._fetched, self._failure = time.monotonic(), None
        except KeysUnreachable as failure:
            self._failure = failure
        finally:
            self._asking = None


def _age(moment: float) -> float:
    return time.monotonic() - moment
