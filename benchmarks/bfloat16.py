"""What `--dtype bfloat16` gains on this processor, and how far values and labels drift.

    python benchmarks/bfloat16.py [--model build/smollm2-135m-instruct] [--data-file test.jsonl]
                                  [--temperatures 0.5 1.0] [--trajectories 20] [--repeats 3] [--quick]

Speed: tokens a processor second of the transformers engine in both precisions, in turns, for the requests
of `engine.py`; medians. Drift: `branch` rolls out wrong solutions that float32 samples of short sums (those
of `rollout_cost.py --sums`), with two seeds in each precision. The share of the mass that stays
(`keep_prob`) is computed, not drawn, so its difference is rounding alone. Values are drawn: two seeds of
float32 differ by their noise, a seed of float32 and another of bfloat16 by noise and drift. Intervals (95%)
are from a bootstrap over trajectories.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from engine import MODEL, chats, ours
from rollout_cost import ROUNDS, TOP_P, sums, wrong_solutions

from ctm_data.estimator.settings import RolloutSettings
from ctm_data.stages.rollouts import roll_out
from ctm_eval.engines import Sampling
from ctm_eval.engines.transformers import TransformersEngine

DTYPES = ("float32", "bfloat16")
Engines = dict[str, TransformersEngine]


def speed(engines: Engines, policy: Sampling, options: argparse.Namespace) -> str:
    """A row of the first table."""
    prompts = chats(engines["float32"], options.prompts, options.data_file)
    rates: dict[str, list[float]] = {dtype: [] for dtype in DTYPES}
    for turn in range(options.repeats + 1):
        for dtype, engine in engines.items():
            started = time.process_time()
            tokens = ours(engine, prompts, options.samples, options.tokens, policy)
            if turn:  # the first one warms up
                rates[dtype].append(tokens / (time.process_time() - started))
    each = [b / a for a, b in zip(*rates.values(), strict=True)]
    cells = [f"{median(own):,.0f}" for own in rates.values()]
    turns = ", ".join(f"{ratio:.2f}" for ratio in each)
    return f"| {policy.temperature} | {' | '.join(cells)} | {median(each):.2f} | {turns} |"


def drift(engines: Engines, policy: Sampling, options: argparse.Namespace) -> str:
    """The lines that follow a temperature's row."""
    found = wrong_solutions(engines["float32"], sums(8 * options.trajectories), policy, options)
    settings = RolloutSettings(policy, options.n_rollouts, options.max_new_tokens)
    runs: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for dtype, engine in engines.items():
        for seed in range(2):
            runs[dtype, seed] = list(roll_out(engine, found, replace(settings, seed=seed)))
            print(f"temperature {policy.temperature}, {dtype}, seed {seed}", file=sys.stderr)
    kept = [
        np.abs(np.subtract(a["keep_prob"], b["keep_prob"], dtype=float))
        for a, b in zip(runs["float32", 0], runs["bfloat16", 0], strict=True)
    ]
    noise = [compared(runs["float32", 0], runs["float32", 1])]
    both = [
        compared(runs["float32", 0], runs["bfloat16", 1]),
        compared(runs["float32", 1], runs["bfloat16", 0]),
    ]
    every = np.concatenate(kept)
    said = [
        f"Temperature {policy.temperature}, {len(found)} wrong solutions of {len(every)} tokens: "
        f"`keep_prob` differs by {every.mean():.4f} on average, {np.quantile(every, 0.99):.3f} at most in "
        "99% of tokens.",
        "",
        "| compared | RMS difference of values | mean difference | same critical token |",
        "|---|---|---|---|",
    ]
    for name, pairs in (("two seeds of float32", noise), ("float32 and bfloat16", both)):
        said.append(f"| {name} | {' | '.join(cells(pairs))} |")
    return "\n".join([*said, ""])


def compared(ones: list[dict[str, Any]], others: list[dict[str, Any]]) -> np.ndarray:
    """Of each trajectory: values compared, the sum of their squared differences, that of their differences,
    and whether the critical token is the same; shape (T, 4)."""
    rows = []
    for one, other in zip(ones, others, strict=True):
        gap = np.subtract(other["value"], one["value"], dtype=float)
        same = one["critical_index"] == other["critical_index"]
        rows.append((len(gap), (gap**2).sum(), gap.sum(), same))
    return np.array(rows, dtype=float)


def cells(pairs: list[np.ndarray]) -> list[str]:
    """Three figures with their intervals."""
    rows = np.mean(pairs, axis=0)
    picks = np.random.default_rng(0).integers(len(rows), size=(ROUNDS, len(rows)))
    said = []
    for how, of in (
        ("{:.4f}", lambda r: np.sqrt(r[..., 1].sum(-1) / r[..., 0].sum(-1))),
        ("{:+.4f}", lambda r: r[..., 2].sum(-1) / r[..., 0].sum(-1)),
        ("{:.0%}", lambda r: r[..., 3].mean(-1)),
    ):
        low, high = np.quantile(of(rows[picks]), [0.025, 0.975])
        said.append(f"{how.format(of(rows))} [{how.format(low)}, {how.format(high)}]")
    return said


def main() -> None:
    """Prints a table of speeds, and one of drift for each temperature."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--data-file", type=Path, help="questions of GSM8K; otherwise pocket's")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.5, 1.0])
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--samples", type=int, default=32, help="of a prompt")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trajectories", type=int, default=20)
    parser.add_argument("--n-rollouts", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int, default=24, help="of a trajectory")
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it runs")
    options = parser.parse_args()
    if options.quick:
        options.prompts, options.samples, options.tokens, options.repeats = 2, 8, 8, 1
        options.trajectories, options.n_rollouts = 2, 8
    engines = {
        dtype: TransformersEngine.load(options.model, device="cpu", dtype=dtype) for dtype in DTYPES
    }
    policies = [Sampling(temperature, TOP_P) for temperature in options.temperatures]
    fast = torch.backends.cpu.get_cpu_capability()
    print(f"{Path(options.model).name}, {torch.get_num_threads()} threads, {fast}\n")
    print("| temperature | float32, tokens/s | bfloat16 | × | each turn |")
    print("|---|---|---|---|---|")
    for policy in policies:
        print(speed(engines, policy, options), flush=True)
    print()
    for policy in policies:
        print(drift(engines, policy, options), flush=True)


if __name__ == "__main__":
    main()
