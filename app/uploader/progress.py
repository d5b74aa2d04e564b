"""How far uploads are: bars on a terminal, elsewhere a line every few seconds."""

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
    """Shows stages of uploads, while its block runs."""

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
        """Begin to show."""
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave what is shown as it is."""
        self._bars.stop()

    def sent(self, name: str, done: int, total: int) -> None:
        """So many bytes of a file are on their way."""
        self._show(f"{name}: sent", done, total, decimal)

    def rows(self, name: str, done: int, total: int | None) -> None:
        """So many rows are judged; ``total`` is not known before the file was read to its end."""
        self._show(f"{name}: rows", done, total, "{:,}".format)

    def tell(self, said: str) -> None:
        """Say a sentence, above the bars."""
        self._console.print(said, markup=False, highlight=False)

    def _show(self, stage: str, done: int, total: int | None, written: Callable[[int], str]) -> None:
        amount = written(done) if total is None else f"{written(done)} of {written(total)}"
        if self._console.is_terminal:
            task = self._tasks.get(stage)
            if task is None:
                task = self._tasks[stage] = self._bars.add_task(stage, total=total, amount=amount)
            self._bars.update(task, completed=done, total=total, amount=amount)
        elif time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            self.tell(f"{stage} {amount}")
