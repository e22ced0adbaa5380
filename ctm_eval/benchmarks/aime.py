"""AIME 2024 and 2025: thirty problems each, whose answers are whole numbers from 0 to 999.

{"problem": "Every morning…", "answer": "204"}, or with a `solution` that has the answer in a box; field
names may be capitalised, and an answer may be a number or begin with zeros.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ctm_eval.benchmarks.math import MATH500
from ctm_eval.data_files import text_in
from ctm_eval.errors import CtmError
from ctm_eval.grading.extract import gold_answer
from ctm_eval.types import Problem


def _reader(name: str) -> Callable[[dict[str, Any], str, int], Problem]:
    def read(row: dict[str, Any], split: str, index: int) -> Problem:
        row = {key.lower(): value for key, value in row.items()}
        said = str(row["answer"]) if "answer" in row else gold_answer(text_in(row, "solution"))
        digits = said.strip()
        if not (digits.isascii() and digits.isdigit() and int(digits) < 1000):
            raise CtmError(f"the answer must be a whole number from 0 to 999, not {said[:40]!r}")
        return Problem(
            problem_id=f"{name}-{split}-{index:05d}",
            benchmark=name,
            split=split,
            question=text_in(row, "problem"),
            answer=str(int(digits)),
        )

    return read


AIME24 = replace(
    MATH500,
    name="aime24",
    title="AIME 2024",
    repo="math-ai/aime24",
    license="unknown",
    read=_reader("aime24"),
)
AIME25 = replace(
    AIME24, name="aime25", title="AIME 2025", repo="math-ai/aime25", read=_reader("aime25")
)
