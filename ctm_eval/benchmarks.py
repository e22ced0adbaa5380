"""Benchmarks: where their problems come from and how they are put to a model."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ctm_eval import pocket
from ctm_eval.errors import CtmError
from ctm_eval.grading import gold_answer
from ctm_eval.rows import read_rows

STOP = ("\n\nQuestion:", "\n\nProblem:")  # a base model that goes on to the next exercise


@dataclass(frozen=True)
class Problem:
    """A row of the `problems` table. `answer` is the final answer; `tests` are for programs."""

    problem_id: str
    benchmark: str
    split: str
    question: str
    answer: str
    subject: str | None = None
    level: str | None = None
    tests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Benchmark:
    """A benchmark by name: its place on the Hub and how a row of it becomes a `Problem`."""

    name: str
    repo: str
    config: str | None
    read: Callable[[dict[str, Any], str, int], Problem]


def _gsm8k(row: dict[str, Any], split: str, index: int) -> Problem:
    return Problem(
        problem_id=f"gsm8k-{split}-{index:05d}",
        benchmark="gsm8k",
        split=split,
        question=row["question"],
        answer=gold_answer(row["answer"]),
    )


def _math500(row: dict[str, Any], split: str, index: int) -> Problem:
    return Problem(
        problem_id=f"math500-{split}-{index:05d}",
        benchmark="math500",
        split=split,
        question=row["problem"],
        answer=row["answer"],
        subject=row.get("subject"),
        level=str(row["level"]) if row.get("level") is not None else None,
    )


BENCHMARKS = {
    "gsm8k": Benchmark("gsm8k", "openai/gsm8k", "main", _gsm8k),
    "math500": Benchmark("math500", "HuggingFaceH4/MATH-500", None, _math500),
}
NAMES = ("pocket", *BENCHMARKS)


def load_problems(
    benchmark: str,
    *,
    split: str = "test",
    data_file: str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> list[Problem]:
    """The first `limit` problems of a benchmark's split, read from the Hub or from `data_file`.

    `data_file` is JSONL or Parquet with the fields that the Hub's rows have. `pocket` is generated:
    from `seed`, 32 problems unless `limit` says otherwise. Raises CtmError for an unknown benchmark,
    a file that is not there, or a row that cannot be read, named by its number.
    """
    if benchmark == "pocket":
        if data_file is not None:
            raise CtmError("pocket makes its own problems: leave out --data-file", usage=True)
        return _pocket(split, 32 if limit is None else limit, seed)
    if benchmark not in BENCHMARKS:
        raise CtmError(
            f"unknown benchmark {benchmark!r}; there are: {', '.join(NAMES)}", usage=True
        )
    kind = BENCHMARKS[benchmark]
    rows = read_rows(data_file) if data_file else _rows_of_hub(kind, split)
    problems = []
    for index, (where, row) in enumerate(islice(rows, limit)):
        try:
            problems.append(kind.read(row, split, index))
        except CtmError as error:
            raise CtmError(f"{where}: {error}", usage=True) from error
        except (KeyError, TypeError, AttributeError) as error:
            raise CtmError(
                f"{where} is not a row of {benchmark}: the field {error} is missing or of the "
                f"wrong type (see {kind.repo} on the Hub for its fields)",
                usage=True,
            ) from error
    if not problems:
        raise CtmError(f"there are no problems in {data_file or kind.repo}", usage=True)
    return problems


def prompt(problem: Problem) -> str:
    """The text that a model is asked to continue; a solution starts with a space."""
    return pocket.prompt(problem.question)


def _pocket(split: str, limit: int, seed: int) -> list[Problem]:
    if split not in ("train", "dev", "test"):
        raise CtmError(f"pocket has no split {split!r}; it has train, dev and test", usage=True)
    return [
        Problem(
            problem_id=problem.problem_id,
            benchmark="pocket",
            split=split,
            question=problem.question,
            answer=problem.answer,
            subject=problem.family,
            level=str(problem.level),
        )
        for problem in pocket.problems(split, limit, seed)
    ]


def _rows_of_hub(kind: Benchmark, split: str) -> Iterable[tuple[str, dict[str, Any]]]:
    from datasets import load_dataset

    try:
        dataset = load_dataset(kind.repo, kind.config, split=split)
    except (OSError, ValueError) as error:
        raise CtmError(
            f"cannot load {kind.repo} ({split}) from the Hub: {str(error).splitlines()[0]}; "
            f"without a network, give a local copy with --data-file"
        ) from error
    return ((f"{kind.repo}, row {number}", row) for number, row in enumerate(dataset, 1))
