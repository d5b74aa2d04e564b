"""Published key sets: fetched by the outbound client, cached for minutes, and fetched again for an unknown key id."""

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
REFETCH_SECONDS = 30.0
STALE_IF_ERROR_SECONDS = 3600.0
FETCH_SECONDS = 5.0


class KeysUnreachable(Exception):
    """The keys cannot be fetched; ``str()`` is the reason."""


async def fetch_json(outbound: Outbound, url: str, owner: str) -> Any:
    """Return the JSON document at a URL that ``owner`` gave. Raises ``KeysUnreachable``."""
    accept = {"Accept": "application/json"}
    try:
        response = await outbound.request("GET", url, headers=accept, seconds=FETCH_SECONDS, owner=owner)
        if response.status != 200 or response.cut:
            raise KeysUnreachable(f"The response has status {response.status} or is too long.")
        return json.loads(response.body)
    except (Unreachable, UrlRefused) as failed:
        raise KeysUnreachable(str(failed)) from None
    except (ValueError, RecursionError):
        raise KeysUnreachable("The response is not JSON.") from None


class RemoteKeys:
    """A cached key set, loaded by ``load`` at most every ``REFETCH_SECONDS``, however many callers want a key.

    While loading fails, known keys stay in use for ``STALE_IF_ERROR_SECONDS``. RSA keys of fewer than ``smallest_rsa``
    bits are ignored.
    """

    def __init__(self, load: Callable[[], Awaitable[Any]], smallest_rsa: int = key_sets.SMALLEST_RSA) -> None:
        self._load = load
        self._smallest_rsa = smallest_rsa
        self._loading: asyncio.Task[None] | None = None
        self._keys: Mapping[str, Key] = {}
        self._loaded_at = self._tried_at = float("-inf")
        self._failure: KeysUnreachable | None = None

    async def find(self, kid: str, wait_seconds: float | None = None) -> Key | None:
        """Return the key of that id, or None. Raises ``KeysUnreachable``. Call it outside a transaction.

        After ``wait_seconds`` loading counts as failed for this caller, and goes on for the next one.
        """
        if kid not in self._keys or _age(self._loaded_at) > FRESH_SECONDS:
            if self._loading is None and _age(self._tried_at) > REFETCH_SECONDS:
                self._loading = asyncio.create_task(self._refresh())
            if self._loading is not None:
                done, _ = await asyncio.wait([self._loading], timeout=wait_seconds)
                for each in done:
                    each.result()
        failure = KeysUnreachable("The response takes too long.") if self._loading else self._failure
        if failure and (kid not in self._keys or _age(self._loaded_at) > STALE_IF_ERROR_SECONDS):
            raise failure
        return self._keys.get(kid)

    async def _refresh(self) -> None:
        self._tried_at = time.monotonic()
        try:
            self._keys = key_sets.import_usable(await self._load(), self._smallest_rsa)
            self._loaded_at, self._failure = time.monotonic(), None
        except KeysUnreachable as failure:
            self._failure = failure
        finally:
            self._loading = None


def _age(moment: float) -> float:
    return time.monotonic() - moment
