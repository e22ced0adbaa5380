"""`code`: any file of programming tasks, each with a prompt and its tests."""

from typing import Any

from ctm_eval.errors import CtmError
from ctm_eval.prompts import PROGRAM
from ctm_eval.types import Benchmark, Problem


def _read(row: dict[str, Any], split: str, index: int) -> Problem:
    tests = row["tests"] if "tests" in row else row["test_list"]
    if isinstance(tests, str) or not tests:
        tests = [tests] if tests else []
    if not tests:
        raise CtmError("the programming task has no tests")
    question = next(row[name] for name in ("prompt", "question", "problem", "text") if name in row)
    return Problem(
        problem_id=f"code-{split}-{index:05d}",
        benchmark="code",
        split=split,
        question=question,
        answer=str(next((row[name] for name in ("code", "solution") if row.get(name)), "")),
        tests=tuple(map(str, tests)),
    )


CODE = Benchmark(
    name="code",
    title="tasks of a file",
    license="unknown",
    kind="code",
    read=_read,
    instruction=PROGRAM,
)
