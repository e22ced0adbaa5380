"""Scoring: a verdict on every response, by grading its answer or by running its program in the sandbox."""

import re
from collections.abc import Sequence
from itertools import islice
from textwrap import dedent
from types import TracebackType

from ctm_eval.benchmarks import BENCHMARKS
from ctm_eval.errors import CtmError
from ctm_eval.grading import Verdict, grade
from ctm_eval.grading.extract import after_thought
from ctm_eval.grading.verdict import Reason
from ctm_eval.sandbox import Limits, Outcome, Program, Sandbox
from ctm_eval.types import Problem

Response = tuple[Problem, str, bool]  # the problem, the text, whether the text ended by itself

BLOCK = re.compile(r"```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
PYTHON = ("", "py", "python", "python3")  # what a block of a program is marked with
REASONS: dict[str, Reason] = {"passed": "correct", "failed": "wrong", "timeout": "timeout",
                              "refused": "refused", "unparsed": "unparsed"}  # fmt: skip
CANARIES = (  # one for every layer of the grader: gold, response, right or wrong, layer
    (r"\text{east}", r"It is \boxed{east}.", True, "text"),
    ("1/2", r"It is \boxed{0.5}.", True, "number"),
    (r"(2, \infty)", r"So \boxed{x > 2}.", True, "typed"),
    (r"\sqrt{-x^2-1}", r"So \boxed{\sqrt{-1-x^2}}.", True, "sympy"),
    ("18", r"It is \boxed{17}.", False, "number"),
)
TRIES = 5
AT_ONCE = 4096  # references that are checked at a time: a run may have a million
TOLERATED = 0.05  # share of references that may fail; some are wrong in the benchmarks themselves


class Scorer:
    """Scores responses; use it in a `with`, for it may hold a sandbox.

    `isolate=False` accepts the risk of running programs without isolation.
    """

    def __init__(
        self, *, isolate: bool = True, processes: int | None = None, limits: Limits | None = None
    ) -> None:
        self._sandbox = Sandbox(processes, isolate=isolate, limits=limits)

    def __enter__(self) -> "Scorer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sandbox.__exit__(kind, error, trace)

    def score(self, responses: Sequence[Response]) -> list[Verdict]:
        """The verdict on every response, in order. Raises CtmError if programs cannot be isolated."""
        verdicts: list[Verdict | None] = [None] * len(responses)
        programs: dict[int, Program] = {}
        for i, (problem, text, finished) in enumerate(responses):
            if not problem.tests:
                verdicts[i] = grade(problem.answer, text, problem.benchmark, finished=finished)
            elif (response := after_thought(text)) is None:
                verdicts[i] = Verdict(False, "unfinished_thought")
            elif code := program_of(response):
                programs[i] = Program(code, tuple(problem.tests))
            else:
                verdicts[i] = Verdict(False, "no_answer" if finished else "truncated")
        outcomes = self._sandbox.run(list(programs.values()))
        for (i, program), outcome in zip(programs.items(), outcomes, strict=True):
            verdicts[i] = _verdict(program.code, outcome, responses[i][2])
        return [verdict for verdict in verdicts if verdict is not None]

    def check(self, problems: Sequence[Problem]) -> list[str]:
        """Scores what is known to be right and wrong, so that a broken scorer stops the run.

        Every layer of the grader on an example of its own; every problem's reference, answer or
        program, as a response. Returns the ids of the problems whose reference is not accepted; raises
        CtmError if those are more than a few, or a layer does not answer as it should.
        """
        if not all(problem.tests for problem in problems):
            _check_the_grader()
        known, count, bad = (problem for problem in problems if problem.answer), 0, []
        while block := list(islice(known, AT_ONCE)):
            verdicts = self.score([(problem, _reference(problem), True) for problem in block])
            bad += [
                (problem.problem_id, verdict.reason)
                for problem, verdict in zip(block, verdicts, strict=True)
                if not verdict.correct
            ]
            count += len(block)
        if bad and (len(bad) > max(1, TOLERATED * count) or len(bad) == count):
            name, reason = bad[0]
            raise CtmError(
                f"{len(bad)} of {count} references are not scored as correct, the first that of "
                f"{name} ({reason}): with such a scorer no figure would mean anything. Nothing was run"
            )
        return [name for name, _ in bad]


def _check_the_grader() -> None:
    for gold, text, right, layer in CANARIES:
        try:
            # A busy machine may let sympy miss its second once, but not every time.
            tries = (grade(gold, text) for _ in range(TRIES))
            verdict = next((v for v in tries if v.reason != "timeout"), Verdict(False, "timeout"))
        except ImportError as error:
            raise CtmError(
                f"the grader is broken here: its {layer} layer cannot be loaded ({error}); is the "
                "installation whole (`pip check`)? Nothing was run"
            ) from error
        if (verdict.correct, verdict.layer) != (right, layer):
            raise CtmError(
                f"the grader is broken here: its {layer} layer, asked whether {gold} is answered by "
                f"{text!r}, says {verdict.reason!r}; is the installation whole (`pip check`)? Nothing "
                "was run"
            )


def program_of(text: str) -> str | None:
    """The program in a response: its first fenced block of Python that defines something, else its
    first fenced block, else the whole text; None if that is empty. A block need not be closed."""
    blocks = [
        dedent(code) if code.lstrip("\n")[:1].isspace() else code  # as in a list of steps
        for language, code in BLOCK.findall(text)
        if language.lower() in PYTHON
    ]
    found = next((code for code in blocks if re.search(r"^\s*(def|class)\s", code, re.M)), None)
    code = found or (blocks[0] if blocks else "" if "```" in text else text)
    return code.strip("\n") if code.strip() else None


def _verdict(code: str, outcome: Outcome, finished: bool) -> Verdict:
    reason = REASONS[outcome.status]
    if reason in ("wrong", "unparsed") and not finished:
        reason = "truncated"
    return Verdict(reason == "correct", reason, code, suspicious=outcome.suspicious)


def _reference(problem: Problem) -> str:
    if problem.tests:
        return f"```python\n{problem.answer}\n```"
    known = BENCHMARKS.get(problem.benchmark)
    box = known is not None and known.answer_format == "box"
    return f"\\boxed{{{problem.answer}}}" if box else f"#### {problem.answer}"
