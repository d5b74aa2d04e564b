"""Progress of uploads: bars on a terminal, otherwise a line every few seconds."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

LINE_SECONDS = 5.0


class Progress:
    """Shows the progress of uploads while its block runs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Bars(
            TextColumn("{task.description:<24}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        """Start the display."""
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop the display and leave its last state."""
        self._bars.stop()

    def show_sent(self, name: str, done: int, total: int) -> None:
        """Show the bytes of a file that were sent."""
        self._show(f"{name}: sent", done, total, decimal)

    def show_rows(self, name: str, done: int, total: int | None) -> None:
        """Show the rows that were processed; ``total`` is None until the file has been read to its end."""
        self._show(f"{name}: rows", done, total, "{:,}".format)

    def print(self, message: str) -> None:
        """Print a message above the bars."""
        self._console.print(message, markup=False, highlight=False)

    def _show(self, stage: str, done: int, total: int | None, to_text: Callable[[int], str]) -> None:
        amount = to_text(done) if total is None else f"{to_text(done)} of {to_text(total)}"
        if self._console.is_terminal:
            task = self._tasks.get(stage)
            if task is None:
                task = self._tasks[stage] = self._bars.add_task(stage, total=total, amount=amount)
            self._bars.update(task, completed=done, total=total, amount=amount)
        elif time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            self.print(f"{stage} {amount}")
