"""Benchmarks: where their problems come from and how they are put to a model."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctm_eval import pocket
from ctm_eval.errors import CtmError
from ctm_eval.grading import gold_answer
from ctm_eval.rows import read_rows

STOP = ("\n\nQuestion:", "\n\nProblem:")  # a base model that goes on to the next exercise


@dataclass(frozen=True)
class Problem:
    """A row of the `problems` table.

    `answer` is the final answer. A programming task has `tests`, each a statement that must hold after
    the program, and its `answer` is a reference program.
    """

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
    """A benchmark by name: its place on the Hub, if it has one, and how a row becomes a `Problem`.

    `read` gives None for a row of another split, which a file may hold.
    """

    name: str
    repo: str | None
    config: str | None
    read: Callable[[dict[str, Any], str, int], Problem | None]


def _gsm8k(row: dict[str, Any], split: str, index: int) -> Problem:
    return Problem(
        problem_id=f"gsm8k-{split}-{index:05d}",
        benchmark="gsm8k",
        split=split,
        question=row["question"],
        answer=gold_answer(row["answer"]),
    )


def _math(name: str) -> Callable[[dict[str, Any], str, int], Problem]:
    def read(row: dict[str, Any], split: str, index: int) -> Problem:
        level = row.get("level")
        return Problem(
            problem_id=f"{name}-{split}-{index:05d}",
            benchmark=name,
            split=split,
            question=row["problem"],
            answer=row["answer"] if "answer" in row else gold_answer(row["solution"]),
            subject=row.get("subject", row.get("type")),
            level=str(level).removeprefix("Level ") if level is not None else None,
        )

    return read


MBPP_SPLITS = {  # task ids, as the paper splits them (arXiv 2108.07732)
    "prompt": range(1, 11),
    "test": range(11, 511),
    "validation": range(511, 601),
    "train": range(601, 975),
}


def _mbpp(row: dict[str, Any], split: str, index: int) -> Problem | None:
    if split not in MBPP_SPLITS:
        raise CtmError(f"mbpp has no split {split!r}; it has {', '.join(MBPP_SPLITS)}")
    task, tests = int(row["task_id"]), [str(test) for test in row["test_list"]]
    if task not in MBPP_SPLITS[split]:
        return None
    setup = row.get("test_setup_code") or "\n".join(row.get("test_imports") or ())
    return Problem(
        problem_id=f"mbpp-{split}-{task:05d}",
        benchmark="mbpp",
        split=split,
        question=with_tests(row["text"] if "text" in row else row["prompt"], tests),
        answer=row["code"],
        tests=tuple(f"{setup}\n{test}" if setup else test for test in tests),
    )


def with_tests(text: str, tests: Sequence[str]) -> str:
    """A programming task as it is asked: what to write, and the tests that it has to pass."""
    return "\n".join([text.strip(), "The program should pass these tests:", *tests])


def _code(row: dict[str, Any], split: str, index: int) -> Problem:
    tests = row["tests"] if "tests" in row else row["test_list"]
    if isinstance(tests, str) or not tests:
        tests = [tests] if tests else []
    if not tests:
        raise CtmError("a programming task without tests")
    question = next(row[name] for name in ("prompt", "question", "problem", "text") if name in row)
    return Problem(
        problem_id=f"code-{split}-{index:05d}",
        benchmark="code",
        split=split,
        question=question,
        answer=str(next((row[name] for name in ("code", "solution") if row.get(name)), "")),
        tests=tuple(map(str, tests)),
    )


BENCHMARKS = {
    "gsm8k": Benchmark("gsm8k", "openai/gsm8k", "main", _gsm8k),
    "math500": Benchmark("math500", "HuggingFaceH4/MATH-500", None, _math("math500")),
    "math": Benchmark("math", "DigitalLearningGmbH/MATH-lighteval", None, _math("math")),
    "mbpp": Benchmark("mbpp", "google-research-datasets/mbpp", "full", _mbpp),
    "code": Benchmark("code", None, None, _code),
}
NAMES = ("pocket", "pocket-code", *BENCHMARKS)
GENERATED = ("pocket", "pocket-code")


def load_problems(
    benchmark: str,
    *,
    split: str = "test",
    data_file: str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    revision: str | None = None,
) -> list[Problem]:
    """The first `limit` problems of a benchmark's split, read from the Hub or from `data_file`.

    `data_file` is JSONL or Parquet with the fields that the Hub's rows have, `revision` the commit on
    the Hub. `code` is any file of tasks with a `prompt` and `tests`. `pocket` and `pocket-code` are
    generated: from `seed`, 32 problems unless `limit` says otherwise. Raises CtmError for an unknown
    benchmark, a file that is not there, or a row that cannot be read, named by its number.
    """
    if benchmark in GENERATED:
        if data_file is not None or revision is not None:
            option = "--data-file" if data_file is not None else "--revision"
            raise CtmError(f"{benchmark} makes its own problems: leave out {option}", usage=True)
        generate = _pocket if benchmark == "pocket" else _pocket_code
        return generate(split, 32 if limit is None else limit, seed)
    if benchmark not in BENCHMARKS:
        raise CtmError(
            f"unknown benchmark {benchmark!r}; there are: {', '.join(NAMES)}", usage=True
        )
    kind = BENCHMARKS[benchmark]
    if kind.repo is None and data_file is None:
        raise CtmError(f"{benchmark} is read from a file: give --data-file", usage=True)
    rows = read_rows(data_file) if data_file else _rows_of_hub(kind, split, revision)
    problems: list[Problem] = []
    for index, (where, row) in enumerate(rows):
        if len(problems) == limit:
            break
        try:
            if problem := kind.read(row, split, index):
                problems.append(problem)
        except CtmError as error:
            raise CtmError(f"{where}: {error}", usage=True) from error
        except (KeyError, TypeError, AttributeError) as error:
            raise CtmError(
                f"{where} is not a row of {benchmark}: the field {error} is missing or of the "
                f"wrong type (see {kind.repo or 'docs/eval.md'} for its fields)",
                usage=True,
            ) from error
    if not problems:
        source = data_file or kind.repo
        raise CtmError(f"there are no problems of the split {split} in {source}", usage=True)
    return problems


def prompt(problem: Problem) -> str:
    """The text that a model is asked to continue; a solution starts with a space."""
    return pocket.prompt(problem.question)


def revision_of(benchmark: str, revision: str | None = None) -> str | None:
    """The commit on the Hub that `revision` (a branch, a tag, by default the newest) means today.

    None for a benchmark that is not on the Hub. Raises CtmError if the Hub cannot be asked.
    """
    kind = BENCHMARKS.get(benchmark)
    if kind is None or kind.repo is None:
        return None
    from datasets import load_dataset_builder

    with _explained(kind):
        return load_dataset_builder(kind.repo, kind.config, revision=revision).hash


def _pocket(split: str, limit: int, seed: int) -> list[Problem]:
    _check_split(split)
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


def _pocket_code(split: str, limit: int, seed: int) -> list[Problem]:
    _check_split(split)
    return [
        Problem(
            problem_id=task.problem_id,
            benchmark="pocket-code",
            split=split,
            question=with_tests(task.question, task.tests),
            answer=task.program,
            subject=task.family,
            level=str(task.level),
            tests=task.tests,
        )
        for task in pocket.tasks(split, limit, seed)
    ]


def _check_split(split: str) -> None:
    if split not in ("train", "dev", "test"):
        raise CtmError(f"pocket has no split {split!r}; it has train, dev and test", usage=True)


def _rows_of_hub(
    kind: Benchmark, split: str, revision: str | None
) -> Iterable[tuple[str, dict[str, Any]]]:
    from datasets import load_dataset

    assert kind.repo is not None
    with _explained(kind):
        dataset = load_dataset(kind.repo, kind.config, split=split, revision=revision)
    return ((f"{kind.repo}, row {number}", row) for number, row in enumerate(dataset, 1))


@contextmanager
def _explained(kind: Benchmark) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise CtmError(
            f"cannot load {kind.repo} from the Hub: {str(error).splitlines()[0]}; "
            f"without a network, give a local copy with --data-file"
        ) from error
