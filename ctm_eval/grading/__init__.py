"""Grading of final answers: what a model wrote against what the benchmark says.

>>> from ctm_eval.grading import grade
>>> grade("18", "She makes 9 * 2 = $18 a day.\\n#### 18").correct
True

Model text is hostile input: it is read by a bounded parser and never evaluated. `docs/grading.md`
says what counts as the same answer.
"""

from typing import TYPE_CHECKING, Any

from ctm_eval.grading.explain import explain
from ctm_eval.grading.extract import Extraction, extract, gold_answer
from ctm_eval.grading.grade import equal, grade, matches
from ctm_eval.grading.many import grade_many
from ctm_eval.grading.verdict import Equality, Verdict

if TYPE_CHECKING:
    from ctm_eval.grading.files import FileGrades, grade_file

__all__ = [
    "Equality",
    "Extraction",
    "FileGrades",
    "Verdict",
    "equal",
    "explain",
    "extract",
    "gold_answer",
    "grade",
    "grade_file",
    "grade_many",
    "matches",
]


def __getattr__(name: str) -> Any:
    """Imports what grades files when it is asked for: a reward needs no files, and starts sooner."""
    if name not in ("FileGrades", "grade_file"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ctm_eval.grading import files

    return getattr(files, name)
