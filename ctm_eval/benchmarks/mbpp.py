"""MBPP: short Python tasks, each with three tests."""

from typing import Any

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
    task, tests = int(row["task_id"]), [str(test) for test in row["test_list"]]
    if task not in SPLITS[split]:
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


MBPP = Benchmark(
    name="mbpp",
    title="MBPP",
    repo="google-research-datasets/mbpp",
    config="full",
    license="cc-by-4.0",
    kind="code",
    read=_read,
    shots=3,  # arXiv 2108.07732, section 4
    exemplars="mbpp",
    instruction=PROGRAM,
)
