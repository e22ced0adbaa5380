"""`qa`: your own benchmark, a file of questions with their answers."""

from typing import Any

from ctm_eval.data_files import kind_of, text_in
from ctm_eval.errors import CtmError
from ctm_eval.grading.extract import gold_answer
from ctm_eval.types import Benchmark, Problem


def _read(row: dict[str, Any], split: str, index: int) -> Problem:
    """A row such as {"question": "What is 6 times 3?", "answer": "18", "level": "easy"}.

    The answer is bare, or a worked solution that ends with `#### 18` or has it in a box. A number is
    taken as it is written.
    """
    answer = row.get("answer")
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        told = "null" if answer is None and "answer" in row else kind_of(answer)
        told = told if "answer" in row else "missing"
        raise CtmError(f"the field 'answer' must be text or a number, not {told}")
    subject, level = row.get("subject"), row.get("level")
    return Problem(
        problem_id=f"qa-{split}-{index:05d}",
        benchmark="qa",
        split=split,
        question=text_in(row, "question", "problem"),
        answer=gold_answer(str(answer)),
        subject=None if subject is None else str(subject),
        level=None if level is None else str(level),
    )


QA = Benchmark(
    name="qa",
    title="questions of a file",
    license="unknown",
    kind="math",
    answer_format="####",
    read=_read,
    instruction="Think step by step. End with a line `#### ` and the answer.",
)
