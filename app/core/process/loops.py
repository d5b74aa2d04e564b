"""Loops of background processes, which go on after failures and end by a signal."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

T = TypeVar("T")
log = structlog.get_logger(__name__)


async def run_forever(name: str, work: Callable[[], Awaitable[object]], pause: Callable[[], Awaitable[None]]) -> None:
    """Alternate ``work`` and ``pause`` until cancelled; log failures under ``name``."""
    while True:
        await attempt(name, work)
        await pause()


async def attempt(name: str, work: Callable[[], Awaitable[T]]) -> T | None:
    """Run ``work`` once and return its result; log a failure under ``name`` and return None."""
    try:
        return await work()
    except (SQLAlchemyError, OSError) as error:
        log.warning("loop failed; it goes on", loop=name, error=repr(error)[:500])
    except Exception:
        log.exception("loop failed; it goes on", loop=name)
    return None


async def run_until_signal(work: Coroutine[None, None, None], signals: Sequence[signal.Signals]) -> None:
    """Run ``work`` and cancel it by one of ``signals``; return when it has ended."""
    task = asyncio.create_task(work)
    for each in signals:
        asyncio.get_running_loop().add_signal_handler(each, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
