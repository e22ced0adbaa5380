"""HumanEval: 164 Python functions to complete from their signature and docstring (arXiv 2107.03374).

{"task_id": "HumanEval/0", "prompt": "def f(x):\\n    …", "entry_point": "f",
 "canonical_solution": "    return x\\n", "test": "def check(candidate):\\n    assert …"}
"""

from typing import Any

from ctm_eval.data_files import text_in
from ctm_eval.errors import CtmError
from ctm_eval.prompts import PROGRAM
from ctm_eval.types import Benchmark, Problem

TASK = "Complete this Python function; write all of it, with its imports."


def _read(row: dict[str, Any], split: str, index: int) -> Problem:
    prompt, name = text_in(row, "prompt"), text_in(row, "entry_point")
    if not name.isidentifier():
        raise CtmError(f"the entry_point must be the name of a function, not {name[:40]!r}")
    return Problem(
        problem_id=f"humaneval-{split}-{index:05d}",
        benchmark="humaneval",
        split=split,
        question=f"{TASK}\n\n{prompt.strip()}",
        answer=prompt + text_in(row, "canonical_solution"),
        tests=(f"{text_in(row, 'test')}\ncheck({name})",),
    )


HUMANEVAL = Benchmark(
    name="humaneval",
    title="HumanEval",
    repo="openai/openai_humaneval",
    license="mit",
    kind="code",
    read=_read,
    instruction=PROGRAM,
)
