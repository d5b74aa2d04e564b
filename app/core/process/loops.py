"""Loops of background processes: they go on through failures, and end when they are told to."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

T = TypeVar("T")
log = structlog.get_logger(__name__)


async def forever(name: str, work: Callable[[], Awaitable[object]], pause: Callable[[], Awaitable[None]]) -> None:
    """Work, pause, and work again until cancelled; a failure is logged under ``name``."""
    while True:
        await attempt(name, work)
        await pause()


async def attempt(name: str, work: Callable[[], Awaitable[T]]) -> T | None:
    """Work once and give the result; a failure is logged under ``name``, and None is given."""
    try:
        return await work()
    except (SQLAlchemyError, OSError) as error:
        log.warning("loop failed; it goes on", loop=name, error=repr(error)[:500])
    except Exception:
        log.exception("loop failed; it goes on", loop=name)
    return None


async def until_told(work: Coroutine[None, None, None], signals: Sequence[signal.Signals]) -> None:
    """Work until one of ``signals`` comes; the work is cancelled, and ends in its own way."""
    task = asyncio.create_task(work)
    for each in signals:
        asyncio.get_running_loop().add_signal_handler(each, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
