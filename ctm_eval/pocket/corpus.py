"""The corpus that the `pocket` model is trained on: problems solved by somebody careless.

A slip replaces an operation or a quantity and then reasons on faithfully, so that its arithmetic is
right and its answer is not. Most slips are *misreadings*: a wording of a sentence that is misread the
same way more often than not.
"""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from ctm_eval.pocket.families import OPERATIONS
from ctm_eval.pocket.generator import (
    LARGEST,
    Draft,
    Step,
    Told,
    calculate,
    draw_draft,
    solve,
    tell,
    value_of,
)
from ctm_eval.prompts import exercise

# How often the training corpus goes wrong. Chosen so that the trained model is usefully wrong
# (see the model's card): greedy accuracy between a half and three quarters, pass@64 above 95%.
MISREAD_WORDINGS = 0.20  # share of (step, wording) pairs that are usually misread
MISREAD_RATE = (0.55, 0.72)  # how often such a wording is misread
STRAY_SLIP = 0.02  # any other slip, a step
EARLY_STOP = 0.01  # the last step forgotten, a solution
ARITHMETIC_SLIP = 0.008  # a wrong result, a step


def training_rows(count: int, seed: int = 0) -> Iterator[dict[str, str]]:
    """`{prompt, completion}` rows over the train split, slips included, for `ctm_train.pocket`."""
    for index in range(count):
        rng = Random(f"pocket/corpus/{seed}/{index}")
        draft = draw_draft(rng, "train")
        told = tell(draft, rng)
        steps, off = with_slips(draft, told, rng)
        yield {
            "prompt": exercise(told.question),
            "completion": " " + solve(draft, told.names, steps, off, told.noise),
        }


def with_slips(
    draft: Draft,
    told: Told,
    rng: Random,
    *,
    stray: float = STRAY_SLIP,
    arithmetic: float = ARITHMETIC_SLIP,
) -> tuple[tuple[Step, ...], tuple[int, ...]]:
    """The steps as a careless solver takes them, and by how much each result is wrong.

    `stray` and `arithmetic` are how often a step is another one, and its result a wrong one.
    """
    known = dict(draft.values) | ({"noise": told.noise} if told.noise is not None else {})
    steps = draft.steps
    for i, step in enumerate(draft.steps):
        misreading = _misreading(draft, i, told.wordings[step.said])
        if misreading and rng.random() < misreading[1]:
            candidates = [misreading[0]]
        elif rng.random() < stray:
            candidates = _alternatives(steps, i, known)
            rng.shuffle(candidates)
        else:
            continue
        for candidate in candidates:
            slipped = (*steps[:i], candidate, *steps[i + 1 :])
            if _works(slipped, known):
                steps = slipped
                break
    if len(steps) > 2 and rng.random() < EARLY_STOP:
        steps = steps[:-1]
    off = [rng.choice((-10, -2, -1, 1, 2, 10)) * (rng.random() < arithmetic) for _ in steps]
    return (steps, tuple(off)) if _works(steps, known, off) else (steps, ())


def _misreading(draft: Draft, index: int, wording: int) -> tuple[Step, float] | None:
    """The step that this wording is usually misread as, and how often; None for a clear wording."""
    step = draft.steps[index]
    rng = Random(f"misreading {step.source} {step} {index} {wording}")
    if rng.random() >= MISREAD_WORDINGS:
        return None
    rate = rng.uniform(*MISREAD_RATE)
    told_before = [name for name in draft.values if name not in (step.left, step.right)]
    if told_before and rng.random() < 0.5:
        side = rng.choice(("left", "right"))
        other = rng.choice(told_before)
        return (replace(step, left=other) if side == "left" else replace(step, right=other)), rate
    return replace(step, op=rng.choice([op for op in "+-*" if op != step.op])), rate


def _alternatives(steps: tuple[Step, ...], i: int, known: dict[str, int]) -> list[Step]:
    """Every step that differs from the i-th in its operation or in one quantity."""
    step = steps[i]
    quantities = [*known, *(earlier.result for earlier in steps[:i])]
    others = [name for name in quantities if name not in (step.left, step.right)]
    return (
        [replace(step, op=op) for op in OPERATIONS if op != step.op]
        + [replace(step, left=name) for name in others]
        + [replace(step, right=name) for name in others]
    )


def _works(steps: tuple[Step, ...], values: dict[str, int], off: list[int] | None = None) -> bool:
    known = dict(values)
    for i, step in enumerate(steps):
        result = calculate(value_of(step.left, known), step.op, value_of(step.right, known))
        known[step.result] = result + (off[i] if off else 0)
        if result < 0 or not 0 <= known[step.result] <= LARGEST:
            return False
    return True
