"""MATH, and MATH500, 500 of its problems: competition mathematics with the answer in a box."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ctm_eval.data_files import text_in
from ctm_eval.grading.extract import gold_answer
from ctm_eval.types import Benchmark, Problem


def _reader(name: str) -> Callable[[dict[str, Any], str, int], Problem]:
    def read(row: dict[str, Any], split: str, index: int) -> Problem:
        level, subject = row.get("level"), row.get("subject", row.get("type"))
        return Problem(
            problem_id=f"{name}-{split}-{index:05d}",
            benchmark=name,
            split=split,
            question=text_in(row, "problem"),
            answer=(
                text_in(row, "answer") if "answer" in row else gold_answer(text_in(row, "solution"))
            ),
            subject=None if subject is None else str(subject),
            level=str(level).removeprefix("Level ") if level is not None else None,
        )

    return read


MATH500 = Benchmark(
    name="math500",
    title="MATH500",
    repo="HuggingFaceH4/MATH-500",
    license="mit",
    kind="math",
    answer_format="box",
    read=_reader("math500"),
    shots=4,  # arXiv 2411.19943, table 3
    exemplars="math",
    instruction=r"Think step by step. Put the final answer into \boxed{}.",
)
MATH = replace(
    MATH500,
    name="math",
    title="MATH",
    repo="DigitalLearningGmbH/MATH-lighteval",
    read=_reader("math"),
)
