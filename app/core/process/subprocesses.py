"""Child processes that work for this one: they have a lower priority, ignore SIGINT, and end with their parent."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any

# "spawn" starts a new interpreter; a fork would copy threads and connections.
SPAWNING = get_context("spawn")
STOP_SECONDS = 5.0
OBJECTS_BETWEEN_COLLECTIONS = 100_000


def relax_gc() -> None:
    """Exempt loaded objects from garbage collection, and collect seldom.

    A batch is some ten thousand objects without cycles; the default thresholds cost a quarter more time.
    """
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, 5, 5)


def init_child_process(niceness: int) -> None:
    """Set up the calling process as a child: priority, signals, garbage collection, and end with its parent."""
    relax_gc()
    os.nice(niceness)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


async def run_in_subprocess(work: Callable[..., None], *arguments: Any) -> int:
    """Run ``work`` in a child process and return its exit code; when cancelled, stop it by SIGTERM.

    ``work`` is a function of a module that calls ``init_child_process``; ``arguments`` must be picklable.
    """
    process = SPAWNING.Process(target=work, args=arguments, daemon=True)
    process.start()
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process.sentinel, ended.set)
    try:
        await ended.wait()
    finally:
        process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), STOP_SECONDS)
        loop.remove_reader(process.sentinel)
        process.kill()
        process.join()
    return process.exitcode or 0
