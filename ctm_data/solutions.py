"""Sampling: N solutions a problem, graded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ctm_eval.benchmarks import Problem, prompt
from ctm_eval.engines import Engine, Progress, Request, Sampling
from ctm_eval.grading import Verdict, grade
from ctm_eval.seeds import seed_of

Score = Callable[[Sequence[tuple[Problem, str, bool]]], list[Verdict]]


@dataclass(frozen=True)
class Solution:
    """A row of the `solutions` table. `token_ids` ends with the end-of-sequence token if it was drawn."""

    solution_id: str
    problem_id: str
    sample_index: int
    model: str
    prompt_ids: Sequence[int]
    token_ids: Sequence[int]
    text: str
    answer: str | None
    correct: bool
    verdict: str
    finish_reason: str
    temperature: float
    top_p: float
    seed: int


def sample_solutions(
    engine: Engine,
    problems: Sequence[Problem],
    sampling: Sampling,
    *,
    n_samples: int,
    max_new_tokens: int,
    seed: int,
    first: int = 0,
    progress: Progress | None = None,
    prompts: Mapping[str, Sequence[int]] | None = None,
    score: Score | None = None,
) -> list[Solution]:
    """`n_samples` solutions of every problem, keyed by (problem_id, sample_index), the index from `first`.

    `prompts` are token ids by problem id, by default those of the zero-shot prompt; `score` gives the
    verdicts on (problem, text, whether it ended by itself), by default by grading the answers.
    """
    keys = [(problem, index) for problem in problems for index in range(first, first + n_samples)]
    if prompts is None:
        prompts = {problem.problem_id: engine.encode(prompt(problem)) for problem in problems}
    requests = [
        Request(
            prompt_ids=prompts[problem.problem_id],
            seed=seed_of(seed, problem.problem_id, "sample", index),
            max_new_tokens=max_new_tokens,
        )
        for problem, index in keys
    ]
    completions = engine.sample(requests, sampling, progress)
    texts = [engine.decode(completion.token_ids) for completion in completions]
    finished = [completion.finish_reason == "stop" for completion in completions]
    asked = [problem for problem, _ in keys]
    responses = list(zip(asked, texts, finished, strict=True))
    verdicts = (score or _graded)(responses)
    solutions = []
    for (problem, index), request, completion, text, verdict in zip(
        keys, requests, completions, texts, verdicts, strict=True
    ):
        solutions.append(
            Solution(
                solution_id=f"{problem.problem_id}-{index:03d}",
                problem_id=problem.problem_id,
                sample_index=index,
                model=engine.name,
                prompt_ids=request.prompt_ids,
                token_ids=completion.token_ids,
                text=text,
                answer=verdict.answer,
                correct=verdict.correct,
                verdict=verdict.reason,
                finish_reason=completion.finish_reason,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=request.seed,
            )
        )
    return solutions


def _graded(responses: Sequence[tuple[Problem, str, bool]]) -> list[Verdict]:
    return [
        grade(problem.answer, text, problem.benchmark, finished=finished)
        for problem, text, finished in responses
    ]
