"""PRM800K (arXiv 2305.20050): a solution step by step, as labellers chose and rated them.

{"question": {"problem": …, "ground_truth_answer": …},
 "label": {"finish_reason": "found_error", "steps": [{"completions": [{"text": …, "rating": -1}],
                                                     "human_completion": null, "chosen_completion": null}]}}

The solution is the chosen completion of each step, or the human's, and at the end the one rated -1.
"""

from typing import Any

from ctm_data.formats.record import (
    Format,
    Row,
    Step,
    Stepped,
    Unfit,
    at,
    each,
    entries,
    joined,
    text,
)

FINISHED = {"solution": True, "found_error": False}


def _read(row: Row) -> Stepped:
    finish = at(row, "label", "finish_reason")
    if not isinstance(finish, str) or finish not in FINISHED:
        raise Unfit("a solution that labellers gave up")
    taken: list[tuple[str, int | None]] = []
    for step in entries(row, "label", "steps"):
        if taken and taken[-1][1] == -1:
            raise Unfit("a step after a wrong one")
        taken.append(_taken(step))
    whole, spans = joined([piece for piece, _ in taken])
    answer = at(row, "question", "ground_truth_answer")
    return Stepped(
        question=text(row, "question", "problem"),
        text=whole,
        steps=tuple(
            Step(*span, label=None if rating is None else rating >= 0, rating=rating)
            for span, (_, rating) in zip(spans, taken, strict=True)
        ),
        answer=None if answer is None else text(row, "question", "ground_truth_answer"),
        correct=FINISHED[finish],
    )


def _taken(step: Any) -> tuple[str, int | None]:
    """The text and the rating of the completion that the solution goes on with, or ends with."""
    completions = at(step, "completions")
    completions = completions if isinstance(completions, list) else []
    chosen = at(step, "chosen_completion")
    if chosen is None and at(step, "human_completion") is not None:
        return text(step, "human_completion", "text"), None
    if chosen is None:
        wrong = [one for one in completions if at(one, "rating") == -1]
        if not wrong:
            raise Unfit("a step without a chosen completion")
        return text(wrong[0], "text"), -1
    if (
        isinstance(chosen, bool)
        or not isinstance(chosen, int)
        or not 0 <= chosen < len(completions)
    ):
        raise Unfit("a chosen_completion that is not there")
    rating = at(completions[chosen], "rating")
    if rating is not None and (isinstance(rating, bool) or rating not in (-1, 0, 1)):
        raise Unfit("a rating other than -1, 0 and 1")
    return text(completions[chosen], "text"), None if rating is None else int(rating)


def _write(record: Stepped) -> dict[str, Any]:
    if record.correct is None:
        raise Unfit("a solution of which it is not known whether it is right")
    steps = []
    for piece, step in zip(record.pieces(), record.steps, strict=True):
        rating = step.rating
        if rating is None and step.label is not None:
            rating = 1 if step.label else -1
        completion = {"text": piece, "rating": rating, "flagged": False}
        chosen = None if rating == -1 else 0
        steps.append(
            {"completions": [completion], "human_completion": None, "chosen_completion": chosen}
        )
        if rating == -1:
            break  # labellers go no further
    reason = "solution" if record.correct else "found_error"
    return {
        "question": {"problem": record.question, "ground_truth_answer": record.answer},
        "label": {"steps": steps, "finish_reason": reason},
    }


PRM800K = Format("prm800k", each(_read), each(_write))
