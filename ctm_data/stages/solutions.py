"""The `problems` and `solutions` tables: N solutions of every problem, sampled and graded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from ctm_data.config import BuildConfig
from ctm_data.run.store import Store
from ctm_eval.engines import Engine, LazyEngine, Request, Sampling
from ctm_eval.grading import Verdict, grade
from ctm_eval.progress import Advance, Counter, Progress
from ctm_eval.prompts import prompt
from ctm_eval.seeds import seed_of
from ctm_eval.types import Problem, Solution

Score = Callable[[Sequence[tuple[Problem, str, bool]]], list[Verdict]]


def write(
    store: Store,
    chunks: Mapping[int, Sequence[Problem]],
    engines: Mapping[str, LazyEngine],
    prompts: Mapping[str, Mapping[str, Sequence[int]]],
    config: BuildConfig,
    progress: Progress,
    score: Score | None = None,
) -> None:
    """Writes the problems and their solutions: `n_samples` by the first engine, then by the next.

    `prompts` are token ids by model and problem id.
    """
    assert config.max_new_tokens is not None
    n = config.n_samples
    counter = Counter(progress, "sampling", sum(map(len, chunks.values())) * n * len(engines))
    for chunk, problems in chunks.items():
        if store.done("problems", chunk) != {(p.problem_id,) for p in problems}:
            store.write("problems", chunk, map(asdict, problems))
    for number, (name, engine) in enumerate(engines.items()):
        own = range(number * n, (number + 1) * n)
        for chunk, problems in chunks.items():
            if store.done("solutions", chunk) >= {(p.problem_id, i) for p in problems for i in own}:
                counter(len(problems) * n)
                continue
            solutions = sample_solutions(
                engine(),
                problems,
                config.sampling,
                n_samples=n,
                max_new_tokens=config.max_new_tokens,
                seed=config.seed,
                first=own.start,
                progress=counter,
                prompts=prompts[name],
                score=score,
            )
            store.add("solutions", chunk, map(asdict, solutions))
        if len(engines) > 1:
            engine.forget()


def sample_solutions(
    engine: Engine,
    problems: Sequence[Problem],
    sampling: Sampling,
    *,
    n_samples: int,
    max_new_tokens: int,
    seed: int,
    first: int = 0,
    progress: Advance | None = None,
    prompts: Mapping[str, Sequence[int]] | None = None,
    score: Score | None = None,
) -> list[Solution]:
    """`n_samples` solutions of every problem, keyed by (problem_id, sample_index), the index from `first`.

    `prompts` are token ids by problem id, by default those of the zero-shot prompt; `score` gives the
    verdicts on (problem, text, whether it ended by itself), by default by grading the answers.
    """
    keys = [(problem, index) for problem in problems for index in range(first, first + n_samples)]
    own = {
        problem.problem_id: engine.encode(prompt(problem))
        if prompts is None
        else prompts[problem.problem_id]
        for problem in problems
    }
    requests = [
        Request(
            prompt_ids=own[problem.problem_id],
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
                suspicious=verdict.suspicious,
            )
        )
    return solutions


def _graded(responses: Sequence[tuple[Problem, str, bool]]) -> list[Verdict]:
    return [
        grade(problem.answer, text, problem.benchmark, finished=finished)
        for problem, text, finished in responses
    ]
