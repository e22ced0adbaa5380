"""The generator of the `pocket` benchmark: seeded word problems with worked solutions and programs."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
    numbers: str  # the quantities told and their ranges

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
        draft = draw_draft(rng, split)
        told = tell(draft, rng)
        if told.question not in seen:
            seen.add(told.question)
            yield Problem(
                problem_id=f"pocket-{split}-{seed}-{index - 1:06d}",
                split=split,
                family=draft.parts,
                level=len(draft.steps),
                question=told.question,
                solution=solve(draft, told.names, draft.steps),
                answer=str(results_of(draft.values, draft.steps)[-1]),
                program=_program(draft),
            )


def arithmetic_is_right(solution: str) -> bool:
    """Whether every sum written out in a solution (`3 * 4 = 12`) holds."""
    for left, op, right, result in re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", solution):
        if calculate(int(left), op, int(right)) != int(result):
            return False
    return True


# --- drawing ---------------------------------------------------------------------------------


def draw_draft(rng: Random, split: str | None) -> Draft:
    """Draws families and numbers until the problem works out in whole numbers and is of `split`, if any."""
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
            if works_out(values, steps):
                draft = Draft(family, values, steps, (*story, ask), parts, numbers)
                if split is None or _tenth(draft.signature) in SPLITS[split]:
                    return draft


def redraw_numbers(draft: Draft, rng: Random) -> dict[str, int]:
    """Other numbers for the same story, which work out too."""
    while True:
        values = _draw_numbers(draft.numbers, rng)
        if works_out(values, draft.steps):
            return values


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


def calculate(left: int, op: str, right: int) -> int:
    """The whole-number result, or -1 where there is none."""
    if op == "/":
        return left // right if right and left % right == 0 else -1
    return left + right if op == "+" else left - right if op == "-" else left * right


def works_out(values: dict[str, int], steps: tuple[Step, ...]) -> bool:
    """Whether every step has a whole result from 1 to `LARGEST`."""
    return all(1 <= value <= LARGEST for value in results_of(values, steps))


def results_of(values: dict[str, int], steps: tuple[Step, ...]) -> list[int]:
    """The result of every step."""
    known, results = dict(values), []
    for step in steps:
        known[step.result] = calculate(
            value_of(step.left, known), step.op, value_of(step.right, known)
        )
        results.append(known[step.result])
    return results


def value_of(operand: str, known: dict[str, int]) -> int:
    """What an operand stands for: a numeral or a known quantity."""
    return int(operand) if operand.isdigit() else known[operand]


# --- words -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """A problem in words: which wording each sentence got, who is who, and the idle number."""

    question: str
    wordings: tuple[int, ...]
    names: dict[str, str]
    noise: int | None


def tell(draft: Draft, rng: Random, numbers: Mapping[str, object] | None = None) -> Told:
    """Puts a problem into words: people, things, wordings and, in a quarter of them, an idle number.

    `numbers` is what is said in place of the quantities' values.
    """
    people = rng.sample(NAMES, 3)
    names = dict(zip("ABC", people, strict=True)) | {"thing": rng.choice(draft.family.things)}
    choices = [sentence.split("|") for sentence in draft.sentences]
    wordings = tuple(rng.randrange(len(choice)) for choice in choices)
    sentences = [choice[i] for choice, i in zip(choices, wordings, strict=True)]
    noise = rng.randint(2, 30) if rng.random() < 0.25 else None
    if noise is not None:
        sentences.insert(rng.randrange(len(draft.family.story) + 1), rng.choice(DISTRACTORS))
    question = " ".join(sentences).format(**names, **(numbers or draft.values), noise=noise)
    return Told(question, wordings, names, noise)


def solve(
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
        left, right = value_of(step.left, known), value_of(step.right, known)
        result = calculate(left, step.op, right) + (off[i] if off else 0)
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
