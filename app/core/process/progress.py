"""Progress of an event loop and of its process's own tasks; health checks read it, also from other threads."""

import asyncio
import time
from collections.abc import Iterable

TICK_SECONDS = 1.0
STALLED_SECONDS = 15.0
LIFE_SECONDS = 30.0


class Progress:
    """Ticks once a second while the loop runs.

    A worker also records signs of life, which it leaves in the database; the first is due after the process begins.
    """

    def __init__(self) -> None:
        self._ticked_at = self._alive_at = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []

    def watch(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        """Count the end of one of ``tasks``, named after what they do, as the end of the process."""
        self._tasks += tasks

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            self._ticked_at = time.monotonic()
            await asyncio.sleep(TICK_SECONDS)

    def record_life(self) -> None:
        """Record a sign of life."""
        self._alive_at = time.monotonic()

    @property
    def problem(self) -> str:
        """Why the process should be restarted, or an empty text."""
        ended = [each.get_name() for each in self._tasks if each.done()]
        if ended:
            return f"These loops of the process have ended: {', '.join(ended)}."
        seconds = time.monotonic() - self._ticked_at
        return f"The event loop has stood still for {seconds:.0f} seconds." if seconds > STALLED_SECONDS else ""

    @property
    def life_problem(self) -> str:
        """Why the process does not do its work, or an empty text."""
        seconds = time.monotonic() - self._alive_at
        return f"The last sign of life is {seconds:.0f} seconds old." if seconds > LIFE_SECONDS else ""
