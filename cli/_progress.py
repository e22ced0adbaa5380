"""Progress on stderr: units done, rate, time left. In a log file, one line every few seconds."""

import os
import sys
import time
from types import TracebackType
from typing import Any

PLAIN_EVERY = 15.0  # seconds between lines in a log file


class Progress:
    """A context manager, called with (stage, units done, total units, tokens, note)."""

    def __init__(self, unit: str = "tokens/s") -> None:
        self._unit = unit
        self._bars: dict[str, Any] = {}
        self._started: dict[str, float] = {}
        self._said = 0.0
        self._ended: set[str] = set()
        self._rich: Any = None
        self._quiet = False

    def __enter__(self) -> "Progress":
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._quiet = bool(os.environ.get("CTM_QUIET"))
        console = Console(stderr=True, quiet=self._quiet)
        if console.is_terminal:
            self._rich = Progress(
                TextColumn("{task.description:>12}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%  {task.fields[rate]}"),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=console,
            )
            self._rich.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._rich:
            self._rich.stop()

    def __call__(
        self, stage: str, done: float, total: float, tokens: int = 0, note: str = ""
    ) -> None:
        now = time.monotonic()
        elapsed = now - self._started.setdefault(stage, now)
        rate = f"{tokens / elapsed:,.0f} {self._unit}" if elapsed > 0.5 else ""
        rate = f"{rate}  {note}".rstrip()
        if self._rich:
            if stage not in self._bars:
                self._bars[stage] = self._rich.add_task(stage, total=total, rate="")
            self._rich.update(self._bars[stage], completed=done, total=total, rate=rate)
        elif self._quiet:
            return
        elif now - self._said > PLAIN_EVERY or (done >= total and stage not in self._ended):
            self._said = now
            if done >= total:
                self._ended.add(stage)
            left = f"{elapsed * (total - done) / done:.0f} s left" if done else ""
            if done >= total:
                left = f"in {elapsed:.0f} s"
            print(f"{stage}: {done:.0f}/{total:.0f}  {rate}  {left}".rstrip(), file=sys.stderr)
