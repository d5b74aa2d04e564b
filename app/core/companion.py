"""A process beside this one that works for it: it leaves it the processor and the signals, and ends when it does."""

import gc
import os
import signal
from multiprocessing import get_context, parent_process
from threading import Thread

# Begins anew instead of copying this process with its threads and connections.
SPAWNING = get_context("spawn")


def stay_behind(niceness: int) -> None:
    """Make the process that calls it a companion of the one that spawned it."""
    gc.freeze()  # what is loaded by now stays
    os.nice(niceness)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
