"""The `rollouts` table: a row for each trajectory, with its values and its critical token."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from heapq import nsmallest
from typing import Any

import numpy as np

from ctm_data.config import BuildConfig
from ctm_data.estimator.critical import mark
from ctm_data.estimator.estimators import (
    Share,
    Tally,
    Trajectory,
    adaptive,
    branch,
    exhaustive,
    label,
    label_only,
    posterior,
    replacements,
)
from ctm_data.estimator.posterior import Label
from ctm_data.estimator.repeats import agree
from ctm_data.estimator.settings import RolloutSettings
from ctm_data.estimator.values import Curve
from ctm_data.run.records import solutions_of
from ctm_data.run.store import Store
from ctm_eval.engines import Engine
from ctm_eval.metrics import pass_at_k
from ctm_eval.pair_selection import left_out, select_right, select_wrong
from ctm_eval.progress import Advance, Counter, Progress, scaled
from ctm_eval.seeds import seed_of
from ctm_eval.types import Problem, Solution
from ctm_eval.workers import Rows, Workers


@dataclass(frozen=True)
class Unit:
    """The trajectories of a chunk, and the numbers of those that are rolled out a second time."""

    chunk: int
    problems: int
    chosen: Sequence[tuple[Problem, Solution]]
    again: Sequence[int]


def write(
    store: Store,
    chunks: Mapping[int, Sequence[Problem]],
    workers: Workers,
    config: BuildConfig,
    progress: Progress,
    repeated: Collection[str] = (),
) -> None:
    """Writes the `rollouts` table: the solutions that are selected, rolled out at every token; the wrong
    ones of the problems in `repeated` a second time, with another seed."""
    counter = Counter(progress, "rolling out", sum(map(len, chunks.values())))
    work = partial(roll_out_unit, settings=config.rollout_settings())

    def units() -> Iterator[Unit]:
        for chunk, problems in chunks.items():
            own = solutions_of(store, chunk)
            chosen = [
                (problem, solution)
                for problem in problems
                for solution in _selected(problem, own[problem.problem_id], config)
            ]
            if not chosen or store.done("rollouts", chunk) == {(s.solution_id,) for _, s in chosen}:
                counter(len(problems))
                continue
            again = [
                i
                for i, (problem, solution) in enumerate(chosen)
                if problem.problem_id in repeated and not solution.correct
            ]
            yield Unit(chunk, len(problems), chosen, again)

    for unit, rows in workers.each(work, units(), lambda unit: counter.scaled(unit.problems)):
        store.write("rollouts", unit.chunk, rows)


def roll_out_unit(
    engine: Engine, unit: Unit, progress: Advance, *, settings: RolloutSettings
) -> Rows:
    """Makes rows of the `rollouts` table for a unit, whose rollouts are graded on the way: what is drawn
    next depends on it. `progress` is told of shares of it."""
    whole = len(unit.chosen) + len(unit.again)
    once, twice = len(unit.chosen) / whole, len(unit.again) / whole
    rows = roll_out(engine, unit.chosen, settings, scaled(progress, once))
    if unit.again:
        second = repeat(
            engine,
            [unit.chosen[i] for i in unit.again],
            settings,
            scaled(progress, twice),
        )
        for i, found in zip(unit.again, second, strict=True):
            rows[i] |= found
    return lambda score: rows


def _selected(
    problem: Problem, solutions: Sequence[Solution], config: BuildConfig
) -> list[Solution]:
    """The solutions of a problem to roll out; none if its samples say that nothing can be learnt there.

    The samples choose problems and trajectories, so they enter no estimate.
    """
    if left_out(sum(s.correct for s in solutions), len(solutions), config.pass_rate):
        return []
    how = (problem, solutions, config.trajectories, config.seed)
    wrong = select_wrong(*how) if config.of != "right" else []
    return wrong + (select_right(*how) if config.of != "wrong" else [])


def repeated(problems: Sequence[Problem], config: BuildConfig) -> set[str]:
    """The random problems whose trajectories are rolled out twice; the same for every shard."""
    names = (problem.problem_id for problem in problems)
    rank = partial(seed_of, config.seed, "reliability sample")
    return set(nsmallest(config.reliability_sample, names, key=rank))


def repeat(
    engine: Engine,
    trajectories: Sequence[tuple[Problem, Solution]],
    settings: RolloutSettings,
    progress: Advance | None = None,
) -> list[dict[str, Any]]:
    """`repeat_index` and `repeat_tokens` of each trajectory: what a run with another seed finds."""
    settings = replace(settings, seed=seed_of(settings.seed, "second run"))
    report = Share(progress)
    states = _states(engine, trajectories, settings)
    curves = _curves(engine, states, settings, report)
    found = _critical(curves, [label(state, settings) for state in states], settings)
    report(1.0, 0)
    return [
        {"repeat_index": token, "repeat_tokens": state.generated}
        for state, token in zip(states, found, strict=True)
    ]


def roll_out(
    engine: Engine,
    trajectories: Sequence[tuple[Problem, Solution]],
    settings: RolloutSettings,
    progress: Advance | None = None,
) -> list[dict[str, Any]]:
    """Rows of the `rollouts` table for `trajectories`, in their order.

    `progress` is called with the share of the work done and the tokens generated since its last call.
    """
    report = Share(progress)
    states = _states(engine, trajectories, settings)
    curves = _curves(engine, states, settings, report)
    labels = [label(state, settings) for state in states]
    found = _critical(curves, labels, settings)
    spent = [state.generated for state in states]
    replaced = replacements(engine, states, found, settings)
    report(1.0, 0)
    return [
        _row(engine, state, curve, own, token, replacement, tokens, settings)
        for state, curve, own, token, replacement, tokens in zip(
            states, curves, labels, found, replaced, spent, strict=True
        )
    ]


def _states(
    engine: Engine, trajectories: Sequence[tuple[Problem, Solution]], settings: RolloutSettings
) -> list[Trajectory]:
    sequences = [(s.prompt_ids, s.token_ids) for _, s in trajectories]
    nuclei = engine.next_token_distributions(sequences, settings.sampling)
    return [
        Trajectory(
            solution=solution,
            problem=problem,
            nuclei=own,
            keep_prob=[n.prob(y) for n, y in zip(own, solution.token_ids, strict=True)],
            tallies=[Tally() for _ in solution.token_ids],
        )
        for (problem, solution), own in zip(trajectories, nuclei, strict=True)
    ]


def _curves(
    engine: Engine, states: Sequence[Trajectory], settings: RolloutSettings, report: Share
) -> list[Curve]:
    if settings.estimator == "exhaustive":
        return exhaustive(engine, states, settings, report)
    if settings.label_only:
        return label_only(engine, states, settings, report)
    if settings.adaptive:
        return adaptive(engine, states, settings, report)
    return branch(engine, states, settings, report)


def _critical(
    curves: Sequence[Curve], labels: Sequence[Label], settings: RolloutSettings
) -> list[int | None]:
    """The likeliest critical tokens, or the first marked ones under another rule."""
    if settings.rule == "critical":
        return [own.likeliest for own in labels]
    marks = [_marked(curve, settings) for curve in curves]
    return [marked[0] if marked else None for marked in marks]


def _marked(curve: Curve, settings: RolloutSettings) -> list[int]:
    return mark(settings.rule, curve, settings.n_rollouts, settings.resolution)


def _repeat_predicted(state: Trajectory, settings: RolloutSettings) -> bool | None:
    """Whether two runs agree, simulated on one draw from the posterior of this one."""
    if settings.rule != "critical" or state.solution.correct:
        return None
    rate = posterior(state, settings, "repeat", 1).rate[0]
    key = seed_of(settings.seed, state.solution.solution_id, "repeat")
    rng = np.random.Generator(np.random.Philox(key=key))
    return agree(np.asarray(state.keep_prob), rate, state.solution.correct, settings, rng)


def _row(
    engine: Engine,
    state: Trajectory,
    curve: Curve,
    label: Label,
    critical_index: int | None,
    replacement: Tally,
    generated_tokens: int,
    settings: RolloutSettings,
) -> dict[str, Any]:
    solution = state.solution
    pieces = engine.pieces(solution.token_ids)
    n, correct = len(replacement.correct), sum(replacement.correct)
    return {
        "solution_id": solution.solution_id,
        "problem_id": solution.problem_id,
        "model": solution.model,
        "prompt_ids": solution.prompt_ids,
        "token_ids": solution.token_ids,
        "pieces": pieces,
        "prompt_value": _nullable(curve.value)[0],
        "value": _nullable(curve.value)[1:],
        "value_low": _nullable(curve.low)[1:],
        "value_high": _nullable(curve.high)[1:],
        "n_rollouts": [len(tally.correct) for tally in state.tallies],
        "n_correct": [sum(tally.correct) for tally in state.tallies],
        "keep_prob": state.keep_prob,
        "entropy": [_entropy(nucleus.probs) for nucleus in state.nuclei],
        "margin": [_margin(nucleus.probs) for nucleus in state.nuclei],
        "greedy_id": [int(n.token_ids[np.argmax(n.probs)]) for n in state.nuclei],
        "estimator": _estimator(settings),
        "rule": settings.rule,
        "marked": _marked(curve, settings),
        "critical_index": critical_index,
        "critical_piece": None if critical_index is None else pieces[critical_index],
        "critical_prob": label.prob.tolist(),
        "critical_low": label.low,
        "critical_high": label.high,
        "repeat_predicted": _repeat_predicted(state, settings),
        "repeat_index": None,
        "repeat_tokens": None,
        "replacement_pass_at_k": [pass_at_k(n, correct, k) for k in powers_of_two(n)],
        "replacements": _by_token(engine, state, critical_index, replacement),
        "generated_tokens": generated_tokens,
        "replacement_tokens": state.generated - generated_tokens,
        "temperature": settings.sampling.temperature,
        "top_p": settings.sampling.top_p,
        "seed": settings.seed,
    }


def powers_of_two(n: int) -> list[int]:
    """1, 2, 4, ... up to n: the k of `replacement_pass_at_k`."""
    return [1 << i for i in range(n.bit_length())]


def _by_token(
    engine: Engine, state: Trajectory, critical_index: int | None, replacement: Tally
) -> list[dict[str, Any]]:
    """How often each alternative to the critical token was drawn and went well, most drawn first."""
    counts: dict[int, list[int]] = {}
    for token, correct in zip(replacement.alternatives, replacement.correct, strict=True):
        assert token is not None
        tally = counts.setdefault(token, [0, 0])
        tally[0] += 1
        tally[1] += correct
    rows = []
    for token, (drawn, won) in sorted(counts.items(), key=lambda item: (-item[1][0], item[0])):
        assert critical_index is not None
        before = state.solution.token_ids[max(0, critical_index - 1) : critical_index]
        piece = engine.pieces([*before, token])[-1]
        rows.append({"token_id": token, "piece": piece, "n_rollouts": drawn, "n_correct": won})
    return rows


def _entropy(probs: np.ndarray) -> float:
    own = probs[probs > 0].astype(float)
    return max(0.0, float(-(own * np.log(own)).sum()))


def _margin(probs: np.ndarray) -> float:
    two = np.sort(probs)[-2:]
    return float(two[-1] - two[0]) if len(two) == 2 else float(two[-1])


def _estimator(settings: RolloutSettings) -> str:
    if settings.adaptive:
        return "branch-adaptive"
    return f"{settings.estimator}{'-label-only' if settings.label_only else ''}"


def _nullable(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
