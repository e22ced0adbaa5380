"""Four ways to spend rollouts on a trajectory, all graded on prefix + continuation.

- `exhaustive`: N from every prefix (arXiv 2411.19943);
- `branch`: only those that leave the trajectory, folded by `values.branch_curve`;
- `label_only`: the same, position by position from the right, until the value reaches 5% and nothing
  further left can be critical;
- `adaptive`: a pilot and a second stage of `branch`, which the values rest on, and further rounds where
  the label is unsure.

And `replacements`, which replaces the critical token.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ctm_data.estimator.adaptive import (
    ROUND_DRAWS,
    further_counts,
    pilot_counts,
    second_counts,
    two_stages,
)
from ctm_data.estimator.posterior import DRAWS, Curves, Label, critical_of, draw_curves, label_of
from ctm_data.estimator.settings import LOST, RolloutSettings
from ctm_data.estimator.values import (
    Curve,
    branch_counts,
    branch_curve,
    exhaustive_curve,
    systematic,
)
from ctm_eval.engines.base import Engine, Nucleus, Request
from ctm_eval.grading import grade
from ctm_eval.progress import Advance
from ctm_eval.seeds import seed_of
from ctm_eval.thinking import Thinking, read, room, sample
from ctm_eval.types import Problem, Solution


@dataclass
class Tally:
    """Rollouts at one token: what each took in its place (None: any token), and whether it was right."""

    alternatives: list[int | None] = field(default_factory=list)
    correct: list[bool] = field(default_factory=list)


@dataclass
class Trajectory:
    """A trajectory being rolled out: its policy's distributions, and the rollouts so far.

    `left` holds, by token, whether the rollouts that left the trajectory there were right, wherever they
    began: a rollout from a prefix follows the trajectory for a while.
    """

    solution: Solution
    problem: Problem
    nuclei: list[Nucleus]
    keep_prob: list[float]
    tallies: list[Tally]
    graded: dict[tuple[int, ...], bool] = field(default_factory=dict)
    left: dict[int, list[bool]] = field(default_factory=dict)
    generated: int = 0

    @property
    def length(self) -> int:
        return len(self.solution.token_ids)


class Share:
    """Tells an `Advance` how much of the work is done, from the share that is done in all."""

    def __init__(self, advance: Advance | None) -> None:
        self._advance, self._told = advance, 0.0

    def __call__(self, share: float, tokens: int = 0, cached: int = 0, /) -> None:
        if self._advance:
            self._advance(max(0.0, share - self._told), tokens, cached)
            self._told = max(share, self._told)

    def tokens(self, share: float, tokens: int, cached: int = 0, /) -> None:
        """Tells of tokens alone: how much of the work they are is known later."""
        self(0.0, tokens, cached)


def exhaustive(
    engine: Engine,
    states: Sequence[Trajectory],
    settings: RolloutSettings,
    report: "Share",
) -> list[Curve]:
    """Curves from N rollouts at each of the L prefixes of 0 .. L - 1 tokens."""
    n = settings.n_rollouts
    draws = [
        Draw(
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


def branch(
    engine: Engine,
    states: Sequence[Trajectory],
    settings: RolloutSettings,
    report: "Share",
) -> list[Curve]:
    """Curves from ceil(N (1 - k)) rollouts that leave at each token of keep probability k."""
    draws = []
    for state in states:
        counts = branch_counts(state.keep_prob, settings.n_rollouts)
        for t in np.flatnonzero(counts):
            draws += _leaving(
                state, int(t), int(counts[t]), "leave", settings.seed, state.tallies[t]
            )
    _make(engine, draws, settings, report)
    return [_fold(state) for state in states]


def label_only(
    engine: Engine,
    states: Sequence[Trajectory],
    settings: RolloutSettings,
    report: "Share",
) -> list[Curve]:
    """Curves seen from the right as far as the first value of 5%, the rest unknown (NaN)."""
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
        _make(engine, wave, settings, report.tokens)
        for i in sorted(active):
            curves[i] = _fold(states[i], seen_from[i])
            if not todo[i] or curves[i].value[seen_from[i]] >= LOST:
                active.discard(i)
                todo[i] = []
        report(1 - sum(map(len, todo)) / total, 0)
    return curves


def adaptive(
    engine: Engine,
    states: Sequence[Trajectory],
    settings: RolloutSettings,
    report: "Share",
) -> list[Curve]:
    """Curves from two stages; then rounds until the label is decided or the budget is spent."""
    budgets = [int(settings.budget * settings.n_rollouts * state.length) for state in states]

    def round_of(tag: str, counts: dict[int, np.ndarray]) -> set[int]:
        """Makes `counts[i]` rollouts of trajectory i; those of which there were any to make."""
        wave = {
            i: [
                draw
                for t in np.flatnonzero(own)
                for draw in _leaving(
                    states[i], int(t), int(own[t]), tag, settings.seed, states[i].tallies[t]
                )
            ]
            for i, own in counts.items()
        }
        every = [draw for own in wave.values() for draw in own]
        _make(engine, every, settings, report.tokens)
        spent = sum(min(b, int(left(s)[0].sum())) for b, s in zip(budgets, states, strict=True))
        report(spent / max(1, sum(budgets)), 0)
        return {i for i, own in wave.items() if own}

    everyone = range(len(states))
    keep = [np.asarray(state.keep_prob, dtype=float) for state in states]
    round_of(
        "leave",
        {i: pilot_counts(keep[i], settings.n_rollouts, budgets[i]) for i in everyone},
    )
    pilots = [left(state) for state in states]
    second = {
        i: second_counts(
            posterior(states[i], settings, "second", ROUND_DRAWS),
            keep[i],
            pilots[i][0],
            budgets[i],
            settings.resolution,
        )
        for i in everyone
    }
    round_of("second", second)
    curves = []
    for state, (n, won) in zip(states, pilots, strict=True):
        both, both_won = left(state)
        rate, draws = two_stages(n, won, both - n, both_won - won)
        curves.append(branch_curve(state.keep_prob, draws, rate * draws, state.solution.correct))
    active, rounds = set(everyone), 0
    while active:
        tag, further = f"further-{rounds}", {}
        for i in sorted(active):
            drawn = posterior(states[i], settings, tag, ROUND_DRAWS)
            tokens = critical_of(drawn.value, settings.resolution)
            sure = np.bincount(tokens + 1).max() / len(tokens)
            if sure < settings.confidence:
                further[i] = further_counts(
                    drawn, keep[i], left(states[i])[0], budgets[i], settings.resolution
                )
        active, rounds = round_of(tag, further), rounds + 1
    return curves


def left(state: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """How many rollouts left at each token, and how many of them were right: two of shape (L,)."""
    outcomes = [state.left.get(t, []) for t in range(state.length)]
    return np.array([len(own) for own in outcomes]), np.array([sum(own) for own in outcomes])


def posterior(state: Trajectory, settings: RolloutSettings, tag: str, draws: int = DRAWS) -> Curves:
    """Curves drawn given all rollouts of a trajectory so far."""
    key = seed_of(settings.seed, state.solution.solution_id, "posterior", tag)
    rng = np.random.Generator(np.random.Philox(key=key))
    return draw_curves(state.keep_prob, *left(state), state.solution.correct, rng, draws)


def label(state: Trajectory, settings: RolloutSettings) -> Label:
    """What the rollouts of a trajectory say about its critical token."""
    value = posterior(state, settings, "label").value
    return label_of(critical_of(value, settings.resolution), state.length)


def replacements(
    engine: Engine,
    states: Sequence[Trajectory],
    tokens: Sequence[int | None],
    settings: RolloutSettings,
) -> list[Tally]:
    """N rollouts that replace each trajectory's critical token, for pass@k.

    pass@k counts on draws that are independent of each other and of what chose the token. Those that
    the estimator made there are neither: it draws the other tokens systematically, so that every
    likely one is among them (pass@N of 8 draws of which one in 8 is right would always be 1, and is
    1 - (7/8)^8 = 0.66), and their outcomes helped to mark the token. So all N are made anew, each with
    a token drawn for itself. Empty where there is none or the policy can draw no other token.
    """
    replaced, draws = [], []
    for state, token in zip(states, tokens, strict=True):
        replacement = Tally()
        replaced.append(replacement)
        if token is None:
            continue
        nucleus, own = state.nuclei[token], state.solution.token_ids[token]
        other = nucleus.token_ids != own
        if not other.any():
            continue
        name = (settings.seed, state.solution.solution_id, "replace", token)
        random = np.random.Generator(np.random.Philox(key=seed_of(*name)))
        probs = nucleus.probs[other] / nucleus.probs[other].sum()
        drawn = random.choice(nucleus.token_ids[other], size=settings.n_rollouts, p=probs)
        draws += [
            Draw(state, token, int(other_token), seed_of(*name, j), replacement)
            for j, other_token in enumerate(drawn)
        ]
    _make(engine, draws, settings, Share(None))
    return replaced


@dataclass(frozen=True)
class Draw:
    """One rollout to make: keep the tokens before `position`, take `alternative`, go on; then book it."""

    trajectory: Trajectory
    position: int
    alternative: int | None
    seed: int
    tally: Tally


def _leaving(
    state: Trajectory, position: int, count: int, tag: str, seed: int, tally: Tally
) -> list[Draw]:
    """`count` rollouts that leave the trajectory at `position`; none if no other token can be drawn."""
    nucleus, own = state.nuclei[position], state.solution.token_ids[position]
    other = nucleus.token_ids != own
    if not other.any():
        return []
    name = (seed, state.solution.solution_id, tag, position)
    offset = np.random.Generator(np.random.Philox(key=seed_of(*name))).random()
    picks = systematic(nucleus.probs[other], count, offset)
    return [
        Draw(state, position, int(token), seed_of(*name, j), tally)
        for j, token in enumerate(nucleus.token_ids[other][picks])
    ]


def _make(
    engine: Engine,
    draws: Sequence[Draw],
    settings: RolloutSettings,
    report: Advance,
) -> None:
    """Makes rollouts and books each, graded."""
    prefixes = [_prefix(draw) for draw in draws]
    rooms = [
        room(
            engine,
            draw.trajectory.solution.prompt_ids,
            prefix,
            settings.max_new_tokens,
            settings.thinking,
        )
        for draw, prefix in zip(draws, prefixes, strict=True)
    ]
    open_ = [
        i
        for i, prefix in enumerate(prefixes)
        if rooms[i] > 0
        and not (prefix and draws[i].alternative is not None and prefix[-1] in engine.eos_ids)
    ]
    requests = [
        Request(
            prompt_ids=draws[i].trajectory.solution.prompt_ids,
            prefix_ids=prefixes[i],
            seed=draws[i].seed,
            max_new_tokens=rooms[i],
        )
        for i in open_
    ]
    finished = 0.0

    def progress(requests_done: float, tokens: int, cached: int = 0, /) -> None:
        nonlocal finished
        finished += requests_done
        report(finished / len(requests), tokens, cached)

    drawn = sample(
        engine, requests, settings.sampling, settings.max_new_tokens, settings.thinking, progress
    )
    completions = dict(zip(open_, drawn, strict=True))
    for i, draw in enumerate(draws):
        state, tokens = draw.trajectory, prefixes[i]
        ended = bool(tokens) and tokens[-1] in engine.eos_ids
        state.generated += draw.alternative is not None
        if i in completions:
            tokens = (*tokens, *completions[i].token_ids)
            ended = completions[i].finish_reason == "stop"
            state.generated += len(completions[i].token_ids)
        correct = _is_correct(engine, state, tokens, ended, settings.thinking)
        draw.tally.alternatives.append(draw.alternative)
        draw.tally.correct.append(correct)
        if (leaves := _leaves_at(state.solution.token_ids, tokens)) is not None:
            state.left.setdefault(leaves, []).append(correct)


def _leaves_at(own: Sequence[int], tokens: Sequence[int]) -> int | None:
    """The first token at which a rollout differs from the trajectory; None if it follows it to its end."""
    for t, (mine, other) in enumerate(zip(own, tokens, strict=False)):
        if mine != other:
            return t
    return None


def _prefix(draw: Draw) -> tuple[int, ...]:
    kept = tuple(draw.trajectory.solution.token_ids[: draw.position])
    return kept if draw.alternative is None else (*kept, draw.alternative)


def _is_correct(
    engine: Engine,
    state: Trajectory,
    tokens: tuple[int, ...],
    finished: bool,
    thinking: Thinking | None,
) -> bool:
    """The grade of a whole solution; rollouts repeat each other, so each text is graded once."""
    if tokens not in state.graded:
        problem = state.problem
        text, _ = read(engine, state.solution.prompt_ids, tokens, thinking)
        verdict = grade(problem.answer, text, problem.benchmark, finished=finished)
        state.graded[tokens] = verdict.correct
    return state.graded[tokens]


def _fold(state: Trajectory, seen_from: int = 0) -> Curve:
    n_rollouts = [len(tally.correct) for tally in state.tallies]
    n_correct = [sum(tally.correct) for tally in state.tallies]
    return branch_curve(state.keep_prob, n_rollouts, n_correct, state.solution.correct, seen_from)
