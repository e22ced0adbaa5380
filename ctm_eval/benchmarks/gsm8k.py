"""GSM8K, and GSM1K and GSM-Symbolic: grade-school word problems; a worked solution ends with `#### 18`.

In GSM1K the answer is the number alone (arXiv 2405.00332). GSM-Symbolic has templates of GSM8K with other
names and numbers (arXiv 2410.05229).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ctm_eval.data_files import text_in
from ctm_eval.grading.extract import gold_answer
from ctm_eval.types import Benchmark, Problem


def _reader(name: str) -> Callable[[dict[str, Any], str, int], Problem]:
    def read(row: dict[str, Any], split: str, index: int) -> Problem:
        return Problem(
            problem_id=f"{name}-{split}-{index:05d}",
            benchmark=name,
            split=split,
            question=text_in(row, "question"),
            answer=gold_answer(text_in(row, "answer")),
        )

    return read


GSM8K = Benchmark(
    name="gsm8k",
    title="GSM8K",
    repo="openai/gsm8k",
    config="main",
    license="mit",
    kind="math",
    answer_format="####",
    read=_reader("gsm8k"),
    shots=8,  # arXiv 2411.19943, table 3
    exemplars="gsm8k",
    instruction="Think step by step. End with a line `#### ` and the number that is the answer.",
)
GSM1K = replace(
    GSM8K,
    name="gsm1k",
    title="GSM1K",
    repo="ScaleAI/gsm1k",
    config=None,
    license="unknown",
    read=_reader("gsm1k"),
)
GSM_SYMBOLIC = replace(
    GSM8K,
    name="gsm-symbolic",
    title="GSM-Symbolic",
    repo="apple/GSM-Symbolic",
    license="cc-by-nc-nd-4.0",
    read=_reader("gsm-symbolic"),
)
