"""Published key sets of clients are fetched rarely, from public hosts only, and outside transactions."""

from asyncio import Event, StreamWriter, gather
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import httpx
import pytest

from app.core.settings import Settings
from app.core.validation.preconditions import ANY_VERSION
from app.partners import service as partners
from app.partners import store
from app.partners.login import client_authentication, remote_keys
from app.partners.schemas import ClientKeys
from tests.support import postgres
from tests.support.processes import until
from tests.support.receiver import Authority, Received, Receiver, answering, receiving
from tests.support.service import Credentials, Service
from tests.support.signing import KEY, OTHER, Provider, claims_of, form_of, signed


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    """An https server."""
    authority = Authority(tmp_path)
    async with receiving(authority.server("127.0.0.1")) as receiver:
        yield receiver


@pytest.fixture
def settings(database_url: str, receiver: Receiver, tmp_path: Path) -> Settings:
    """Settings that allow connections to the server."""
    allowed = [f"127.0.0.1:{receiver.port}"]
    return postgres.settings_for(database_url, outbound_allowed=allowed, outbound_ca_file=tmp_path / "ca.pem")


@pytest.fixture
def publisher(receiver: Receiver) -> Provider:
    """The server that publishes the client's keys."""
    return Provider(receiver)


@pytest.fixture
async def client(service: Service, publisher: Provider) -> Credentials:
    """A client that publishes its keys."""
    made = await service.credentials("pseb")
    await _publishes(service, made, f"{publisher.url}/keys")
    return made


async def _publishes(service: Service, credentials: Credentials, url: str) -> None:
    async with service.database.transaction() as tx:
        client = await store.find_client(tx, credentials.client_id)
        assert client
        await partners.set_keys(tx, None, client, ANY_VERSION, ClientKeys(jwks_uri=url))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that lets a cache period expire."""
    return lambda name: monkeypatch.setattr(remote_keys, name, -1.0)


async def _ask(service: Service, client: Credentials, key: Any = KEY) -> httpx.Response:
    assertion = signed(claims_of(service, client.client_id), key)
    return await service.http.post("/oauth/token", data=form_of(assertion))


async def _status(service: Service, client: Credentials, key: Any = KEY) -> int:
    return (await _ask(service, client, key)).status_code


BROKEN = [
    b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 x\r\nLocation: /keys\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 x\r\nContent-Length: 1\r\n\r\n{",
    b"HTTP/1.1 200 x\r\nContent-Length: 9000\r\n\r\n" + b"[" * 9_000,
    b"HTTP/1.1 200 x\r\nContent-Length: 100000\r\n\r\n" + b" " * 100_000,
    b"nothing",
]


@pytest.mark.parametrize("raw", BROKEN, ids=range(len(BROKEN)))
async def test_unreachable_keys_fail_the_login_and_reveal_nothing_of_the_response(
    service: Service, receiver: Receiver, client: Credentials, raw: bytes
) -> None:
    receiver.respond = answering(raw)
    answer = await _ask(service, client)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    stranger = signed(claims_of(service, "nobody.0123456789ab"))
    assert answer.content == (await service.http.post("/oauth/token", data=form_of(stranger))).content


async def test_the_response_time_does_not_reveal_whether_a_client_publishes_its_keys(
    service: Service,
    receiver: Receiver,
    publisher: Provider,
    client: Credentials,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_authentication, "REFUSED_AFTER_SECONDS", 0.5)
    monkeypatch.setattr(client_authentication, "KEYS_TIMEOUT_SECONDS", 0.3)
    released, publish = Event(), receiver.respond

    async def late(request: Received, writer: StreamWriter) -> None:
        await released.wait()
        await publish(request, writer)

    receiver.respond = late
    for client_id in (client.client_id, "nobody.0123456789ab"):
        began = monotonic()
        answer = await service.http.post("/oauth/token", data=form_of(signed(claims_of(service, client_id))))
        assert (answer.status_code, monotonic() - began >= 0.5) == (401, True)
    released.set()

    async def is_known() -> bool:
        return await _status(service, client) == 200

    await until(is_known)  # the keys that came too late are there for the next
    assert publisher.asked == ["/keys"]


async def test_keys_on_an_internal_host_are_not_fetched_even_if_registered(
    service: Service, receiver: Receiver, client: Credentials
) -> None:
    async with receiving() as inside:
        await _publishes(service, client, f"https://127.0.0.1:{inside.port}/keys")
        assert await _status(service, client) == 401
        assert (inside.accepted, receiver.accepted) == (0, 0)


async def test_one_fetch_serves_concurrent_and_later_logins(
    service: Service, publisher: Provider, client: Credentials
) -> None:
    assert set(await gather(*(_status(service, client) for _ in range(6)))) == {200}
    assert await _status(service, client) == 200
    assert publisher.asked == ["/keys"]


async def test_unknown_keys_cause_a_new_fetch_at_a_limited_rate(
    service: Service, publisher: Provider, client: Credentials, later: Callable[[str], None]
) -> None:
    assert await _status(service, client) == 200
    for _ in range(3):
        assert await _status(service, client, OTHER) == 401
    assert publisher.asked == ["/keys"]
    publisher.keys = [KEY, OTHER]
    later("REFETCH_SECONDS")
    assert await _status(service, client, OTHER) == 200
    assert publisher.asked == ["/keys"] * 2


async def test_a_key_that_is_no_longer_published_ends_with_the_next_fetch(
    service: Service, publisher: Provider, client: Credentials, later: Callable[[str], None]
) -> None:
    assert await _status(service, client) == 200
    publisher.keys = [OTHER]
    later("REFETCH_SECONDS")
    assert await _status(service, client) == 200
    later("FRESH_SECONDS")
    assert await _status(service, client) == 401


async def test_known_keys_stay_valid_for_an_hour_while_fetching_fails(
    service: Service, publisher: Provider, client: Credentials, later: Callable[[str], None]
) -> None:
    assert await _status(service, client) == 200
    publisher.status = 503
    later("FRESH_SECONDS")
    later("REFETCH_SECONDS")
    assert await _status(service, client) == 200
    assert publisher.asked == ["/keys"] * 2
    later("STALE_IF_ERROR_SECONDS")
    assert await _status(service, client) == 401
    publisher.status = 200
    assert await _status(service, client) == 200


async def test_no_transaction_is_open_while_keys_are_fetched(
    service: Service, receiver: Receiver, publisher: Provider, client: Credentials
) -> None:
    open_transactions: list[int] = []
    answer = receiver.respond

    async def watched(request: Received, writer: StreamWriter) -> None:
        connection = await asyncpg.connect(service.settings.database_url)
        open_transactions.append(
            await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"
            )
        )
        await connection.close()
        await answer(request, writer)

    receiver.respond = watched
    assert await _status(service, client) == 200
    assert open_transactions == [0]
