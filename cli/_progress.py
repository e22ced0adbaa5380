"""Progress on stderr: units done, rate, time left. In a log file, one line every few seconds.

With a file of metrics, the same as a JSON line a second, for a program to read. Of a model behind a server,
both have the requests in flight and those that were sent again.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from ctm_eval.errors import CtmError
from ctm_eval.output_file import FULL

PLAIN_EVERY = 15.0  # seconds between lines in a log file
METRICS_EVERY = 1.0  # seconds between lines of metrics


class Progress:
    """A context manager, called with (stage, units done, total units, tokens, note).

    `metrics` is a file that lines are added to. Raises CtmError if it cannot be written.
    """

    def __init__(self, unit: str = "tokens/s", metrics: Path | None = None) -> None:
        self._unit = unit
        self._bars: dict[str, Any] = {}
        self._started: dict[str, tuple[float, float]] = {}  # when, and what was done before
        self._said = self._measured = 0.0
        self._ended: set[str] = set()
        self._metrics: Any = None
        if metrics is not None:
            try:
                self._metrics = metrics.open("a", encoding="utf-8")
            except OSError as error:
                raise _unwritable(metrics, error, usage=True) from error
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
        if self._metrics:
            with suppress(OSError):  # a line that could not be written has been told
                self._metrics.close()

    def __call__(
        self,
        stage: str,
        done: float,
        total: float,
        tokens: int = 0,
        note: str = "",
        figures: Mapping[str, int] | None = None,
    ) -> None:
        now = time.monotonic()
        began, before = self._started.setdefault(stage, (now, done))
        elapsed, left = now - began, None
        if done > before:
            left = elapsed * (total - done) / (done - before)
        ends = done >= total and stage not in self._ended
        if ends:
            self._ended.add(stage)
        if self._metrics and (now - self._measured > METRICS_EVERY or ends):
            self._measured = now
            self._measure(stage, done, total, tokens, elapsed, left, figures or {})
        rate = f"{tokens / elapsed:,.0f} {self._unit}" if elapsed > 0.5 else ""
        further = [f"{count:,} {name.replace('_', ' ')}" for name, count in (figures or {}).items()]
        rate = "  ".join(filter(None, [rate, note, *further]))
        if self._rich:
            if stage not in self._bars:
                self._bars[stage] = self._rich.add_task(stage, total=total, rate="")
            self._rich.update(self._bars[stage], completed=done, total=total, rate=rate)
        elif self._quiet:
            return
        elif now - self._said > PLAIN_EVERY or ends:
            self._said = now
            when = f"{left:.0f} s left" if left is not None else ""
            if done >= total:
                when = f"in {elapsed:.0f} s"
            print(f"{stage}: {done:.0f}/{total:.0f}  {rate}  {when}".rstrip(), file=sys.stderr)

    def _measure(
        self,
        stage: str,
        done: float,
        total: float,
        tokens: int,
        elapsed: float,
        left: float | None,
        figures: Mapping[str, int],
    ) -> None:
        line = {
            "time": round(time.time(), 3),
            "stage": stage,
            "done": done,
            "total": total,
            "tokens": tokens,
            "tokens_per_second": round(tokens / elapsed, 1) if elapsed > 0 else None,
            "seconds_left": None if left is None else round(left, 1),
            **figures,
        }
        try:
            self._metrics.write(json.dumps(line) + "\n")
            self._metrics.flush()
        except OSError as error:
            raise _unwritable(self._metrics.name, error) from error


def _unwritable(metrics: Path, error: OSError, *, usage: bool = False) -> CtmError:
    way_out = (
        "free some space there" if error.errno in FULL else "give a file in a folder that is there"
    )
    return CtmError(f"cannot write --metrics {metrics} ({error.strerror}); {way_out}", usage=usage)
