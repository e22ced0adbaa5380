"""What the experiments share: a folder of cells, made by processes of one thread each, resumable; and the
bootstrap.

A cell is one training with what follows from it, kept as a file of its own; a stopped run goes on where it
was. A folder belongs to one plan.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np

QUIET_SECONDS = 15  # between lines of progress


class Cell(Protocol):
    """A cell is known by its name."""

    @property
    def name(self) -> str:
        """A file name."""


def arguments(
    doc: str, folder: str, rows: Sequence[str] = (), real: bool = False
) -> argparse.Namespace:
    """The options of an experiment: `--output-dir`, `--quick`, `--jobs`; `--row` where it has `rows`, and
    `--real` where it has a form on a real model."""
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    parser.add_argument("--output-dir", type=Path, default=Path(folder))
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument(
        "--jobs", type=int, default=2, help="processes of one thread each; 0: this one alone"
    )
    if real:
        parser.add_argument("--real", action="store_true", help="on a real model")
    if rows:
        parser.add_argument(
            "--row", choices=rows, action="append", help="this row and cDPO alone; can be repeated"
        )
    return parser.parse_args()


@contextmanager
def pool_for(plan: Any, folder: Path, jobs: int) -> Iterator[Executor]:
    """The processes for a plan (a dataclass) in its folder; exits if that belongs to another plan."""
    (folder / "cells").mkdir(parents=True, exist_ok=True)
    kept = folder / "plan.json"
    if kept.exists() and kept.read_text() != json.dumps(asdict(plan)):
        sys.exit(f"{folder} belongs to another plan; give another --output-dir")
    kept.write_text(json.dumps(asdict(plan)))
    if not jobs:
        _one_thread()
        yield _Here()
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=_one_thread) as pool:
        yield pool


class _Here(Executor):
    """Does in this process, at once, what is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def run_cells(
    make: Callable[[Any, Path, Any], str],
    plan: Any,
    folder: Path,
    pool: Executor,
    cells: Sequence[Cell],
) -> list[dict[str, Any]]:
    """The results of the cells in their order; those that are there are not made again.

    `make` is called in a process of the pool; it calls `keep` and returns a line to be printed.
    """
    missing = [cell for cell in cells if not is_there(folder, cell)]
    began = time.monotonic()
    futures = [pool.submit(make, plan, folder, cell) for cell in missing]
    for number, future in enumerate(as_completed(futures), 1):
        left = (time.monotonic() - began) / number * (len(missing) - number)
        print(f"{future.result()}  ({number}/{len(missing)}, {left:.0f} s left)", file=sys.stderr)
    return [load(folder, cell) for cell in cells]


def is_there(folder: Path, cell: Cell) -> bool:
    """Whether the result of a cell is there."""
    return _path(folder, cell).exists()


def keep(folder: Path, cell: Cell, result: dict[str, Any]) -> None:
    """Writes the result of a cell, whole or not at all."""
    partial = _path(folder, cell).with_suffix(".partial")
    partial.write_text(json.dumps(result))
    os.replace(partial, _path(folder, cell))


def load(folder: Path, cell: Cell) -> dict[str, Any]:
    """The result of a cell."""
    loaded: dict[str, Any] = json.loads(_path(folder, cell).read_text())
    return loaded


def bootstrap(values: np.ndarray, rounds: int = 10_000, seed: int = 0) -> np.ndarray:
    """`rounds` means of (seeds, problems) values with both resampled, shape (rounds,).

    Methods resampled with the same seed meet the same problems: their differences are paired.
    """
    seeds, problems = values.shape
    of_problems, of_seeds = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    means = []
    for start in range(0, rounds, 1000):
        size = min(1000, rounds - start)
        chosen = of_problems.integers(problems, size=(size, problems))
        flat = chosen + problems * np.arange(size)[:, None]
        times = np.bincount(flat.ravel(), minlength=size * problems).reshape(size, problems)
        by_seed = times @ values.T / problems
        own = of_seeds.integers(seeds, size=(size, seeds))
        means.append(np.take_along_axis(by_seed, own, axis=1).mean(axis=1))
    return np.concatenate(means)


class Lines:
    """Progress as a line on stderr now and then."""

    def __init__(self) -> None:
        self._said = 0.0

    def __call__(
        self, stage: str, done: float, total: float, *further: object, **figures: object
    ) -> None:
        if time.monotonic() - self._said > QUIET_SECONDS:
            self._said = time.monotonic()
            print(f"{stage}: {done:.0f} of {total:.0f}", file=sys.stderr)


def _path(folder: Path, cell: Cell) -> Path:
    return folder / "cells" / f"{cell.name}.json"


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
