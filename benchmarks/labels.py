"""What a critical token's label is worth: whether a second run gives the same, and whether it is true.

    python benchmarks/labels.py [--trajectories 200] [--seed 1] [--seconds 600] [--quick] [--pocket 0]

Simulated trajectories (`trajectory`) have known values, so the true critical token is known: that of
the rule on the true curve, a value below the resolution counting as 0. Every way to spend rollouts is
run twice on each. `exhaustive` and `branch` are labelled by the rule, as the papers do; `posterior` is
the likeliest token given the same rollouts of `branch`; `adaptive` spends all of its budget, which is a
share of the N L rollouts of exhaustive. `confident` are labels with a critical_prob of 0.8 or more,
`holds` is how often the smallest run of tokens with 90% holds the true one, and the RMSE is that of the
values against the true ones. Rollouts stand for tokens: each is as long as what is left of its trajectory.

The ranges of the generator were chosen on seed 0, where they give the shares that were measured on
published curves of Llama-3-8B-Instruct (two runs of exhaustive agree in 32 to 37%, of branch in 40%, of
branch with N = 256 in 56%). `--pocket` rolls out that many wrong solutions of the built-in model, at
temperature 1 and top-p 1.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ctm_data.estimator.adaptive import (
    ROUND_DRAWS,
    further_counts,
    pilot_counts,
    second_counts,
    two_stages,
)
from ctm_data.estimator.posterior import Label, critical_of, draw_curves, label_of
from ctm_data.estimator.settings import RESOLUTION
from ctm_data.estimator.values import branch_counts, branch_curve

N = 64
SHARES = (1 / 8, 1 / 2, 1.0)


@dataclass(frozen=True)
class Truth:
    """A trajectory of L tokens: its keep probabilities and success rates (L,), its values (L + 1,)."""

    keep: np.ndarray
    rate: np.ndarray
    value: np.ndarray

    @property
    def critical(self) -> int:
        """The true critical token."""
        return int(critical_of(self.value[None], RESOLUTION)[0])


@dataclass(frozen=True)
class Run:
    """What one run says: its label, what is known of it (if it tells), its values, what it cost."""

    critical: int
    label: Label | None
    value: np.ndarray
    cost: float  # tokens, in units of one rollout from the first token


def trajectory(rng: np.random.Generator) -> Truth:
    """A wrong trajectory of 50 to 300 tokens, of which a token leaves 5 to 25% of the mass on average.

    The mass that leaves is Beta-distributed and skewed: most tokens are nearly certain. The level of
    the success rates is a logistic fall from a Beta(2, 2) to 0.3 to 4%, somewhere in the trajectory and
    over 20 to 80% of its length (a creep), or in 15% of the trajectories a single step to 0.01 to 0.3%
    (a cliff), with a random walk of up to 0.06 a token in the logit on top. The rates are Beta with that
    mean and a concentration of 2 to 20.
    """
    length = int(rng.integers(50, 301))
    leaving = np.exp(rng.uniform(np.log(0.05), np.log(0.25)))
    shape = rng.uniform(0.15, 0.6)
    leave = rng.beta(shape, shape * (1 / leaving - 1), length)
    place = np.arange(length) / length
    cliff = rng.random() < 0.15
    top, at = _logit(rng.beta(2, 2)), rng.uniform(0.1, 0.9)
    if cliff:
        level = np.where(place < at, top, _logit(10 ** rng.uniform(-4, -2.5)))
    else:
        bottom = _logit(np.exp(rng.uniform(np.log(0.003), np.log(0.04))))
        width = rng.uniform(0.2, 0.8)
        level = top + (bottom - top) / (1 + np.exp(-(place - at) / width * 6))
    level = level + np.cumsum(rng.normal(0, rng.uniform(0, 0.06), length))
    mean = 1 / (1 + np.exp(-level))
    concentration = np.exp(rng.uniform(np.log(2), np.log(20)))
    rate = rng.beta(concentration * mean, concentration * (1 - mean))
    return Truth(1 - leave, rate, _fold(1 - leave, rate))


def exhaustive(truth: Truth, rng: np.random.Generator) -> Run:
    """The paper's: N rollouts from every prefix."""
    value = np.append(rng.binomial(N, truth.value[:-1]) / N, 0.0)
    counts = np.full(len(truth.keep), N)
    return Run(int(critical_of(value[None], RESOLUTION)[0]), None, value, _cost(counts))


def branch(truth: Truth, rng: np.random.Generator, posterior: bool) -> Run:
    """N (1 - k) rollouts a token, labelled by the rule or by the posterior."""
    counts = branch_counts(truth.keep, N)
    won = rng.binomial(counts, truth.rate)
    value = branch_curve(truth.keep, counts, won, False).value
    if not posterior:
        return Run(int(critical_of(value[None], RESOLUTION)[0]), None, value, _cost(counts))
    label = _label(truth, counts, won, rng)
    return Run(_index(label), label, value, _cost(counts))


def adaptive(truth: Truth, rng: np.random.Generator, share: float) -> Run:
    """`share` of exhaustive's rollouts, all of them spent unless none could change the label."""
    keep, budget = truth.keep, int(share * N * len(truth.keep))
    pilot = pilot_counts(keep, N, budget)
    pilot_won = rng.binomial(pilot, truth.rate)

    def curves(n: np.ndarray, won: np.ndarray):  # type: ignore[no-untyped-def]
        return draw_curves(keep, n, won, False, rng, ROUND_DRAWS)

    second = second_counts(curves(pilot, pilot_won), keep, pilot, budget, RESOLUTION)
    second_won = rng.binomial(second, truth.rate)
    rate, draws = two_stages(pilot, pilot_won, second, second_won)
    value = branch_curve(keep, draws, rate * draws, False).value
    n, won = pilot + second, pilot_won + second_won
    while (counts := further_counts(curves(n, won), keep, n, budget, RESOLUTION)).any():
        n, won = n + counts, won + rng.binomial(counts, truth.rate)
    label = _label(truth, n, won, rng)
    return Run(_index(label), label, value, _cost(n))


def ways() -> dict[str, Callable[[Truth, np.random.Generator], Run]]:
    """The ways to spend rollouts, by name."""
    return {
        "exhaustive": exhaustive,
        "branch": lambda truth, rng: branch(truth, rng, False),
        "branch, posterior": lambda truth, rng: branch(truth, rng, True),
        **{
            f"adaptive, {share:g}": lambda truth, rng, share=share: adaptive(truth, rng, share)
            for share in SHARES
        },
    }


def twice(seed: int, i: int) -> tuple[Truth, dict[str, tuple[Run, Run]]]:
    """Trajectory `i` of a seed, and two runs of every way on it."""
    truth = trajectory(np.random.default_rng([seed, i]))
    runs = {
        name: (
            way(truth, np.random.default_rng([seed, i, j, 0])),
            way(truth, np.random.default_rng([seed, i, j, 1])),
        )
        for j, (name, way) in enumerate(ways().items())
    }
    return truth, runs


def measure(trajectories: int, seed: int, seconds: float = float("inf")) -> None:
    """Prints a line for each way to spend rollouts, with 95% bootstrap intervals over trajectories.

    Stops early after `seconds`; which trajectories are measured does not depend on their results.
    """
    found: list[tuple[Truth, dict[str, tuple[Run, Run]]]] = []
    start = time.monotonic()
    while len(found) < trajectories and time.monotonic() - start < seconds:
        found.append(twice(seed, len(found)))
    count = len(found)
    print(f"{count} trajectories, seed {seed}; ratios are to exhaustive; 95% intervals")
    print(f"{'':18}  {'agree':19}  {'ratio':17}  {'true':19}  {'RMSE':6}  tokens")
    resamples = np.random.default_rng(seed).integers(count, size=(2000, count))
    base = np.array([_agree(*runs["exhaustive"]) for _, runs in found])
    cost = np.mean([runs["exhaustive"][0].cost for _, runs in found])
    for name in ways():
        rows = [(truth, *runs[name]) for truth, runs in found]
        agree = np.array([_agree(one, two) for _, one, two in rows])
        true = np.array([[r.critical == t.critical for r in runs] for t, *runs in rows])
        ratio = agree[resamples].sum(1) / base[resamples].sum(1)
        error = np.mean([[(r.value - t.value)[:-1] @ (r.value - t.value)[:-1] / len(t.keep)
                          for r in runs] for t, *runs in rows])  # fmt: skip
        tokens = np.mean([run.cost for _, *runs in rows for run in runs]) / cost
        print(
            f"{name:18}  {_share(agree, resamples)}  "
            f"{agree.sum() / base.sum():.2f} [{_ends(ratio, '.2f')}]  "
            f"{_share(true.mean(1), resamples)}  {np.sqrt(error):.4f}  {tokens:.3f}",
            flush=True,
        )
    print(f"\n{'':18}  {'confident':19}  {'right':19}  {'holds':19}  run")
    for name in ways():
        if found[0][1][name][0].label is None:
            continue
        rows = [(truth, *runs[name]) for truth, runs in found]
        sure = np.array([[r.label.prob.max() >= 0.8 for r in runs] for _, *runs in rows])  # type: ignore[union-attr]
        true = np.array([[r.critical == t.critical for r in runs] for t, *runs in rows])
        holds = np.array([[_holds(t, r.label) for r in runs] for t, *runs in rows])
        spans = [r.label for _, *runs in rows for r in runs if r.label and r.label.low is not None]
        length = np.median([s.high - s.low + 1 for s in spans])  # type: ignore[operator]
        right = (sure & true).sum(1)[resamples].sum(1) / sure.sum(1)[resamples].sum(1)
        print(
            f"{name:18}  {_share(sure.mean(1), resamples)}  "
            f"{(sure & true).sum() / sure.sum():5.1%} [{_ends(right, '.1%')}]  "
            f"{_share(holds.mean(1), resamples)}  {length:.0f}",
            flush=True,
        )


def _agree(one: Run, two: Run) -> bool:
    return one.critical == two.critical


def _holds(truth: Truth, label: Label | None) -> bool:
    """Whether the smallest credible run holds the true critical token."""
    if label is None or label.low is None or label.high is None:
        return False
    return label.low <= truth.critical <= label.high


def _share(values: np.ndarray, resamples: np.ndarray) -> str:
    return f"{values.mean():5.1%} [{_ends(values[resamples].mean(1), '.1%')}]"


def _ends(means: np.ndarray, form: str) -> str:
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{low:{form}}, {high:{form}}"


def pocket(count: int) -> None:
    """Prints how often two runs on the built-in model's wrong solutions agree, and with each other."""
    from rollout_cost import wrong_solutions

    from ctm_data.estimator.settings import RolloutSettings
    from ctm_data.stages.rollouts import roll_out
    from ctm_eval.engines import Sampling, load_engine

    engine = load_engine("transformers", "pocket")
    chosen = wrong_solutions(engine, count)
    ways = {
        "exhaustive": {"estimator": "exhaustive"},
        "branch": {},
        **{f"adaptive, {share:g}": {"adaptive": True, "budget": share} for share in SHARES},
    }
    print(f"pocket, temperature 1, top-p 1, {len(chosen)} wrong solutions")
    print("                      rule   posterior  prob   tokens")
    for name, way in ways.items():
        both = [
            roll_out(
                engine,
                chosen,
                RolloutSettings(Sampling(1.0, 1.0), N, 192, seed=seed, **way),  # type: ignore[arg-type]
            )
            for seed in range(2)
        ]
        pairs = list(zip(*both, strict=True))
        rule = np.mean([one["marked"] == two["marked"] for one, two in pairs])
        likeliest = np.mean([one["critical_index"] == two["critical_index"] for one, two in pairs])
        prob = np.mean([max(row["critical_prob"]) for rows in both for row in rows])
        tokens = sum(row["generated_tokens"] for row in both[0])
        print(f"{name:20}  {rule:5.1%}  {likeliest:9.1%}  {prob:.3f}  {tokens:,}", flush=True)


def _label(truth: Truth, n: np.ndarray, won: np.ndarray, rng: np.random.Generator) -> Label:
    curves = draw_curves(truth.keep, n, won, False, rng)
    return label_of(critical_of(curves.value, RESOLUTION), len(truth.keep))


def _index(label: Label) -> int:
    return -1 if label.likeliest is None else label.likeliest


def _cost(counts: np.ndarray) -> float:
    left = 1 - np.arange(len(counts)) / len(counts)
    return float((counts * left).sum() * len(counts))


def _fold(keep: np.ndarray, rate: np.ndarray) -> np.ndarray:
    value = np.zeros(len(keep) + 1)
    for t in range(len(keep) - 1, -1, -1):
        value[t] = keep[t] * value[t + 1] + (1 - keep[t]) * rate[t]
    return value


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))


def main() -> None:
    """Reads the options and prints both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trajectories", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so many")
    parser.add_argument("--quick", action="store_true", help="20 trajectories")
    parser.add_argument(
        "--pocket", type=int, default=0, help="wrong solutions of the built-in model"
    )
    args = parser.parse_args()
    if args.trajectories:
        measure(20 if args.quick else args.trajectories, args.seed, args.seconds)
    if args.pocket:
        pocket(args.pocket)


if __name__ == "__main__":
    main()
