"""The follower confirms what its command has loaded, and follows on whatever becomes of a confirmation."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import CapturingLogger

from app.follower import confirmations
from app.follower.command import Command
from tests.support.feed import FEED, published
from tests.support.followed_feed import C, FollowedFeed
from tests.support.service import Service

SUCCEEDS, FAILS = ("true",), ("false",)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    """What confirmations log."""
    captured = CapturingLogger()
    monkeypatch.setattr(confirmations, "log", captured)
    return captured


async def run_once(followed: FollowedFeed) -> bool:
    followed.transport.requested.clear()
    return await asyncio.to_thread(followed.consumer.run_once)


async def board(followed: FollowedFeed) -> list[tuple[Any, ...]]:
    lines = (await followed.caller.get(f"{FEED}/enforcers?grade=applied")).json()["items"]
    return [(each["enforcer"], each["serial"], each["matches"]) for each in lines]


async def test_it_confirms_the_list_that_its_command_has_loaded(followed: FollowedFeed, service: Service) -> None:
    followed.restart(command=Command(SUCCEEDS), enforcer="edge-1")
    assert await run_once(followed)
    assert await board(followed) == [("edge-1", 1, True)]
    await published(service, C)
    assert await run_once(followed)
    assert await board(followed) == [("edge-1", 2, True)]


async def test_it_confirms_once_and_again_after_a_quarter_of_an_hour(
    followed: FollowedFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed.restart(command=Command(SUCCEEDS))
    await run_once(followed)
    assert "confirmations" in followed.transport.requested
    await run_once(followed)
    assert "confirmations" not in followed.transport.requested
    monkeypatch.setattr(confirmations, "REPEAT_SECONDS", 0.0)
    followed.restart(command=Command(SUCCEEDS))
    for _ in range(2):
        await run_once(followed)
        assert "confirmations" in followed.transport.requested


async def test_it_confirms_nothing_that_no_command_has_loaded(followed: FollowedFeed, service: Service) -> None:
    followed.restart(enforcer="edge-1")
    assert await run_once(followed)
    followed.restart(command=Command(FAILS), enforcer="edge-1")
    assert not await run_once(followed)
    assert await board(followed) == []


async def test_while_the_command_fails_the_list_before_stays_the_confirmed_one(
    followed: FollowedFeed, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirmations, "REPEAT_SECONDS", 0.0)
    ready = tmp_path.parent / f"{tmp_path.name}-ready"
    ready.touch()
    followed.restart(command=Command(["test", "-e", str(ready)]), enforcer="edge-1")
    assert await run_once(followed)
    ready.unlink()
    await published(service, C)
    assert not await run_once(followed)
    assert await board(followed) == [("edge-1", 1, True)]
    assert (followed.consumer.snapshot and followed.consumer.snapshot.serial) == 2


@pytest.mark.parametrize("status", [400, 403, 404, 422, 429, 500, 503])
async def test_a_refused_or_failed_confirmation_is_logged_once_and_the_list_is_followed(
    followed: FollowedFeed, service: Service, log: CapturingLogger, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(confirmations, "REPEAT_SECONDS", 0.0)
    followed.transport.replacements["confirmations"] = lambda _: httpx.Response(status, content=b"{}")
    followed.restart(command=Command(SUCCEEDS))
    for _ in range(3):
        assert await run_once(followed)
    await published(service, C)
    assert await run_once(followed)
    (warning,) = log.calls
    assert warning.method_name == "warning"
    assert str(status) in warning.kwargs["reason"]
    assert (followed.consumer.snapshot and followed.consumer.snapshot.serial) == 2


async def test_a_client_without_the_scope_follows_as_before(
    followed: FollowedFeed, service: Service, log: CapturingLogger
) -> None:
    reader = await service.credentials("nayatel", client="reader", scopes=["allowlist:read"])
    followed.restart(command=Command(SUCCEEDS), credentials=(reader.client_id, reader.client_secret))
    assert await run_once(followed)
    await published(service, C)
    assert await run_once(followed)
    assert await board(followed) == []
    (refused,) = log.calls
    assert "allowlist:confirm" in refused.kwargs["reason"]
