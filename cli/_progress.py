"""Progress on stderr: units done, rate, time left. In a log file, one line every few seconds.

With a file of metrics, the same as a JSON line a second, for a program to read; experiment trackers get
these figures, too. All have the tokens that came from a cache and, of a model behind a server, the
requests in flight and those sent again.
"""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from ctm_eval.errors import CtmError, missing
from ctm_eval.output_file import FULL

PLAIN_EVERY = 15.0  # seconds between lines in a log file
METRICS_EVERY = 1.0  # seconds between lines of metrics


class Progress:
    """A context manager, called with (stage, units done, total units, tokens, note).

    `metrics` is a file that lines are added to; `report_to` are trackers as `accelerate` names them. Raises
    CtmError if the file cannot be written or a tracker is not there.
    """

    def __init__(
        self,
        unit: str = "tokens/s",
        metrics: Path | None = None,
        report_to: Sequence[str] = (),
    ) -> None:
        self._unit = unit
        self._bars: dict[str, Any] = {}
        self._started: dict[str, tuple[float, float]] = {}  # when, and what was done before
        self._said = self._measured = 0.0
        self._ended: set[str] = set()
        self._trackers = [_tracker(name) for name in report_to]
        self._metrics = _opened(metrics)
        self._lines = 0
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
        for tracker in self._trackers:
            tracker.start()
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
        for tracker in self._trackers:
            tracker.finish()

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
        watched = self._metrics or self._trackers
        if watched and (now - self._measured > METRICS_EVERY or ends):
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
            "done": done,
            "total": total,
            "tokens": tokens,
            "tokens_per_second": round(tokens / elapsed, 1) if elapsed > 0 else None,
            "seconds_left": None if left is None else round(left, 1),
            **figures,
        }
        if self._metrics:
            timed = {"time": round(time.time(), 3), "stage": stage, **line}
            try:
                self._metrics.write(json.dumps(timed) + "\n")
                self._metrics.flush()
            except OSError as error:
                raise _unwritable(self._metrics.name, error) from error
        known = {f"{stage}/{name}": value for name, value in line.items() if value is not None}
        for tracker in self._trackers:
            tracker.log(known, step=self._lines)
        self._lines += 1


def _opened(metrics: Path | None) -> TextIO | None:
    if metrics is None:
        return None
    try:
        return metrics.open("a", encoding="utf-8")
    except OSError as error:
        raise _unwritable(metrics, error, usage=True) from error


def _unwritable(metrics: str | Path, error: OSError, *, usage: bool = False) -> CtmError:
    way_out = "give a file in a folder that is there"
    if error.errno in FULL:
        way_out = "free some space there"
    return CtmError(f"cannot write --metrics {metrics} ({error.strerror}); {way_out}", usage=usage)


def _tracker(name: str) -> Any:
    """A tracker of `accelerate`, of project `ctm`, not yet started."""
    try:
        from accelerate import PartialState
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
        from accelerate.utils import LoggerType
    except ImportError:
        raise CtmError(missing("accelerate"), usage=True) from None
    kinds = {
        kind: one
        for kind, one in LOGGER_TYPE_TO_CLASS.items()
        if not one.requires_logging_directory
    }
    if name not in kinds:
        raise CtmError(
            f"unknown --report-to {name!r}; there are: {', '.join(sorted(kinds))}", usage=True
        )
    if LoggerType(name) not in get_available_trackers():
        raise CtmError(f"--report-to {name} needs its package: pip install {name}", usage=True)
    PartialState()  # the trackers' log asks it which process it is
    return kinds[name]("ctm")
