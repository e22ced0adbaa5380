"""What a critical token's label is worth: whether a second run gives the same, and whether it is true.

    python benchmarks/labels.py [--trajectories 200] [--seed 1] [--seconds 600] [--quick] [--pocket 0]
    python benchmarks/labels.py --trajectories 1200 --shard 1/2 --results build/labels.jsonl  # and 2/2

Simulated trajectories (`trajectory`) have known values, so the true critical token is known: that of
the rule on the true curve, a value below the resolution counting as 0. Every way to spend rollouts is
run twice on each. `exhaustive` and `branch` are labelled by the rule, as the papers do; `posterior` is
the likeliest token given the same rollouts of `branch`; `adaptive` spends all of its budget, which is a
share of the N L rollouts of exhaustive. `confident` are labels with a critical_prob of 0.8 or more,
`holds` is how often the smallest run of tokens with 90% holds the true one, and the RMSE is that of the
values against the true ones. `said` is the mean critical_prob of the confident labels: where the
posterior is honest, as many of them are right. Rollouts stand for tokens: each is as long as what is
left of its trajectory. With `--results`, every trajectory is a line of that file as soon as it is
measured; shards share the file, a later run measures what is missing, and the tables show all of it.

The ranges of the generator were chosen on seed 0, where they give the shares that were measured on
published curves of Llama-3-8B-Instruct (two runs of exhaustive agree in 32 to 37%, of branch in 40%, of
branch with N = 256 in 56%). `--pocket` rolls out that many wrong solutions of the built-in model, at
temperature 1 and top-p 1.
"""

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

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

ROOT = Path(__file__).resolve().parent.parent
N = 64
SHARES = (1 / 8, 1 / 2, 1.0)
CONFIDENT = 0.8
BINS = (0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 1.01)


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


def twice(seed: int, i: int) -> dict[str, Any]:
    """Trajectory `i` of a seed: its length, its true critical token, and two runs of every way on it."""
    truth = trajectory(np.random.default_rng([seed, i]))
    runs = {
        name: [_record(truth, way(truth, np.random.default_rng([seed, i, j, k]))) for k in range(2)]
        for j, (name, way) in enumerate(ways().items())
    }
    return {"code": code(), "seed": seed, "i": i, "critical": truth.critical, "runs": runs}


def code() -> str:
    """A hash of what the figures depend on: results of other code are not mixed with them."""
    files = [Path(__file__), *sorted((ROOT / "ctm_data" / "estimator").glob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def measure(trajectories: range, seed: int, results: Path, seconds: float) -> None:
    """Measures trajectories that `results` does not have, and appends a line of JSON for each.

    Stops early after `seconds`; which trajectories are measured does not depend on their results.
    """
    start = time.monotonic()
    there = {row["i"] for row in read(results, seed)}
    with results.open("ab+") as file:
        if results.stat().st_size:
            file.seek(-1, 2)
            if file.read(1) != b"\n":  # a killed run left half a line
                file.write(b"\n")
        for i in trajectories:
            if time.monotonic() - start > seconds:
                return
            if i not in there:
                file.write(json.dumps(twice(seed, i)).encode() + b"\n")
                file.flush()


def read(results: Path, seed: int) -> list[dict[str, Any]]:
    """The trajectories in a file of results that this code measured, each once."""
    found, now = {}, code()
    for line in results.read_text().splitlines() if results.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if (row["code"], row["seed"]) == (now, seed):
            found[row["i"]] = row
    return [found[i] for i in sorted(found)]


def show(found: list[dict[str, Any]], seed: int) -> None:
    """Prints a line for each way to spend rollouts, with 95% bootstrap intervals over trajectories."""
    count = len(found)
    print(f"{count} trajectories, seed {seed}; ratios are to exhaustive; 95% intervals")
    if not count:
        return
    print(f"{'':18}  {'agree':19}  {'ratio':17}  {'true':19}  {'RMSE':6}  tokens")
    resamples = np.random.default_rng(seed).integers(count, size=(2000, count))
    truth = np.array([row["critical"] for row in found])[:, None]

    def column(name: str, key: str) -> np.ndarray:
        return np.array([[run[key] for run in row["runs"][name]] for row in found])

    said = {name: column(name, "critical") for name in ways()}
    agrees = {name: said[name][:, 0] == said[name][:, 1] for name in ways()}
    base, cost = agrees["exhaustive"], column("exhaustive", "cost").mean()
    for name in ways():
        ratio = agrees[name][resamples].sum(1) / base[resamples].sum(1)
        print(
            f"{name:18}  {_share(agrees[name], resamples)}  "
            f"{agrees[name].sum() / base.sum():.2f} [{_ends(ratio, '.2f')}]  "
            f"{_share((said[name] == truth).mean(1), resamples)}  "
            f"{np.sqrt(column(name, 'error').mean()):.4f}  {column(name, 'cost').mean() / cost:.3f}"
        )
    print(f"\n{'':18}  {'confident':19}  {'right':19}  said   {'holds':19}  run")
    for name in ways():
        prob = column(name, "prob")
        if prob.dtype == object:
            continue
        sure, true = prob >= CONFIDENT, said[name] == truth
        low, high = (column(name, end).astype(float) for end in ("low", "high"))
        holds = (low <= truth) & (truth <= high)
        counts = [sure.sum(1)[resamples].sum(1), (sure & true).sum(1)[resamples].sum(1)]
        print(
            f"{name:18}  {_share(sure.mean(1), resamples)}  "
            f"{true[sure].mean():5.1%} [{_ends(counts[1] / counts[0], '.1%')}]  {prob[sure].mean():5.1%}  "
            f"{_share(holds.mean(1), resamples)}  {np.nanmedian(high - low + 1):.0f}"
        )
    print(f"\ncritical_prob, and how many of the labels are true; {' '.join(ways())}")
    for low, high in pairwise(BINS):
        cells = []
        for name in ways():
            prob = column(name, "prob")
            if prob.dtype == object:
                continue
            here = (prob >= low) & (prob < high)
            true = (said[name] == truth)[here]
            cells.append(
                f"{true.mean():5.1%} of {here.sum():4}" if here.any() else "       of    0"
            )
        print(f"{low:.2f} to {min(high, 1):.2f}   {'   '.join(cells)}")


def _record(truth: Truth, run: Run) -> dict[str, Any]:
    """What is kept of a run: its token, the probability and credible run that it has, error and cost."""
    error, label = (run.value - truth.value)[:-1], run.label
    return {
        "critical": run.critical,
        "prob": label and float(label.prob.max()),
        "low": label and label.low,
        "high": label and label.high,
        "error": float(error @ error) / len(error),
        "cost": run.cost,
    }


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
    from ctm_eval.benchmarks import load_problems
    from ctm_eval.engines import Sampling, load_engine

    engine = load_engine("transformers", "pocket")
    problems = load_problems("pocket", limit=6 * count, seed=2)
    options = argparse.Namespace(samples=8, max_new_tokens=192, trajectories=count)
    chosen = wrong_solutions(engine, problems, Sampling(1.0, 1.0), options)
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
    parser.add_argument(
        "--shard", default="1/1", metavar="I/N", help="every N-th, from the I-th on"
    )
    parser.add_argument("--results", type=Path, help="keep them in this file, and go on from it")
    args = parser.parse_args()
    if args.trajectories:
        shard, shards = map(int, args.shard.split("/"))
        part = range(shard - 1, 20 if args.quick else args.trajectories, shards)
        with tempfile.TemporaryDirectory() as folder:
            results = args.results or Path(folder, "results.jsonl")
            measure(part, args.seed, results, args.seconds)
            show(read(results, args.seed), args.seed)
    if args.pocket:
        pocket(args.pocket)


if __name__ == "__main__":
    main()
