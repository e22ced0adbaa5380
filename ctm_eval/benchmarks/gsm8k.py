"""GSM8K: grade-school word problems; a worked solution ends with `#### 18`."""

from typing import Any

from ctm_eval.data_files import text_in
from ctm_eval.grading.extract import gold_answer
from ctm_eval.types import Benchmark, Problem


def _read(row: dict[str, Any], split: str, index: int) -> Problem:
    return Problem(
        problem_id=f"gsm8k-{split}-{index:05d}",
        benchmark="gsm8k",
        split=split,
        question=text_in(row, "question"),
        answer=gold_answer(text_in(row, "answer")),
    )


GSM8K = Benchmark(
    name="gsm8k",
    title="GSM8K",
    repo="openai/gsm8k",
    config="main",
    license="mit",
    kind="math",
    answer_format="####",
    read=_read,
    shots=8,  # arXiv 2411.19943, table 3
    exemplars="gsm8k",
    instruction="Think step by step. End with a line `#### ` and the number that is the answer.",
)
