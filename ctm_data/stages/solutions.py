"""The `problems` and `solutions` tables: N solutions of every problem, sampled and graded."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from ctm_data.config import BuildConfig, EvalConfig
from ctm_data.run.store import Store
from ctm_eval.engines import Sampler, Sampling
from ctm_eval.engines.base import Words, request_for
from ctm_eval.grading import Verdict, grade
from ctm_eval.progress import Advance, Counter, Progress
from ctm_eval.prompts import prompt
from ctm_eval.seeds import seed_of
from ctm_eval.thinking import Thinking, read, room, sample
from ctm_eval.types import Problem, Solution
from ctm_eval.workers import Rows, Score, Workers

Ask = Callable[[Problem], Sequence[int] | Words]
"""The prompt of a problem, see `ctm_data.asking.Prompts`."""


@dataclass(frozen=True)
class Unit:
    """The problems of a chunk, with their prompts in token ids or words by problem id."""

    chunk: int
    problems: Sequence[Problem]
    prompts: Mapping[str, Sequence[int] | Words]


def write(
    store: Store,
    chunks: Mapping[int, Sequence[Problem]],
    workers: Mapping[str, Workers],
    prompts: Mapping[str, Ask],
    config: BuildConfig,
    progress: Progress,
) -> None:
    """Writes the problems and their solutions: `n_samples` by the workers of the first model, then by
    those of the next. `prompts` gives them by model.
    """
    n = config.n_samples
    counter = Counter(progress, "sampling", sum(map(len, chunks.values())) * n * len(workers))
    for chunk, problems in chunks.items():
        if store.done("problems", chunk) != {(p.problem_id,) for p in problems}:
            store.write("problems", chunk, map(asdict, problems))
    todo: dict[str, list[int]] = {}
    for number, name in enumerate(workers):
        own = range(number * n, (number + 1) * n)
        todo[name] = [
            chunk
            for chunk, problems in chunks.items()
            if not store.done("solutions", chunk)
            >= {(p.problem_id, i) for p in problems for i in own}
        ]
        counter.skip(n * sum(len(chunks[chunk]) for chunk in chunks.keys() - set(todo[name])))
    counter(0)
    for number, (name, of_model) in enumerate(workers.items()):
        work = partial(sample_unit, config=config, first=number * n)
        units = units_of(chunks, todo[name], prompts[name])
        for unit, solutions in of_model.each(work, units, lambda unit: counter):
            store.add("solutions", unit.chunk, map(asdict, solutions))
        if len(workers) > 1:
            of_model.forget()


def units_of(
    chunks: Mapping[int, Sequence[Problem]],
    todo: Iterable[int],
    prompts: Ask,
) -> Iterator[Unit]:
    """The chunks that are `todo`, one by one: all problems and prompts of a large run are not held."""
    for chunk in todo:
        problems = list(chunks[chunk])
        yield Unit(chunk, problems, {one.problem_id: prompts(one) for one in problems})


def sample_unit(
    engine: Sampler,
    unit: Unit,
    progress: Advance,
    *,
    config: BuildConfig | EvalConfig,
    first: int = 0,
) -> Rows:
    """Samples the solutions of a unit; `config` is one that was checked."""
    assert config.max_new_tokens is not None
    return _sample(
        engine,
        unit.problems,
        config.sampling,
        n_samples=config.n_samples,
        max_new_tokens=config.max_new_tokens,
        thinking=config.thinking,
        seed=config.seed,
        first=first,
        progress=progress,
        prompts=unit.prompts,
    )


def sample_solutions(
    engine: Sampler,
    problems: Sequence[Problem],
    sampling: Sampling,
    *,
    score: Score | None = None,
    **options: Any,
) -> list[Solution]:
    """`n_samples` solutions of every problem, graded; `options` are those of `_sample`. `score` gives
    the verdicts on (problem, text, whether it ended by itself), by default by grading the answers."""
    return _sample(engine, problems, sampling, **options)(score or _graded)


def _sample(
    engine: Sampler,
    problems: Sequence[Problem],
    sampling: Sampling,
    *,
    n_samples: int,
    max_new_tokens: int,
    seed: int,
    first: int = 0,
    progress: Advance | None = None,
    prompts: Mapping[str, Sequence[int] | Words] | None = None,
    thinking: Thinking | None = None,
) -> Callable[[Score], list[Solution]]:
    """`n_samples` solutions of every problem, keyed by (problem_id, sample_index), the index from `first`.

    `prompts` are token ids or words by problem id, by default those of the zero-shot prompt.
    `max_new_tokens` bounds the solution, or with `thinking` the answer behind its thought. What is
    returned gives the solutions, once it is told how to score them.
    """
    keys = [(problem, index) for problem in problems for index in range(first, first + n_samples)]
    own = {
        problem.problem_id: engine.encode(prompt(problem))
        if prompts is None
        else prompts[problem.problem_id]
        for problem in problems
    }
    rooms = {
        name: room(engine, ids, (), max_new_tokens, thinking)  # type: ignore[arg-type]
        for name, ids in own.items()
    }
    requests = [
        request_for(
            own[problem.problem_id],
            seed=seed_of(seed, problem.problem_id, "sample", index),
            max_new_tokens=rooms[problem.problem_id],
        )
        for problem, index in keys
    ]
    completions = sample(engine, requests, sampling, max_new_tokens, thinking, progress)
    readings = [
        read(engine, request.prompt_ids, completion.token_ids, thinking)
        if completion.text is None
        else (completion.text, None)
        for request, completion in zip(requests, completions, strict=True)
    ]
    finished = [completion.finish_reason == "stop" for completion in completions]
    responses = [
        (problem, text, ended)
        for (problem, _), (text, _), ended in zip(keys, readings, finished, strict=True)
    ]
    name = engine.name

    def solutions(score: Score) -> list[Solution]:
        return [
            Solution(
                solution_id=f"{problem.problem_id}-{index:03d}",
                problem_id=problem.problem_id,
                sample_index=index,
                model=name,
                prompt_ids=None if request.words else request.prompt_ids,  # type: ignore[arg-type]
                token_ids=None if request.words else completion.token_ids,  # type: ignore[arg-type]
                text=text,
                answer=verdict.answer,
                correct=verdict.correct,
                verdict=verdict.reason,
                finish_reason=completion.finish_reason,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=request.seed,
                suspicious=verdict.suspicious,
                thought_end=thought_end,
            )
            for (problem, index), request, completion, (text, thought_end), verdict in zip(
                keys, requests, completions, readings, score(responses), strict=True
            )
        ]

    return solutions


def _graded(responses: Sequence[tuple[Problem, str, bool]]) -> list[Verdict]:
    return [
        grade(problem.answer, text, problem.benchmark, finished=finished)
        for problem, text, finished in responses
    ]
