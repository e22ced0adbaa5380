"""The stages of a run: each looks at what a chunk already has, and writes what it lacks."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ctm_data.contrast import (
    Contrast,
    Report,
    Scorer,
    score_pairs,
    select_pairs,
    select_wrong,
    train_models,
)
from ctm_data.estimators import RolloutSettings
from ctm_data.labelled import labelled
from ctm_data.rollouts import roll_out
from ctm_data.solutions import Score, Solution, sample_solutions
from ctm_data.store import Store
from ctm_eval.benchmarks import Problem
from ctm_eval.cotnpot import describe
from ctm_eval.engines import Engine
from ctm_eval.scoring import program_of


def sample(
    store: Store,
    chunks: dict[int, list[Problem]],
    engines: Sequence["Lazy"],
    settings: RolloutSettings,
    n_samples: int,
    report: Report,
    score: Score | None = None,
) -> None:
    """Writes the problems and their solutions: `n_samples` by the first engine, then by the next."""
    total = sum(map(len, chunks.values())) * n_samples * len(engines)
    finished, tokens = 0, 0

    def progress(requests: int, drawn: int) -> None:
        nonlocal finished, tokens
        finished, tokens = finished + requests, tokens + drawn
        report("sampling", finished, total, tokens)

    for chunk, problems in chunks.items():
        if store.done("problems", chunk) != {(p.problem_id,) for p in problems}:
            store.write("problems", chunk, map(asdict, problems))
    for number, engine in enumerate(engines):
        own = range(number * n_samples, (number + 1) * n_samples)
        for chunk, problems in chunks.items():
            done = store.done("solutions", chunk)
            if done >= {(p.problem_id, i) for p in problems for i in own}:
                progress(len(problems) * n_samples, 0)
                continue
            solutions = sample_solutions(
                engine(),
                problems,
                settings.sampling,
                n_samples=n_samples,
                max_new_tokens=settings.max_new_tokens,
                seed=settings.seed,
                first=own.start,
                progress=progress,
                score=score,
            )
            store.add("solutions", chunk, map(asdict, solutions))
        if len(engines) > 1:
            engine.forget()


def label(
    store: Store,
    chunks: dict[int, list[Problem]],
    engine: "Lazy",
    settings: RolloutSettings,
    trajectories: int,
    report: Report,
) -> None:
    total = sum(map(len, chunks.values()))
    finished, tokens = 0, 0
    for chunk, problems in chunks.items():
        own = solutions_of(store, chunk)
        wrong = [
            (problem, solution)
            for problem in problems
            for solution in select_wrong(
                problem, own[problem.problem_id], trajectories, settings.seed
            )
        ]
        if wrong and store.done("rollouts", chunk) != {(s.solution_id,) for _, s in wrong}:

            def progress(share: float, drawn: int) -> None:
                nonlocal tokens
                tokens += drawn
                report("rolling out", finished + share * len(problems), total, tokens)  # noqa: B023

            store.write("rollouts", chunk, roll_out(engine(), wrong, settings, progress))
        finished += len(problems)
        report("rolling out", finished, total, tokens)


def contrast(
    store: Store, recipe: Mapping[str, Any], report: Report, device: str | None = None
) -> None:
    """Writes the `contrast` table from the run's own solutions; without p+ and p- it trains them first."""
    chunks = store.chunks("solutions")
    seed, count = recipe["seed"], recipe["trajectories"]
    todo = {}
    total = finished = tokens = 0
    for chunk in chunks:
        own = solutions_of(store, chunk)
        pairs = [
            pair
            for problem in problems_of(store, chunk)
            for pair in select_pairs(problem, own[problem.problem_id], count, seed)
        ]
        total += 2 * len(pairs)
        if len(store.done("contrast", chunk)) == len(pairs):
            finished += 2 * len(pairs)
        elif pairs:
            todo[chunk] = pairs
    if not todo:
        return
    positive, negative = recipe["positive_model"], recipe["negative_model"]
    names = (positive or "models/positive", negative or "models/negative")
    if not positive:
        every = (item for chunk in chunks for item in solutions_of(store, chunk).items())
        positive, negative = train_models(store, every, recipe["model"], seed, report)
    how = Contrast(*names, recipe["ce_beta"], recipe["ce_plausibility"], seed)
    scorer = Scorer(positive, negative, device=device)

    def progress(sequences: int, scored: int) -> None:
        nonlocal finished, tokens
        finished, tokens = finished + sequences, tokens + scored
        report("contrasting", finished, total, tokens)

    for chunk, pairs in todo.items():
        store.write("contrast", chunk, score_pairs(scorer, pairs, how, progress))


def label_solutions(
    store: Store,
    chunks: Iterable[int],
    recipe: Mapping[str, Any],
    engines: Mapping[str, "Lazy"],
    report: Report,
) -> None:
    """Writes the `verifier` table: the solutions of a run with their labels, and if the recipe says so
    programs with descriptions by `engines`, who wrote them."""
    numbers = list(chunks)
    for done, chunk in enumerate(numbers, 1):
        own = solutions_of(store, chunk)
        rows = [
            row
            for problem in problems_of(store, chunk)
            for row in labelled(
                problem, own[problem.problem_id], balance=recipe["balance"], seed=recipe["seed"]
            )
        ]
        if rows and store.done("verifier", chunk) != {(row["solution_id"],) for row in rows}:
            if recipe["describe"]:
                _describe(rows, list(problems_of(store, chunk)), engines, recipe["seed"])
            store.write("verifier", chunk, rows)
        report("labelling", done, len(numbers), 0)


def _describe(
    rows: list[dict[str, Any]],
    problems: Iterable[Problem],
    engines: Mapping[str, "Lazy"],
    seed: int,
) -> None:
    by_id = {problem.problem_id: problem for problem in problems}
    for name, engine in engines.items():
        own = [row for row in rows if row["generator"] == name]
        items = [(by_id[row["problem_id"]], program_of(row["solution"]) or "") for row in own]
        told = describe(engine(), items, seed=seed) if items else []
        for row, description in zip(own, told, strict=True):
            row["description"] = description


def problems_of(store: Store, chunk: int) -> Iterator[Problem]:
    """The problems of a chunk."""
    for row in store.rows("problems", chunk):
        yield Problem(**{**row, "tests": tuple(row["tests"] or ())})


def solutions_of(store: Store, chunk: int) -> dict[str, list[Solution]]:
    """The solutions of a chunk by problem."""
    own: dict[str, list[Solution]] = {row.problem_id: [] for row in problems_of(store, chunk)}
    for row in store.rows("solutions", chunk):
        own[row["problem_id"]].append(Solution(**row))
    return own


class Lazy:
    """An engine that is loaded when it is first asked for: a finished run needs none."""

    def __init__(self, load: Callable[[], Engine]) -> None:
        self._load = load
        self._engine: Engine | None = None

    def __call__(self) -> Engine:
        if self._engine is None:
            self._engine = self._load()
        return self._engine

    def forget(self) -> None:
        """Gives the engine up, so that the next one has its memory."""
        self._engine = None
