"""The grader under the names of others: `parse` and `verify` of math-verify, a reward for trl.

    from ctm_eval.grading.compat import parse, verify
    verify(parse("$\\\\frac{1}{2}$"), parse("So it is $0.5$."))  # True

    GRPOTrainer(model, reward_funcs=accuracy_reward("answer"), ...)

Nothing here sets a signal or an alarm, so all of it works in any thread and process; the options of
math-verify that tune its own parser and its time limits are accepted and have no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ctm_eval.errors import CtmError
from ctm_eval.grading.extract import extract
from ctm_eval.grading.grade import grade, matches

Reward = Callable[..., list[float]]


def parse(
    pred: str,
    extraction_config: Sequence[Any] | None = None,
    fallback_mode: str = "first_match",
    extraction_mode: str = "any_match",
    parsing_timeout: int | None = None,
    raise_on_error: bool = False,
    **others: Any,
) -> list[str]:
    """Return the final answer of a text in a list, an empty one if there is none.

    As with math-verify, a text without any mark (a bare gold) has to stand between dollars.
    """
    found = extract(pred)
    return [] if found.answer is None else [found.answer]


def verify(
    gold: Sequence[Any] | Any,
    target: Sequence[Any] | Any,
    float_rounding: int = 6,
    numeric_precision: int = 15,
    strict: bool = True,
    allow_set_relation_comp: bool = False,
    timeout_seconds: int | None = None,
    raise_on_error: bool = False,
    **others: Any,
) -> bool:
    """Return whether any parsed target is any of the parsed golds; values are never rounded."""
    golds = gold if isinstance(gold, (list, tuple)) else [gold]
    targets = target if isinstance(target, (list, tuple)) else [target]
    return any(bool(matches(str(g), str(t))) for g in golds for t in targets)


def accuracy_reward(gold_column: str = "answer", benchmark: str | None = None) -> Reward:
    """Return a reward function for trl's trainers: 1.0 for a right completion, 0.0 for any other.

    `gold_column` is the column of the dataset with the golds (bare answers or worked solutions);
    completions are strings or conversations, whose last message is graded. The function raises
    CtmError when the dataset has no such column.
    """

    def reward(*, completions: Sequence[Any], **columns: Any) -> list[float]:
        if gold_column not in columns:
            raise CtmError(
                f"no column {gold_column!r} in the dataset: name the golds' with "
                "accuracy_reward(gold_column=...)"
            )
        golds = columns[gold_column]
        return [
            float(grade(gold, _text_of(completion), benchmark).correct)
            for gold, completion in zip(golds, completions, strict=True)
        ]

    reward.__name__ = "accuracy_reward"
    return reward


def _text_of(completion: Any) -> str:
    """Return the text of a completion: a string, or the content of its last message."""
    if isinstance(completion, str):
        return completion
    content = completion[-1]["content"] if completion else ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or ())


__all__ = ["accuracy_reward", "parse", "verify"]
