"""What a value costs: `exhaustive`, `branch` and `branch --label-only` on the same wrong solutions.

    python benchmarks/rollout_cost.py [--trajectories 48] [--truth 1024] [--quick]

The truth is `exhaustive` with 1,024 rollouts a token, with seeds of its own. Errors are against it, so
they contain its own noise, the same for everybody. `tokens` are those generated for the values (the
replacement experiment, equal for all, is left out); the times are of one process, models loaded.
"""

import argparse
import sys
import time
from dataclasses import replace

import numpy as np

from ctm_data.estimator.settings import RolloutSettings
from ctm_data.stages.rollouts import roll_out
from ctm_data.stages.solutions import sample_solutions
from ctm_eval.benchmarks import load_problems
from ctm_eval.engines import Engine, Sampling, load_engine
from ctm_eval.types import Problem, Solution

POLICY, MAX_NEW_TOKENS = Sampling(1.0, 0.95), 192
METHODS = {
    "exhaustive": {"estimator": "exhaustive"},
    "branch": {"estimator": "branch"},
    "branch --label-only": {"estimator": "branch", "label_only": True},
}


def wrong_solutions(engine: Engine, count: int) -> list[tuple[Problem, Solution]]:
    """The first wrong solution of each test problem that has one, `count` in all."""
    found: list[tuple[Problem, Solution]] = []
    problems = load_problems("pocket", limit=4 * count, seed=2)
    solutions = sample_solutions(
        engine, problems, POLICY, n_samples=8, max_new_tokens=MAX_NEW_TOKENS, seed=0
    )
    by_id = {problem.problem_id: problem for problem in problems}
    for solution in solutions:
        problem = by_id[solution.problem_id]
        if not solution.correct and all(problem is not other for other, _ in found):
            found.append((problem, solution))
    return found[:count]


def rows_of(
    engine: Engine, pairs: list[tuple[Problem, Solution]], settings: RolloutSettings, name: str
) -> tuple[list[dict], float]:
    """The rows and the wall seconds."""
    started, rows = time.perf_counter(), []
    for i in range(0, len(pairs), 8):
        rows += roll_out(engine, pairs[i : i + 8], settings)
        took = time.perf_counter() - started
        left = took * (len(pairs) - len(rows)) / len(rows)
        print(f"{name}: {len(rows)}/{len(pairs)}, {left:.0f} s left", file=sys.stderr)
    return rows, time.perf_counter() - started


def compare(rows: list[dict], truth: list[dict]) -> tuple[float, float, float]:
    """RMSE of the values that were looked at, agreement of critical tokens, share looked at."""
    errors, seen, agree = [], 0, 0
    for row, true in zip(rows, truth, strict=True):
        # The last value is known to everybody and left out.
        pairs = list(zip(row["value"][:-1], true["value"][:-1], strict=True))
        errors += [(a - b) ** 2 for a, b in pairs if a is not None]
        seen += sum(a is not None for a, _ in pairs)
        agree += row["critical_index"] == true["critical_index"]
    total = sum(len(true["value"]) - 1 for true in truth)
    return float(np.sqrt(np.mean(errors))), agree / len(truth), seen / total


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trajectories", type=int, default=48)
    parser.add_argument("--truth", type=int, default=1024, help="rollouts a token of the truth")
    parser.add_argument("--n-rollouts", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3, help="seeds of each method")
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it runs")
    options = parser.parse_args()
    if options.quick:
        options.trajectories, options.truth, options.repeats = 4, 64, 1
    engine = load_engine("transformers", "pocket", device="cpu")
    pairs = wrong_solutions(engine, options.trajectories)
    settings = RolloutSettings(POLICY, max_new_tokens=MAX_NEW_TOKENS)
    roll_out(engine, pairs[:2], replace(settings, n_rollouts=8))  # warm-up
    truth_settings = replace(settings, n_rollouts=options.truth, estimator="exhaustive", seed=99)
    truth, _ = rows_of(engine, pairs, truth_settings, "truth")
    tokens = {name: [] for name in METHODS}
    seconds, errors, agreement, looked = ({name: [] for name in METHODS} for _ in range(4))
    for seed in range(options.repeats):
        for name, method in METHODS.items():
            chosen = replace(settings, n_rollouts=options.n_rollouts, seed=seed, **method)
            rows, took = rows_of(engine, pairs, chosen, name)
            rmse, agree, seen = compare(rows, truth)
            tokens[name].append(sum(row["generated_tokens"] for row in rows))
            seconds[name].append(took)
            errors[name].append(rmse)
            agreement[name].append(agree)
            looked[name].append(seen)
    lengths = [len(solution.token_ids) for _, solution in pairs]
    print(
        f"{len(pairs)} wrong solutions of pocket, {np.mean(lengths):.0f} tokens on average; "
        f"N = {options.n_rollouts}, truth {options.truth} rollouts a token, "
        f"median of {options.repeats} seeds\n"
    )
    print(
        "| method | tokens | × fewer | seconds | RMSE of values | critical token agrees | looked at |"
    )
    print("|---|---|---|---|---|---|---|")
    base = np.median(tokens["exhaustive"])
    for name in METHODS:
        spent = np.median(tokens[name])
        print(
            f"| {name} | {spent:,.0f} | {base / spent:.1f} | {np.median(seconds[name]):.1f} | "
            f"{np.median(errors[name]):.4f} | {np.median(agreement[name]):.1%} | "
            f"{np.median(looked[name]):.0%} of tokens |"
        )


if __name__ == "__main__":
    main()
