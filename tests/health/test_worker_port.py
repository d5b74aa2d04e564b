"""The health checks of a worker: its last sign of life is recent, and its loop runs."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import httpx
import pytest

from app import worker
from app.core.database import engine
from app.core.process import progress
from app.health.process import serve_health
from tests.support import postgres, processes
from tests.support.proxy import Proxy, proxy_of

PATIENCE = 20


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    """The network between the worker and its database."""
    async with proxy_of(database_url) as proxy:
        yield proxy


@pytest.fixture
async def port(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A worker in this process, and the URL of its port; its checks are stricter than they are for others."""
    for name in ("BEGIN_SECONDS", "ROLLBACK_SECONDS", "KEYS_SECONDS"):
        monkeypatch.setattr(engine, name, 0.3)
    monkeypatch.setattr(worker, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(progress, "LIFE_SECONDS", 2.0)
    monkeypatch.setattr(progress, "STALLED_SECONDS", 2.0)
    number = processes.free_port()
    running = worker.Worker(postgres.settings_for(f"{proxy.url}&connect_timeout=1"))
    serve_health("127.0.0.1", number, running.progress)
    task = asyncio.create_task(running.run())
    yield f"http://127.0.0.1:{number}"
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _get_later(url: str) -> httpx.Response:
    time.sleep(2.5)
    return httpx.get(url)


async def _has_status(url: str, status: int) -> bool:
    async with httpx.AsyncClient() as http:
        return (await http.get(url)).status_code == status


async def test_a_worker_whose_sign_of_life_is_old_fails_its_check_until_it_is_recent_again(
    port: str, proxy: Proxy
) -> None:
    ready = f"{port}/health/ready"
    assert await _has_status(ready, 200)
    proxy.silence()
    await processes.until(partial(_has_status, ready, 503), PATIENCE)
    assert await _has_status(f"{port}/health/live", 200)  # it need not be restarted
    proxy.speak()
    await processes.until(partial(_has_status, ready, 200), PATIENCE)


async def test_the_check_of_a_loop_that_stands_is_answered_and_fails(port: str) -> None:
    live = f"{port}/health/live"
    assert await _has_status(live, 200)
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(_get_later, live)
        time.sleep(3.5)  # noqa: ASYNC251  # the loop stands
        answer = asked.result()
    assert answer.status_code == 503
    assert "stood still" in answer.json()["detail"]


async def test_the_port_has_the_metrics_too(port: str) -> None:
    async with httpx.AsyncClient() as http:
        assert "audit_tree_size" in (await http.get(f"{port}/metrics")).text
