"""Drawing certificates in a process of its own, which may take only some seconds for one."""

import asyncio
import signal
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from app.allowlist.serving.work_slots import WorkSlots
from app.core.errors import Unavailable
from app.core.process.subprocesses import SPAWNING, init_child_process

NICENESS = 5
DRAW_SECONDS = 20  # after which the process ends; a certificate takes half a second
WAIT_SECONDS = 30.0  # for one's turn, and again for the process, which takes a second to start


class Printer:
    """Draws certificates one at a time, those of several callers in turn; the process starts with the first."""

    def __init__(self) -> None:
        self._slots = WorkSlots(at_once=1, patience=WAIT_SECONDS)
        self._process: ProcessPoolExecutor | None = None

    async def draw(self, caller: str, form: str, claims: Mapping[str, Any], link: str) -> bytes:
        """Return a certificate as PDF, or its QR code as SVG, by ``form``. Raises ``Unavailable``."""
        async with self._slots.slot(caller):
            if self._process is None:
                self._process = ProcessPoolExecutor(1, SPAWNING, init_child_process, (NICENESS,))
            process = self._process
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    return await asyncio.wrap_future(process.submit(_draw, form, claims, link))
            except (BrokenProcessPool, TimeoutError):
                if self._process is process:
                    self.close()
                raise Unavailable("The certificate could not be drawn in time.") from None

    def close(self) -> None:
        """End the process once it is idle; the next certificate starts another."""
        if self._process:
            self._process.shutdown(wait=False, cancel_futures=True)
            self._process = None


def _draw(form: str, claims: Mapping[str, Any], link: str) -> bytes:
    """Draw in the process, which SIGALRM ends when it takes too long."""
    # the libraries take 50 MiB, which only this process needs
    from app.certificates import document, qr_code  # noqa: PLC0415  # fonts are loaded by the process that draws alone

    signal.setitimer(signal.ITIMER_REAL, DRAW_SECONDS)
    try:
        return document.to_pdf(claims, link) if form == "pdf" else qr_code.to_svg(link, claims["sub"])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
