"""Rollouts: what becomes of a trajectory after each of its tokens, and its critical token.

Three ways to spend rollouts, all graded on prefix + continuation:

- `exhaustive`: N from every prefix (arXiv 2411.19943);
- `branch`: only those that leave the trajectory, folded by `values.branch_curve`;
- `branch` with `label_only`: position by position from the right, until the value reaches 5% and
  nothing further left can be critical.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from ctm_data.critical import LOST, Rule, mark
from ctm_data.solutions import Solution
from ctm_data.values import Curve, branch_counts, branch_curve, exhaustive_curve, systematic
from ctm_eval.benchmarks import Problem
from ctm_eval.engines import Engine, Nucleus, Request, Sampling
from ctm_eval.grading import grade
from ctm_eval.metrics import pass_at_k
from ctm_eval.seeds import seed_of

Estimator = Literal["branch", "exhaustive"]
ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)


@dataclass(frozen=True)
class RolloutSettings:
    """How trajectories are rolled out. `max_new_tokens` bounds prefix and continuation together."""

    sampling: Sampling
    n_rollouts: int = 64
    max_new_tokens: int = 1024
    estimator: Estimator = "branch"
    label_only: bool = False
    rule: Rule = "critical"
    seed: int = 0


@dataclass
class _Tally:
    """Rollouts at one token: what each took in its place (None: any token), and whether it was right."""

    alternatives: list[int | None] = field(default_factory=list)
    correct: list[bool] = field(default_factory=list)


@dataclass
class _Trajectory:
    """A trajectory being rolled out: its policy's distributions, and the rollouts so far."""

    solution: Solution
    problem: Problem
    nuclei: list[Nucleus]
    keep_prob: list[float]
    tallies: list[_Tally]
    graded: dict[tuple[int, ...], bool] = field(default_factory=dict)
    generated: int = 0

    @property
    def length(self) -> int:
        return len(self.solution.token_ids)


@dataclass(frozen=True)
class _Draw:
    """One rollout to make: keep the tokens before `position`, take `alternative`, go on; then book it."""

    trajectory: _Trajectory
    position: int
    alternative: int | None
    seed: int
    tally: _Tally


def roll_out(
    engine: Engine,
    trajectories: Sequence[tuple[Problem, Solution]],
    settings: RolloutSettings,
    progress: Callable[[float, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Rows of the `rollouts` table for `trajectories`, in their order.

    `progress` is called with (share of the work done, tokens generated since its last call).
    """
    sequences = [(s.prompt_ids, s.token_ids) for _, s in trajectories]
    nuclei = engine.next_token_distributions(sequences, settings.sampling)
    states = [
        _Trajectory(
            solution=solution,
            problem=problem,
            nuclei=own,
            keep_prob=[n.prob(y) for n, y in zip(own, solution.token_ids, strict=True)],
            tallies=[_Tally() for _ in solution.token_ids],
        )
        for (problem, solution), own in zip(trajectories, nuclei, strict=True)
    ]
    report = progress or (lambda share, tokens: None)
    if settings.estimator == "exhaustive":
        curves = _exhaustive(engine, states, settings, report)
    elif settings.label_only:
        curves = _label_only(engine, states, settings, report)
    else:
        curves = _branch(engine, states, settings, report)
    marks = [mark(settings.rule, curve, settings.n_rollouts) for curve in curves]
    spent = [state.generated for state in states]
    replaced = _replacements(engine, states, marks, settings)
    report(1.0, 0)
    return [
        _row(engine, state, curve, marked, replacement, tokens, settings)
        for state, curve, marked, replacement, tokens in zip(
            states, curves, marks, replaced, spent, strict=True
        )
    ]


def _exhaustive(
    engine: Engine,
    states: Sequence[_Trajectory],
    settings: RolloutSettings,
    report: Callable[[float, int], None],
) -> list[Curve]:
    n = settings.n_rollouts
    draws = [
        _Draw(
            state, t, None, seed_of(settings.seed, state.solution.solution_id, "from", t, j), tally
        )
        for state in states
        for t, tally in enumerate(state.tallies)
        for j in range(n)
    ]
    _make(engine, draws, settings, report)
    return [
        exhaustive_curve(
            n,
            [sum(tally.correct) for tally in state.tallies],
            state.solution.correct,
        )
        for state in states
    ]


def _branch(
    engine: Engine,
    states: Sequence[_Trajectory],
    settings: RolloutSettings,
    report: Callable[[float, int], None],
) -> list[Curve]:
    draws = []
    for state in states:
        counts = branch_counts(state.keep_prob, settings.n_rollouts)
        for t in np.flatnonzero(counts):
            draws += _leaving(
                state, int(t), int(counts[t]), "leave", settings.seed, state.tallies[t]
            )
    _make(engine, draws, settings, report)
    return [_fold(state) for state in states]


def _label_only(
    engine: Engine,
    states: Sequence[_Trajectory],
    settings: RolloutSettings,
    report: Callable[[float, int], None],
) -> list[Curve]:
    counts = [branch_counts(state.keep_prob, settings.n_rollouts) for state in states]
    todo = [
        list(np.flatnonzero(c)) for c in counts
    ]  # positions where something leaves, rightmost last
    total = sum(map(len, todo)) or 1
    seen_from = [0] * len(states)
    curves = [_fold(state, state.length) for state in states]
    active = set(range(len(states)))
    while active:
        wave = []
        for i in sorted(active):
            if todo[i]:
                t = int(todo[i].pop())
                count, tally = int(counts[i][t]), states[i].tallies[t]
                wave += _leaving(states[i], t, count, "leave", settings.seed, tally)
                # Nothing leaves between t and the next position, so values are known down to there.
                seen_from[i] = int(todo[i][-1]) + 1 if todo[i] else 0
        _make(engine, wave, settings, lambda share, tokens: report(0, tokens))
        for i in sorted(active):
            curves[i] = _fold(states[i], seen_from[i])
            if not todo[i] or curves[i].value[seen_from[i]] >= LOST:
                active.discard(i)
                todo[i] = []
        report(1 - sum(map(len, todo)) / total, 0)
    return curves


def _leaving(
    state: _Trajectory, position: int, count: int, tag: str, seed: int, tally: _Tally
) -> list[_Draw]:
    """`count` rollouts that leave the trajectory at `position`; none if no other token can be drawn."""
    nucleus, own = state.nuclei[position], state.solution.token_ids[position]
    other = nucleus.token_ids != own
    if not other.any():
        return []
    name = (seed, state.solution.solution_id, tag, position)
    offset = np.random.Generator(np.random.Philox(key=seed_of(*name))).random()
    picks = systematic(nucleus.probs[other], count, offset)
    return [
        _Draw(state, position, int(token), seed_of(*name, j), tally)
        for j, token in enumerate(nucleus.token_ids[other][picks])
    ]


def _make(
    engine: Engine,
    draws: Sequence[_Draw],
    settings: RolloutSettings,
    report: Callable[[float, int], None],
) -> None:
    """Makes rollouts and books each, graded."""
    prefixes = [_prefix(draw) for draw in draws]
    open_ = [
        i
        for i, prefix in enumerate(prefixes)
        if len(prefix) < settings.max_new_tokens
        and not (prefix and draws[i].alternative is not None and prefix[-1] in engine.eos_ids)
    ]
    requests = [
        Request(
            prompt_ids=draws[i].trajectory.solution.prompt_ids,
            prefix_ids=prefixes[i],
            seed=draws[i].seed,
            max_new_tokens=settings.max_new_tokens - len(prefixes[i]),
        )
        for i in open_
    ]
    finished = 0

    def progress(requests_done: int, tokens: int) -> None:
        nonlocal finished
        finished += requests_done
        report(finished / len(requests), tokens)

    completions = dict(
        zip(open_, engine.sample(requests, settings.sampling, progress), strict=True)
    )
    for i, draw in enumerate(draws):
        state, tokens = draw.trajectory, prefixes[i]
        ended = bool(tokens) and tokens[-1] in engine.eos_ids
        state.generated += draw.alternative is not None
        if i in completions:
            tokens = (*tokens, *completions[i].token_ids)
            ended = completions[i].finish_reason == "stop"
            state.generated += len(completions[i].token_ids)
        draw.tally.alternatives.append(draw.alternative)
        draw.tally.correct.append(_is_correct(engine, state, tokens, ended))


def _prefix(draw: _Draw) -> tuple[int, ...]:
    kept = tuple(draw.trajectory.solution.token_ids[: draw.position])
    return kept if draw.alternative is None else (*kept, draw.alternative)


def _is_correct(
    engine: Engine, state: _Trajectory, tokens: tuple[int, ...], finished: bool
) -> bool:
    """The grade of a whole solution; rollouts repeat each other, so each text is graded once."""
    if tokens not in state.graded:
        problem = state.problem
        verdict = grade(problem.answer, engine.decode(tokens), problem.benchmark, finished=finished)
        state.graded[tokens] = verdict.correct
    return state.graded[tokens]


def _fold(state: _Trajectory, seen_from: int = 0) -> Curve:
    n_rollouts = [len(tally.correct) for tally in state.tallies]
    n_correct = [sum(tally.correct) for tally in state.tallies]
    return branch_curve(state.keep_prob, n_rollouts, n_correct, state.solution.correct, seen_from)


def _replacements(
    engine: Engine,
    states: Sequence[_Trajectory],
    marks: Sequence[list[int]],
    settings: RolloutSettings,
) -> list[_Tally]:
    """N rollouts that replace each trajectory's first marked token: those there, topped up.

    Empty where nothing is marked or where the policy can draw no other token.
    """
    replaced, draws = [], []
    for state, marked in zip(states, marks, strict=True):
        replacement = _Tally()
        if marked:
            there = state.tallies[marked[0]]
            if settings.estimator == "branch":  # `exhaustive` may have drawn the token itself
                replacement = _Tally(list(there.alternatives), list(there.correct))
            missing = settings.n_rollouts - len(replacement.correct)
            if missing > 0:
                tag = "replace"
                draws += _leaving(state, marked[0], missing, tag, settings.seed, replacement)
        replaced.append(replacement)
    _make(engine, draws, settings, lambda share, tokens: None)
    return replaced


def _row(
    engine: Engine,
    state: _Trajectory,
    curve: Curve,
    marked: list[int],
    replacement: _Tally,
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
        "estimator": f"{settings.estimator}{'-label-only' if settings.label_only else ''}",
        "rule": settings.rule,
        "marked": marked,
        "critical_index": marked[0] if marked else None,
        "critical_piece": pieces[marked[0]] if marked else None,
        "replacement_pass_at_k": [pass_at_k(n, correct, k) for k in powers_of_two(n)],
        "replacements": _by_token(engine, state, marked, replacement),
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
    engine: Engine, state: _Trajectory, marked: list[int], replacement: _Tally
) -> list[dict[str, Any]]:
    """How often each alternative to the first marked token was drawn and went well, most drawn first."""
    counts: dict[int, list[int]] = {}
    for token, correct in zip(replacement.alternatives, replacement.correct, strict=True):
        assert token is not None
        tally = counts.setdefault(token, [0, 0])
        tally[0] += 1
        tally[1] += correct
    rows = []
    for token, (drawn, won) in sorted(counts.items(), key=lambda item: (-item[1][0], item[0])):
        before = state.solution.token_ids[max(0, marked[0] - 1) : marked[0]]
        piece = engine.pieces([*before, token])[-1]
        rows.append({"token_id": token, "piece": piece, "n_rollouts": drawn, "n_correct": won})
    return rows


def _nullable(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
