"""`pocket` and `pocket-code`: the generated benchmarks, word problems and small programming tasks."""

from ctm_eval import pocket
from ctm_eval.errors import CtmError
from ctm_eval.prompts import PROGRAM, with_tests
from ctm_eval.types import Benchmark, Problem

SPLITS = ("train", "dev", "test")


def _word_problems(split: str, count: int, seed: int) -> list[Problem]:
    _check(split)
    return [
        Problem(
            problem_id=problem.problem_id,
            benchmark="pocket",
            split=split,
            question=problem.question,
            answer=problem.answer,
            subject=problem.family,
            level=str(problem.level),
        )
        for problem in pocket.problems(split, count, seed)
    ]


def _tasks(split: str, count: int, seed: int) -> list[Problem]:
    _check(split)
    return [
        Problem(
            problem_id=task.problem_id,
            benchmark="pocket-code",
            split=split,
            question=with_tests(task.question, task.tests),
            answer=task.program,
            subject=task.family,
            level=str(task.level),
            tests=task.tests,
        )
        for task in pocket.tasks(split, count, seed)
    ]


def _check(split: str) -> None:
    if split not in SPLITS:
        raise CtmError(f"pocket has no split {split!r}; it has train, dev and test", usage=True)


POCKET = Benchmark(
    name="pocket",
    title="pocket, the generator that comes with `ctm`",
    license="apache-2.0",
    kind="math",
    answer_format="####",
    generate=_word_problems,
    instruction="Think step by step. End with a line `#### ` and the number that is the answer.",
)
POCKET_CODE = Benchmark(
    name="pocket-code",
    title="pocket-code, the generator that comes with `ctm`",
    license="apache-2.0",
    kind="code",
    generate=_tasks,
    shots=3,
    exemplars="mbpp",
    instruction=PROGRAM,
)
