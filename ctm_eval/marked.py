"""Solutions whose first wrong step a human has marked: CHAMP's, and files in the shape of ProcessBench.

ProcessBench (arXiv 2412.06559): {"id", "generator", "problem", "steps": […], "label": 3,
"final_answer_correct"}; `label` is the index of the first wrong step, -1 where there is none. CHAMP marks
characters; its solutions are cut into lines here, and the first line that a mark touches is the wrong one.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ctm_eval.benchmarks.champ import champ_rows
from ctm_eval.data_files import read_rows
from ctm_eval.errors import CtmError
from ctm_eval.grading.extract import extract
from ctm_eval.steps import StepRule, text_steps
from ctm_eval.types import Problem

BETWEEN = "\n\n"  # steps of ProcessBench, as its authors join them


@dataclass(frozen=True)
class Marked:
    """A solution cut into `steps`, (start, end) in characters of its `text`.

    `label` is the index of the first wrong step, None for a right solution; `span` are the characters
    that the human marked. `subset` is the data that it is from. `answer` of the problem is "" where the
    data do not say it.
    """

    marked_id: str
    problem: Problem
    generator: str
    text: str
    steps: tuple[tuple[int, int], ...]
    label: int | None
    span: tuple[int, int] | None
    final_answer_correct: bool | None = None
    subset: str = "champ"

    def step_texts(self) -> list[str]:
        """The text of each step."""
        return [self.text[start:end] for start, end in self.steps]


def marked_solutions(
    data_file: str | Path | None = None, *, limit: int | None = None, rule: StepRule = "lines"
) -> list[Marked]:
    """The solutions of a file in ProcessBench's shape, or else CHAMP's, cut by `rule`.

    `limit` takes the first so many. A file may also have the gold `answer`; where it has none, it is that
    of another solution of the same problem whose final answer is right. Raises CtmError naming a row that
    cannot be read.
    """
    found = _champ(rule) if data_file is None else _of_rows(read_rows(data_file))
    return found[:limit]


def _champ(rule: StepRule) -> list[Marked]:
    found = []
    for problem, row in champ_rows():
        for index, annotation in enumerate((row.get("fws_annotations") or {}).values()):
            text, start, end = (annotation[key] for key in ("text", "start_idx", "end_idx"))
            steps = text_steps(text, rule)
            span = None if start is None else (start, end)
            label = None
            if span is not None:
                label = next((i for i, step in enumerate(steps) if step[1] > span[0]), None)
            found.append(
                Marked(
                    marked_id=f"{problem.problem_id}-{index:03d}",
                    problem=problem,
                    generator=annotation["author"],
                    text=text,
                    steps=tuple(steps),
                    label=label,
                    span=span,
                )
            )
    return found


def _of_rows(rows: Iterable[tuple[str, dict[str, Any]]]) -> list[Marked]:
    """The rows of a file in ProcessBench's shape."""
    found: list[Marked] = []
    seen: Counter[str] = Counter()
    first: dict[str, tuple[str, str]] = {}  # by id, where its problem is said first, and what it is
    for where, row in rows:
        steps, label = row.get("steps"), row.get("label")
        question = row.get("problem")
        if (
            not isinstance(question, str)
            or not isinstance(steps, list)
            or not steps
            or not all(isinstance(step, str) and step.strip() for step in steps)
        ):
            raise CtmError(
                f"{where} needs a text `problem` and a list of texts `steps`", usage=True
            )
        if isinstance(label, bool) or not isinstance(label, int) or not -1 <= label < len(steps):
            raise CtmError(
                f"{where}: `label` must be the index of one of its {len(steps)} steps, or -1, not "
                f"{label!r}",
                usage=True,
            )
        right = row.get("final_answer_correct")
        if right is not None and not isinstance(right, bool):
            raise CtmError(f"{where}: `final_answer_correct` must be true or false", usage=True)
        spans, text = joined(steps)
        name = str(row.get("id") or f"row-{len(found):05d}")
        seen[name] += 1
        before, said = first.setdefault(name, (where, question))
        if said != question:
            raise CtmError(
                f"{where} has the id {name} of another problem, that of {before}: give it an id of its own",
                usage=True,
            )
        found.append(
            Marked(
                marked_id=name if seen[name] == 1 else f"{name}#{seen[name]}",
                problem=Problem(
                    problem_id=name,
                    benchmark="math",
                    split=name.partition("-")[0],
                    question=question,
                    answer=str(row.get("answer") or ""),
                ),
                generator=str(row.get("generator") or ""),
                text=text,
                steps=spans,
                label=None if label < 0 else label,
                span=None if label < 0 else spans[label],
                final_answer_correct=right,
                subset=name.partition("-")[0],
            )
        )
    return _with_answers(found)


def joined(steps: Sequence[str]) -> tuple[tuple[tuple[int, int], ...], str]:
    """The spans of steps in the text that they make, a blank line after each but the last."""
    spans, text = [], ""
    for index, step in enumerate(steps):
        start = len(text)
        text += step + (BETWEEN if index < len(steps) - 1 else "")
        spans.append((start, len(text)))
    return tuple(spans), text


def _with_answers(found: list[Marked]) -> list[Marked]:
    """The same, with the answers that solutions of the same problem give away."""
    answers = {one.problem.question: one.problem.answer for one in found if one.problem.answer}
    for one in found:
        if one.final_answer_correct and one.problem.question not in answers:
            answer = extract(one.text, finished=True, hash_first=False).answer
            if answer:
                answers[one.problem.question] = answer
    return [
        replace(one, problem=replace(one.problem, answer=answers.get(one.problem.question, "")))
        for one in found
    ]
