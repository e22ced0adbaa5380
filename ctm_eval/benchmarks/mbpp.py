"""MBPP: short Python tasks, each with three tests."""

from typing import Any

from ctm_eval.data_files import list_in, text_in
from ctm_eval.errors import CtmError
from ctm_eval.prompts import PROGRAM, with_tests
from ctm_eval.types import Benchmark, Problem

SPLITS = {  # task ids, as the paper splits them (arXiv 2108.07732)
    "prompt": range(1, 11),
    "test": range(11, 511),
    "validation": range(511, 601),
    "train": range(601, 975),
}


def _read(row: dict[str, Any], split: str, index: int) -> Problem | None:
    if split not in SPLITS:
        raise CtmError(f"mbpp has no split {split!r}; it has {', '.join(SPLITS)}")
    if not isinstance(row.get("task_id"), int):
        raise CtmError("the field 'task_id' must be a whole number")
    task, tests = row["task_id"], list_in(row, "test_list")
    if task not in SPLITS[split]:
        return None
    if not tests:
        raise CtmError("the programming task has no tests")
    setup = row.get("test_setup_code") or "\n".join(
        list_in(row, "test_imports") if row.get("test_imports") else []
    )
    return Problem(
        problem_id=f"mbpp-{split}-{task:05d}",
        benchmark="mbpp",
        split=split,
        question=with_tests(text_in(row, "text", "prompt"), tests),
        answer=text_in(row, "code"),
        tests=tuple(f"{setup}\n{test}" if setup else test for test in tests),
    )


MBPP = Benchmark(
    name="mbpp",
    title="MBPP",
    repo="google-research-datasets/mbpp",
    config="full",
    license="cc-by-4.0",
    kind="code",
    read=_read,
    own_ids=True,
    shots=3,  # arXiv 2108.07732, section 4
    exemplars="mbpp",
    instruction=PROGRAM,
)
