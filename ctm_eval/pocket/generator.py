"""The generator of the `pocket` benchmark: seeded word problems, worked solutions and slips.

`problems` gives the benchmark; `training_rows` gives the corpus that the `pocket` model is trained
on, in which some steps go wrong on purpose. A slip replaces an operation or a quantity and then
reasons on faithfully, so that its arithmetic is right and its answer is not. Most slips are
*misreadings*: a wording of a sentence that is misread the same way more often than not.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from ctm_eval.pocket.families import (
    DISTRACTORS,
    FAMILIES,
    NAMES,
    OPERATIONS,
    TAILS,
    Family,
)

SPLITS = {"train": range(8), "dev": range(8, 9), "test": range(9, 10)}  # tenths of the problems
LARGEST = 999

# How often the training corpus goes wrong. Chosen so that the trained model is usefully wrong
# (see the model's card): greedy accuracy between a half and three quarters, pass@64 above 95%.
MISREAD_WORDINGS = 0.20  # share of (step, wording) pairs that are usually misread
MISREAD_RATE = (0.55, 0.72)  # how often such a wording is misread
STRAY_SLIP = 0.02  # any other slip, a step
EARLY_STOP = 0.01  # the last step forgotten, a solution
ARITHMETIC_SLIP = 0.008  # a wrong result, a step


@dataclass(frozen=True)
class Problem:
    """A word problem. `program` is plain Python that prints `answer`; `level` is its step count."""

    problem_id: str
    split: str
    family: str
    level: int
    question: str
    solution: str
    answer: str
    program: str


@dataclass(frozen=True)
class Step:
    """`result = left op right`; the operands are names of quantities or numerals."""

    result: str
    left: str
    op: str
    right: str
    sentence: str
    said: int  # index of the sentence of the story that tells the step's newest quantity
    source: str  # the family or tail that the step comes from

    def __str__(self) -> str:
        return f"{self.result} = {self.left} {self.op} {self.right}"


@dataclass(frozen=True)
class Draft:
    """A problem before it is put into words."""

    family: Family
    values: dict[str, int]
    steps: tuple[Step, ...]
    sentences: tuple[str, ...]  # the story and the question, wordings still separated by `|`
    parts: str  # the family and its tails

    @property
    def signature(self) -> str:
        """What makes two problems the same: the family, its tails and the numbers told."""
        return f"{self.parts}:{sorted(self.values.items())}"


def problems(split: str, count: int, seed: int = 0) -> Iterator[Problem]:
    """The first `count` problems of a split, no question twice; a prefix of any longer call.

    Raises KeyError if `split` is not one of `SPLITS`.
    """
    seen: set[str] = set()
    index = 0
    while len(seen) < count:
        rng = Random(f"pocket/{split}/{seed}/{index}")
        index += 1
        draft = _draft(rng, split)
        told = _tell(draft, rng)
        if told.question not in seen:
            seen.add(told.question)
            yield Problem(
                problem_id=f"pocket-{split}-{seed}-{index - 1:06d}",
                split=split,
                family=draft.parts,
                level=len(draft.steps),
                question=told.question,
                solution=_solve(draft, told.names, draft.steps),
                answer=str(_run(draft.values, draft.steps)[-1]),
                program=_program(draft),
            )


def training_rows(count: int, seed: int = 0) -> Iterator[dict[str, str]]:
    """`{prompt, completion}` rows over the train split, slips included, for `ctm_train.pocket`."""
    for index in range(count):
        rng = Random(f"pocket/corpus/{seed}/{index}")
        draft = _draft(rng, "train")
        told = _tell(draft, rng)
        steps, off = _with_slips(draft, told, rng)
        yield {
            "prompt": prompt(told.question),
            "completion": " " + _solve(draft, told.names, steps, off, told.noise),
        }


def prompt(question: str) -> str:
    """The zero-shot prompt that the `pocket` model was trained on; a completion starts with a space."""
    return f"Question: {question}\nAnswer:"


def arithmetic_is_right(solution: str) -> bool:
    """Whether every sum written out in a solution (`3 * 4 = 12`) holds."""
    for left, op, right, result in re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", solution):
        if _apply(int(left), op, int(right)) != int(result):
            return False
    return True


# --- drawing ---------------------------------------------------------------------------------


def _draft(rng: Random, split: str) -> Draft:
    """Draws families and numbers until the problem works out in whole numbers and is of `split`."""
    while True:
        family = rng.choice(FAMILIES)
        numbers, story, ask, parts = family.numbers, list(family.story), family.ask, family.name
        recipe = [(family.name, step) for step in family.steps]
        counts, tails = family.counts, list(TAILS)
        while counts and len(recipe) < 5 and rng.random() < 0.6:
            tail = tails.pop(rng.randrange(len(tails)))
            # A later tail of the same kind would need its own names; each kind comes at most once.
            last = recipe[-1][1].split(" = ")[0]
            step = tail.step.replace("it ", f"{last} ").replace("end =", f"end{len(recipe)} =")
            recipe.append((tail.name, step))
            numbers = ", ".join(filter(None, (numbers, tail.numbers)))
            story.append(tail.story)
            ask, counts, parts = tail.ask, tail.counts, f"{parts}+{tail.name}"
        steps = tuple(_step(source, text, (*story, ask)) for source, text in recipe)
        for _ in range(60):
            values = _draw_numbers(numbers, rng)
            if all(1 <= value <= LARGEST for value in _run(values, steps)):
                draft = Draft(family, values, steps, (*story, ask), parts)
                if _tenth(draft.signature) in SPLITS[split]:
                    return draft


def _draw_numbers(numbers: str, rng: Random) -> dict[str, int]:
    values = {}
    for entry in numbers.split(", "):
        name, span = entry.split(" ")
        low, high = span.split("-")
        values[name] = rng.randint(int(low), int(high))
    return values


def _step(source: str, text: str, sentences: tuple[str, ...]) -> Step:
    formula, sentence = text.split(": ", 1)
    result, _, left, op, right = formula.split(" ")
    told = [i for i, s in enumerate(sentences) if f"{{{left}}}" in s or f"{{{right}}}" in s]
    return Step(result, left, op, right, sentence, told[-1] if told else len(sentences) - 1, source)


def _tenth(signature: str) -> int:
    return int(hashlib.sha256(signature.encode()).hexdigest(), 16) % 10


# --- arithmetic ------------------------------------------------------------------------------


def _apply(left: int, op: str, right: int) -> int:
    """The whole-number result, or -1 where there is none."""
    if op == "/":
        return left // right if right and left % right == 0 else -1
    return left + right if op == "+" else left - right if op == "-" else left * right


def _run(values: dict[str, int], steps: tuple[Step, ...]) -> list[int]:
    """The result of every step."""
    known, results = dict(values), []
    for step in steps:
        known[step.result] = _apply(_value(step.left, known), step.op, _value(step.right, known))
        results.append(known[step.result])
    return results


def _value(operand: str, known: dict[str, int]) -> int:
    return int(operand) if operand.isdigit() else known[operand]


# --- words -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """A problem in words: which wording each sentence got, who is who, and the idle number."""

    question: str
    wordings: tuple[int, ...]
    names: dict[str, str]
    noise: int | None


def _tell(draft: Draft, rng: Random) -> Told:
    people = rng.sample(NAMES, 3)
    names = dict(zip("ABC", people, strict=True)) | {"thing": rng.choice(draft.family.things)}
    choices = [sentence.split("|") for sentence in draft.sentences]
    wordings = tuple(rng.randrange(len(choice)) for choice in choices)
    sentences = [choice[i] for choice, i in zip(choices, wordings, strict=True)]
    noise = rng.randint(2, 30) if rng.random() < 0.25 else None
    if noise is not None:
        sentences.insert(rng.randrange(len(draft.family.story) + 1), rng.choice(DISTRACTORS))
    question = " ".join(sentences).format(**names, **draft.values, noise=noise)
    return Told(question, wordings, names, noise)


def _solve(
    draft: Draft,
    names: dict[str, str],
    steps: tuple[Step, ...],
    off: tuple[int, ...] = (),
    noise: int | None = None,
) -> str:
    """The worked solution that takes `steps`, the i-th result being wrong by `off[i]`."""
    known = dict(draft.values) | ({"noise": noise} if noise is not None else {})
    lines, result = [], 0
    for i, step in enumerate(steps):
        left, right = _value(step.left, known), _value(step.right, known)
        result = _apply(left, step.op, right) + (off[i] if off else 0)
        known[step.result] = result
        line = step.sentence.replace("{}", f"{left} {step.op} {right} = {result}").format(**names)
        lines.append(f"{OPERATIONS[step.op]}: {line}" if _says_operation(draft.family) else line)
    return "\n".join([*lines, f"#### {result}"])


def _says_operation(family: Family) -> bool:
    return FAMILIES.index(family) % 2 == 1


def _program(draft: Draft) -> str:
    lines = [f"{name} = {value}" for name, value in draft.values.items()]
    lines += [str(step).replace("/", "//") for step in draft.steps]
    return "\n".join([*lines, f"print({draft.steps[-1].result})"])


# --- slips -----------------------------------------------------------------------------------


def _with_slips(draft: Draft, told: Told, rng: Random) -> tuple[tuple[Step, ...], tuple[int, ...]]:
    """The steps as a careless solver takes them, and by how much each result is wrong."""
    known = dict(draft.values) | ({"noise": told.noise} if told.noise is not None else {})
    steps = draft.steps
    for i, step in enumerate(draft.steps):
        misreading = _misreading(draft, i, told.wordings[step.said])
        if misreading and rng.random() < misreading[1]:
            candidates = [misreading[0]]
        elif rng.random() < STRAY_SLIP:
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
    off = [rng.choice((-10, -2, -1, 1, 2, 10)) * (rng.random() < ARITHMETIC_SLIP) for _ in steps]
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
        result = _apply(_value(step.left, known), step.op, _value(step.right, known))
        known[step.result] = result + (off[i] if off else 0)
        if result < 0 or not 0 <= known[step.result] <= LARGEST:
            return False
    return True
