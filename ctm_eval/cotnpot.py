"""CoTnPoT: solutions checked by programs, and programs described in words (arXiv 2410.05318).

A coder model turns a worked solution into a program, which runs in the sandbox. A solution whose answer
differs from the program's output is dropped before a verifier or a vote chooses. If no solution of a
problem agrees, the paper drops them all; here all are kept, because every problem needs an answer.
If solutions are programs, the model that wrote a program describes it, and a verifier reads both.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ctm_eval.engines import Request, Sampler, Sampling
from ctm_eval.printed import printed_answers, same_answer
from ctm_eval.progress import Advance
from ctm_eval.prompts import exercise
from ctm_eval.sandbox import Outcome, Program, Sandbox
from ctm_eval.scoring import program_of
from ctm_eval.seeds import seed_of
from ctm_eval.types import Problem

Result = Literal[
    "agrees",  # it prints the solution's answer
    "disagrees",  # it prints another one
    "unanswered",  # the solution has no answer; the coder is not asked
    "too_long",  # the model's positions leave no room for a program after the solution
    "no_program",
    "unparsed",  # not Python
    "failed",
    "timeout",
    "refused",  # it exceeded what the sandbox allows, output included
    "silent",  # it prints nothing
    "several",  # it prints different answers
]
RESULTS: tuple[Result, ...] = get_args(Result)
GREEDY = Sampling(0.0)
FENCE = "```"

CotSolution = tuple[Problem, str, str | None]  # the problem, the solution's text, its answer


@dataclass(frozen=True)
class Check:
    """The result of checking a solution by a program.

    `token_ids` are the tokens that the coder wrote, including the end token; `program` is the Python in
    them; `printed` is the answer that it printed, the last one if several. `prompt_length` is in tokens.
    """

    result: Result
    program: str | None = None
    printed: str | None = None
    token_ids: tuple[int, ...] = ()
    prompt_length: int = 0

    @property
    def agrees(self) -> bool:
        """Whether the program prints the solution's answer."""
        return self.result == "agrees"


@dataclass(frozen=True)
class Filter:
    """The effect of dropping solutions, as shares from 0 to 1; None where a share is undefined.

    `agreeing` is the share of solutions whose program agrees. `kept` is the share that is kept, including
    the problems that keep all. `accuracy` is the share of right solutions before, `precision` after
    dropping. `recall` is the share of right solutions that are kept. `recall_lost` is the share, among
    problems with a right solution, of those that have none left.
    """

    problems: int
    solutions: int
    fallbacks: int  # problems none of whose solutions agrees
    agreeing: float | None
    kept: float | None
    accuracy: float | None
    precision: float | None
    recall: float | None
    recall_lost: float | None


def check(
    coder: Sampler,
    solutions: Sequence[CotSolution],
    sandbox: Sandbox,
    *,
    max_new_tokens: int = 256,
    sampling: Sampling = GREEDY,
    chat: bool = False,
    seed: int = 0,
    progress: Advance | None = None,
) -> list[Check]:
    """Has `coder` write a program for every solution, runs it, and compares answers; results in order.

    Equal solutions of a problem are converted once, and equal programs run once. `chat` uses the model's
    chat template. `progress` is called as by `Engine.sample`. Raises CtmError if there is no chat template
    or if this machine cannot isolate programs.
    """
    prompts: dict[tuple[int, ...], int] = {}
    asked: list[tuple[int, ...] | None] = []
    for problem, solution, answer in solutions:
        ids = tuple(_encode(coder, problem, solution, chat)) if answer else None
        asked.append(ids)
        if ids is not None:
            prompts[ids] = _room(coder, len(ids), max_new_tokens)
    written = _written(coder, prompts, sampling, seed, progress, opened=not chat)
    programs = list(dict.fromkeys(program for _, program in written.values() if program))
    outcomes = dict(zip(programs, sandbox.run([Program(code) for code in programs]), strict=True))
    checks = []
    for (_, _, answer), ids in zip(solutions, asked, strict=True):
        if answer is None or ids is None:
            checks.append(Check("unanswered"))
        elif ids not in written:
            checks.append(Check("too_long", prompt_length=len(ids)))
        else:
            token_ids, program = written[ids]
            result, printed = _judge(answer, outcomes[program]) if program else ("no_program", None)
            checks.append(Check(result, program, printed, token_ids, len(ids)))
    return checks


def keep(checks: Sequence[Check]) -> list[bool]:
    """Which solutions of one problem are kept: those that agree, or all if none does."""
    agrees = [check.agrees for check in checks]
    return agrees if any(agrees) else [True] * len(checks)


def filter_counts(samples: Sequence[tuple[bool, bool]]) -> Counter[str]:
    """What the filter does to one problem, from (solution is right, program agrees) of each sample.

    The counts of several problems are added, and `filter_figures` makes shares of the sums.
    """
    some = any(agrees for _, agrees in samples)
    left = [correct for correct, agrees in samples if agrees or not some]
    right = sum(correct for correct, _ in samples)
    return Counter(
        problems=1,
        solutions=len(samples),
        right=right,
        agreeing=sum(agrees for _, agrees in samples),
        kept=len(left),
        kept_right=sum(left),
        fallbacks=int(not some),
        solvable=int(right > 0),
        lost=int(right > 0 and not any(left)),
    )


def filter_figures(counts: Counter[str]) -> Filter:
    """The effect of the filter on the problems of which `counts` are the added `filter_counts`."""
    return Filter(
        problems=counts["problems"],
        solutions=counts["solutions"],
        fallbacks=counts["fallbacks"],
        agreeing=_share(counts["agreeing"], counts["solutions"]),
        kept=_share(counts["kept"], counts["solutions"]),
        accuracy=_share(counts["right"], counts["solutions"]),
        precision=_share(counts["kept_right"], counts["kept"]),
        recall=_share(counts["kept_right"], counts["right"]),
        recall_lost=_share(counts["lost"], counts["solvable"]),
    )


def counts(checks: Iterable[Check]) -> dict[Result, int]:
    """How often each of `RESULTS` occurs, zeros included."""
    found = [check.result for check in checks]
    return {result: found.count(result) for result in RESULTS}


def describe(
    engine: Sampler,
    items: Sequence[tuple[Problem, str]],
    *,
    max_new_tokens: int = 192,
    sampling: Sampling = GREEDY,
    chat: bool = False,
    seed: int = 0,
    progress: Advance | None = None,
) -> list[str]:
    """A description of each program by `engine`, the model that wrote it; '' if there is no room for one.

    `items` are (problem, program); equal ones are described once. Raises CtmError as `check` does.
    """
    asked = [tuple(_encode_description(engine, *item, chat)) for item in items]
    prompts = {ids: _room(engine, len(ids), max_new_tokens) for ids in asked}
    stop = ("\n\n", FENCE)
    drawn = _drawn(engine, prompts, sampling, seed, progress, () if chat else stop)
    texts = {ids: engine.decode(token_ids) for ids, token_ids in drawn.items()}
    if not chat:
        texts = {ids: re.split(r"\n\n|```", told, maxsplit=1)[0] for ids, told in texts.items()}
    return [texts.get(ids, "").strip() for ids in asked]


def with_description(program: str, description: str) -> str:
    """What a verifier reads of a program: the program, then its description."""
    return f"{fenced(program)}\n\n{DESCRIBE} {description}" if description else fenced(program)


# --- prompts ---------------------------------------------------------------------------------

TRANSLATE = "These steps as a Python program that prints the answer:"
DESCRIBE = "Step by step, the program does this:"


def program_prompt(question: str, solution: str) -> str:
    """The text that a coder continues with the program of a solution, its block being open."""
    return f"{exercise(question)} {solution.strip()}\n\n{TRANSLATE}\n{FENCE}python\n"


def description_prompt(question: str, program: str) -> str:
    """The text that a model continues with a description of its program."""
    return f"{exercise(question)}\n{fenced(program)}\n\n{DESCRIBE}"


def fenced(program: str) -> str:
    """A program as a block of Markdown."""
    return f"{FENCE}python\n{program}\n{FENCE}"


def _encode(coder: Sampler, problem: Problem, solution: str, chat: bool) -> list[int]:
    if not chat:
        return coder.encode(program_prompt(problem.question, solution))
    form = f"{TRANSLATE} Answer with the program in one {FENCE}python block."
    content = f"Question: {problem.question}\n\nAnswer: {solution.strip()}\n\n{form}"
    return coder.encode_chat([{"role": "user", "content": content}])


def _encode_description(engine: Sampler, problem: Problem, program: str, chat: bool) -> list[int]:
    if not chat:
        return engine.encode(description_prompt(problem.question, program))
    content = (
        f"Question: {problem.question}\n\n{fenced(program)}\n\nSay in short what the program does."
    )
    return engine.encode_chat([{"role": "user", "content": content}])


# --- asking and judging ----------------------------------------------------------------------


def _room(engine: Sampler, prompt_length: int, max_new_tokens: int) -> int:
    """How many tokens may follow a prompt; 0 or less where the model's positions are used up."""
    if engine.max_length is None:
        return max_new_tokens
    return min(max_new_tokens, engine.max_length - prompt_length)


def _drawn(
    engine: Sampler,
    prompts: dict[tuple[int, ...], int],
    sampling: Sampling,
    seed: int,
    progress: Advance | None,
    stop: tuple[str, ...],
) -> dict[tuple[int, ...], tuple[int, ...]]:
    """A completion for every prompt that has room for one; its seed is the prompt's own."""
    sampling = Sampling(sampling.temperature, sampling.top_p, (*sampling.stop, *stop))
    requests = [
        Request(ids, seed_of("cotnpot", seed, *ids), room)
        for ids, room in prompts.items()
        if room > 0
    ]
    completions = engine.sample(requests, sampling, progress)
    return {
        tuple(request.prompt_ids): completion.token_ids
        for request, completion in zip(requests, completions, strict=True)
    }


def _written(
    coder: Sampler,
    prompts: dict[tuple[int, ...], int],
    sampling: Sampling,
    seed: int,
    progress: Advance | None,
    *,
    opened: bool,
) -> dict[tuple[int, ...], tuple[tuple[int, ...], str | None]]:
    """What the coder wrote after every prompt, and the program in it; `opened` says that the prompt
    opened the block."""
    drawn = _drawn(coder, prompts, sampling, seed, progress, (FENCE,) if opened else ())
    head = f"{FENCE}python\n" if opened else ""
    return {ids: (new, program_of(head + coder.decode(new))) for ids, new in drawn.items()}


def _judge(answer: str, outcome: Outcome) -> tuple[Result, str | None]:
    """The result of a program that ran, and the answer that it printed."""
    if outcome.status != "passed":
        return outcome.status, None
    answers = printed_answers(outcome.stdout)
    if not answers:
        return "silent", None
    if len(answers) > 1:
        return "several", answers[-1]
    return ("agrees" if same_answer(answer, answers[0]) else "disagrees"), answers[0]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
