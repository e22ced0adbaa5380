"""`pocket-code`: small programming tasks, made of the word problems with letters for their numbers.

A task asks for the function `solve` of the quantities that a story tells. The reference program takes
the steps of the worked solution; the tests call it with numbers that work out, drawn from a seed.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from ctm_eval.pocket.generator import (
    SPLITS,
    Draft,
    Step,
    Told,
    draw_draft,
    redraw_numbers,
    results_of,
    tell,
)

TESTS = 3


@dataclass(frozen=True)
class Task:
    """A programming task. `program` defines `solve`; each test is one `assert` on it."""

    problem_id: str
    split: str
    family: str
    level: int
    question: str
    program: str
    tests: tuple[str, ...]


def tasks(split: str, count: int, seed: int = 0) -> Iterator[Task]:
    """The first `count` tasks of a split, no text twice; a prefix of any longer call.

    A story in the same wording is in one split only, whoever it is about and whatever the numbers.
    Raises KeyError if `split` is not one of `SPLITS`.
    """
    seen: set[str] = set()
    index = 0
    while len(seen) < count:
        rng = Random(f"pocket-code/{split}/{seed}/{index}")
        index += 1
        draft, told = draw_story(rng)
        if not in_split(draft, told, split) or told.question in seen:
            continue
        seen.add(told.question)
        yield Task(
            problem_id=f"pocket-code-{split}-{seed}-{index - 1:06d}",
            split=split,
            family=draft.parts,
            level=len(draft.steps),
            question=ask(draft, told),
            program=function(draft, draft.steps),
            tests=tests(draft, rng),
        )


def draw_story(rng: Random) -> tuple[Draft, Told]:
    """A story of any split with letters for its numbers."""
    draft = draw_draft(rng, None)
    return draft, tell(draft, rng, {name: f"`{name}`" for name in draft.values})


def in_split(draft: Draft, told: Told, split: str) -> bool:
    """Whether a story in its wording is of a split."""
    return _tenth(draft.parts, told.wordings) in SPLITS[split]


def ask(draft: Draft, told: Told) -> str:
    """What a task asks for."""
    return f"Write a Python function solve({', '.join(draft.values)}) for this: {told.question}"


def tests(draft: Draft, rng: Random) -> tuple[str, ...]:
    """Calls of the function, the first with the draft's own numbers."""
    calls = [draft.values, *(redraw_numbers(draft, rng) for _ in range(TESTS - 1))]
    return tuple(f"assert solve({_list(call)}) == {_result(call, draft.steps)}" for call in calls)


def function(draft: Draft, steps: tuple[Step, ...]) -> str:
    """The function that takes `steps`."""
    lines = [f"    {str(step).replace('/', '//')}" for step in steps]
    head = f"def solve({', '.join(draft.values)}):"
    return "\n".join([head, *lines, f"    return {steps[-1].result}"])


def _list(values: dict[str, int]) -> str:
    return ", ".join(map(str, values.values()))


def _result(values: dict[str, int], steps: tuple[Step, ...]) -> int:
    return results_of(values, steps)[-1]


def _tenth(parts: str, wordings: tuple[int, ...]) -> int:
    return int(hashlib.sha256(f"{parts}:{wordings}".encode()).hexdigest(), 16) % 10
