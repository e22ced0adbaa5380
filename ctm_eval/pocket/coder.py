"""The corpus that `pocket-coder` is trained on: solutions and stories as programs, programs in words.

The coder reads the question too. Some of its steps it takes from there, whatever the solution does
(`READ`); the others it takes from the solution. So a program disagrees with wrong arithmetic, with
numbers copied wrongly and with some of the misreadings.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from random import Random

from ctm_eval.cotnpot import description_prompt, fenced, program_prompt
from ctm_eval.pocket.coding import ask, draw_story, function, in_split, tests
from ctm_eval.pocket.corpus import with_slips
from ctm_eval.pocket.generator import Draft, Step, Told, draw_draft, solve, tell
from ctm_eval.prompts import exercise, with_tests

KINDS = {"translate": 0.65, "write": 0.27, "describe": 0.08}  # shares of the rows
READ = 0.5  # share of (step, wording) pairs that the coder takes from the question
# The solutions that the coder is shown are worse than those of the pocket corpus, so that it learns to
# do without their results and their numbers.
STRAY, ARITHMETIC, MISCOPIED = 0.03, 0.05, 0.02
IN_WORDS = {"+": "Add {} and {}", "-": "Subtract {1} from {0}", "*": "Multiply {} by {}",
            "/": "Divide {} by {}"}  # fmt: skip


def coder_rows(count: int, seed: int = 0, read: float = READ) -> Iterator[dict[str, str]]:
    """`{prompt, completion}` rows over the train split for `ctm_train.pocket`."""
    for index in range(count):
        rng = Random(f"pocket/coder/{seed}/{index}")
        [kind] = rng.choices(list(KINDS), list(KINDS.values()))
        yield _translation(rng, read) if kind == "translate" else _of_a_task(rng, kind)


def described(draft: Draft, steps: tuple[Step, ...], names: dict[str, str]) -> str:
    """What a program that takes `steps` does, in the words of the worked solution."""
    words = (
        f"{IN_WORDS[step.op].format(step.left, step.right)}: "
        f"{step.sentence.replace('{}', 'that many').format(**names)}"
        for step in steps
    )
    return " ".join(words)


def _translation(rng: Random, read: float) -> dict[str, str]:
    draft = draw_draft(rng, "train")
    told = tell(draft, rng)
    steps, off = with_slips(draft, told, rng, stray=STRAY, arithmetic=ARITHMETIC)
    solution = solve(draft, told.names, steps, off, told.noise)
    if rng.random() < MISCOPIED * len(steps):
        solution = _miscopied(solution, rng)
    taken = tuple(
        right if i >= len(steps) or _is_read(right, told, read) else steps[i]
        for i, right in enumerate(draft.steps)
        if i < len(steps) or _is_read(right, told, read)
    )
    return {
        "prompt": program_prompt(told.question, solution),
        "completion": f"{_program(draft, taken, told.noise)}\n```",
    }


def _is_read(step: Step, told: Told, share: float) -> bool:
    """Whether the coder takes this step, told in this wording, from the question."""
    wording = told.wordings[step.said]
    return Random(f"read {step.source} {step} {wording}").random() < share


def _miscopied(solution: str, rng: Random) -> str:
    """A solution one of whose operands has another digit, the result being as it was."""
    digit = rng.choice([m.start() for m in re.finditer(r"\d(?=\d* [-+*/])|\d(?=\d* =)", solution)])
    other = rng.choice([d for d in "123456789" if d != solution[digit]])
    return solution[:digit] + other + solution[digit + 1 :]


def _program(draft: Draft, steps: tuple[Step, ...], noise: int | None) -> str:
    """Python that takes `steps` on the numbers told, a letter a result, and prints the last one."""
    letters = {step.result: letter for step, letter in zip(steps, "abcdefgh", strict=False)}
    known = {**draft.values, "noise": noise} | letters
    lines = [
        f"{letters[step.result]} = {known.get(step.left, step.left)} {step.op} "
        f"{known.get(step.right, step.right)}"
        for step in steps
    ]
    return "\n".join([*lines, f"print({letters[steps[-1].result]})"])


def _of_a_task(rng: Random, kind: str) -> dict[str, str]:
    draft, told = draw_story(rng)
    while not in_split(draft, told, "train"):
        draft, told = draw_story(rng)
    steps = tuple(_with_numeral(step, told.noise) for step in with_slips(draft, told, rng)[0])
    question = with_tests(ask(draft, told), tests(draft, rng))
    program = function(draft, steps)
    if kind == "write":
        return {"prompt": exercise(question), "completion": f"\n{fenced(program)}"}
    return {
        "prompt": description_prompt(question, program),
        "completion": f" {described(draft, steps, told.names)}",
    }


def _with_numeral(step: Step, noise: int | None) -> Step:
    """A function is not told the idle number: it stands there as a numeral."""
    left, right = (str(noise) if name == "noise" else name for name in (step.left, step.right))
    return replace(step, left=left, right=right)
