"""Re-score a file of saved outputs without generating: what `ctm grade FILE` does."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctm_eval.data_files import read_rows, writable
from ctm_eval.errors import CtmError
from ctm_eval.grading.grade import answer_formats
from ctm_eval.grading.many import grade_many
from ctm_eval.grading.verdict import Verdict
from ctm_eval.output_file import output_file

TEXT_COLUMNS = ("text", "response", "completion", "output", "generation", "prediction")
GOLD_COLUMNS = ("gold", "reference", "target", "ground_truth", "expected", "answer", "solution")


@dataclass(frozen=True, slots=True)
class FileGrades:
    """The verdicts of a file in the order of its rows, and what they add up to.

    `reasons` and `layers` count verdicts. `changed` holds the rows whose saved `correct` column
    says otherwise, None where the file has no such column.
    """

    verdicts: tuple[Verdict, ...]
    reasons: dict[str, int]
    layers: dict[str, int]
    changed: tuple[int, ...] | None

    @property
    def total(self) -> int:
        """How many rows there are."""
        return len(self.verdicts)

    @property
    def correct(self) -> int:
        """How many of them are correct."""
        return sum(verdict.correct for verdict in self.verdicts)

    def summary(self) -> dict[str, Any]:
        """Return the counts, for a program to read."""
        return {
            "total": self.total,
            "correct": self.correct,
            "accuracy": self.correct / self.total,
            "reasons": self.reasons,
            "layers": self.layers,
            "changed": None if self.changed is None else len(self.changed),
        }


def grade_file(
    path: str | os.PathLike[str],
    benchmark: str | None = None,
    *,
    text_column: str | None = None,
    gold_column: str | None = None,
    problems: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    processes: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> FileGrades:
    """Grade every row of a JSONL or Parquet file.

    The response is in `text_column` and the gold in `gold_column`; without them the first of
    `TEXT_COLUMNS` and `GOLD_COLUMNS` that the file has. `problems` is a file (or a folder of
    Parquet files) with `problem_id` and the gold, joined by `problem_id`; the `solutions` of a run
    folder, whose `answer` is the model's own, find the `problems` beside them. The benchmark is that
    which all `problems` name, unless it is given. A row whose `finish_reason` is `length`, or whose
    `finished` is false, hit its token limit. `output` is written as JSONL: the rows with `answer`,
    `correct`, `verdict` and `layer` set anew.
    Raises CtmError for a file that cannot be read this way.
    """
    if processes is not None and processes < 1:
        raise CtmError(f"--processes must be 1 or more, not {processes}", usage=True)
    if output is not None:
        writable(output)
    rows = [row for _, row in read_rows(path)]
    if not rows:
        raise CtmError(f"{path} has no rows")
    text_column = text_column or _column(rows[0], TEXT_COLUMNS, "response", "--text-column")
    if problems is None and gold_column is None and "verdict" in rows[0]:
        problems = _problems_beside(Path(path))
    if problems is not None:
        benchmark = benchmark or _benchmark(problems)
    golds = _golds(rows, gold_column, problems)
    texts = [_string(row, text_column, "--text-column", index) for index, row in enumerate(rows)]
    finished = [_finished(row) for row in rows]
    triples = zip(golds, texts, finished, strict=True)
    verdicts = tuple(grade_many(triples, benchmark, processes=processes, progress=progress))
    if output is not None:
        _write(Path(output), rows, verdicts)
    changed = None
    if all(isinstance(row.get("correct"), bool) for row in rows):
        changed = tuple(
            k
            for k, (row, v) in enumerate(zip(rows, verdicts, strict=True))
            if row["correct"] != v.correct
        )
    return FileGrades(
        verdicts,
        dict(Counter(verdict.reason for verdict in verdicts).most_common()),
        dict(Counter(verdict.layer or "none" for verdict in verdicts).most_common()),
        changed,
    )


def _problems_beside(path: Path) -> Path | None:
    """Return the problems of the run folder that a file or folder of solutions is in."""
    folders = [parent / "problems" for parent in path.resolve().parents[:2]]
    return next((folder for folder in folders if folder.is_dir()), None)


def _benchmark(problems: str | os.PathLike[str]) -> str | None:
    """Return the benchmark that all problems name, if `grade` knows it."""
    named = {str(row.get("benchmark")) for _, row in read_rows(problems)}
    known = named & answer_formats().keys()
    return known.pop() if len(named) == len(known) == 1 else None


def _golds(
    rows: list[dict[str, Any]], column: str | None, problems: str | os.PathLike[str] | None
) -> list[str]:
    if problems is None:
        graded = "verdict" in rows[0]  # then `answer` is what was extracted
        names = tuple(name for name in GOLD_COLUMNS if not (graded and name == "answer"))
        column = column or _column(rows[0], names, "gold answer", "--gold-column or --problems")
        return [_string(row, column, "--gold-column", index) for index, row in enumerate(rows)]
    known: dict[str | int, str] = {}
    for index, (where, row) in enumerate(read_rows(problems)):
        gold_column = column or _column(row, GOLD_COLUMNS, "gold answer", "--gold-column")
        gold, name = _string(row, gold_column, "--gold-column", index), _problem_id(row, where)
        if known.setdefault(name, gold) != gold:
            raise CtmError(f"{where} has another gold for the problem {name!r}: keep one of them")
    wanted = [_problem_id(row, f"row {index + 1}") for index, row in enumerate(rows)]
    missing = set(wanted) - known.keys()
    if missing:
        raise CtmError(
            f"{len(missing)} problems are not in {problems}: {sorted(map(str, missing))[:3]}"
        )
    return [known[name] for name in wanted]


def _problem_id(row: dict[str, Any], where: str) -> str | int:
    """Return what a row is joined by; rows without it would all be one problem."""
    name = row.get("problem_id")
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise CtmError(
            f"{where} has no problem_id that is text or a whole number, by which golds are found",
            usage=True,
        )
    return name


def _column(row: dict[str, Any], names: tuple[str, ...], what: str, option: str) -> str:
    for name in names:
        if name in row:
            return name
    raise CtmError(
        f"no column with the {what} among {sorted(row)}: name it with {option}", usage=True
    )


def _string(row: dict[str, Any], column: str, option: str, index: int) -> str:
    value = row.get(column)
    if value is None:
        raise CtmError(
            f"row {index + 1} has no {column!r}; it has {', '.join(sorted(row))}: name one with {option}",
            usage=True,
        )
    return value if isinstance(value, str) else str(value)


def _finished(row: dict[str, Any]) -> bool:
    if row.get("finished") is False:
        return False
    return row.get("finish_reason") != "length"


def _write(path: Path, rows: list[dict[str, Any]], verdicts: tuple[Verdict, ...]) -> None:
    with output_file(path) as file:
        for row, verdict in zip(rows, verdicts, strict=True):
            graded = {
                "answer": verdict.answer, "correct": verdict.correct,
                "verdict": verdict.reason, "layer": verdict.layer,
            }  # fmt: skip
            file.write((json.dumps({**row, **graded}, default=str) + "\n").encode())
