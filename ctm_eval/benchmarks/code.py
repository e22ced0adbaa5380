"""`code`: any file of programming tasks, each with a prompt and its tests."""

from typing import Any

from ctm_eval.data_files import list_in, text_in
from ctm_eval.errors import CtmError
from ctm_eval.prompts import PROGRAM
from ctm_eval.types import Benchmark, Problem


def _read(row: dict[str, Any], split: str, index: int) -> Problem:
    tests = list_in(row, "tests", "test_list")
    if not tests:
        raise CtmError("the programming task has no tests")
    return Problem(
        problem_id=f"code-{split}-{index:05d}",
        benchmark="code",
        split=split,
        question=text_in(row, "prompt", "question", "problem", "text"),
        answer=str(next((row[name] for name in ("code", "solution") if row.get(name)), "")),
        tests=tuple(tests),
    )


CODE = Benchmark(
    name="code",
    title="tasks of a file",
    license="unknown",
    kind="code",
    read=_read,
    instruction=PROGRAM,
)
