"""A process beside this one that works for it: it leaves it the processor and the signals, and ends when it does."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any

# Begins anew instead of copying this process with its threads and connections.
SPAWNING = get_context("spawn")
STOP_SECONDS = 5.0
OBJECTS_BETWEEN_COLLECTIONS = 100_000


def relax_gc() -> None:
    """Leave alone what is loaded by now, and look for cycles seldom.

    A batch is some ten thousand objects and no cycle: looking through them all the time costs a quarter more.
    """
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, 5, 5)


def init_child_process(niceness: int) -> None:
    """Make the process that calls it a companion of the one that spawned it."""
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
    """Run ``work`` in a process of its own and give its exit code; when cancelled, stop it by SIGTERM.

    ``work`` is a function of a module and calls ``init_child_process``; ``arguments`` can be pickled.
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
