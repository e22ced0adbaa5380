"""`plan`: what a run will cost in tokens, time and disk, from a few of its problems that are really run.

Random problems go through sampling, grading and rollouts as the run would do it, in a folder that is
thrown away. What a problem costs is scaled to all of them, with a 95% prediction interval of Student's t.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, hypot, inf, log, sqrt
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from ctm_data.asking import ask, problems_of
from ctm_data.build import lazy_engine
from ctm_data.config import BuildConfig
from ctm_data.estimator.values import branch_counts
from ctm_data.run.recipe import with_versions
from ctm_data.run.records import chunked
from ctm_data.run.store import Store
from ctm_data.stages import rollouts, solutions
from ctm_eval.errors import CtmError
from ctm_eval.progress import Progress, silent
from ctm_eval.scoring import Scorer
from ctm_eval.types import Problem
from ctm_eval.workers import Here

CHUNKS = 4  # of the pilot
# The pilot is at most about an 8th of the run, and at least CHUNKS * 2 problems. From 512 problems on its
# chunks are as large as the run's usual ones; smaller ones are slower, a token.
SHARE = 8
BUDGETS = (16, 32, 64)  # rollouts a token, for which the estimators are compared


@dataclass(frozen=True)
class Range:
    """A figure, and the 95% interval that the run's own will lie in."""

    likely: float
    low: float
    high: float


@dataclass(frozen=True)
class Plan:
    """The cost of a run of `problems`, by `measured` of them; `seconds` and `bytes` are of this machine, as
    busy as it is.

    `rollout_tokens` maps 'branch, 64' and the like to the tokens of the rollouts alone. `leaving` is the
    mean probability that the next token is another one, which decides what branch costs. Loading the
    model took `loading` seconds. Training p+ and p- is in none of them.
    """

    problems: int
    measured: int
    tokens: Range
    seconds: Range
    bytes: Range
    rollout_tokens: dict[str, Range]
    leaving: float | None
    loading: float


def plan(config: BuildConfig, progress: Progress | None = None) -> Plan:
    """What `build_dataset(config)` will cost. Nothing is written to its folder. Raises CtmError."""
    config, progress = config.check(), progress or silent
    if len(config.models) > 1 or "rollouts" not in config.stages:
        raise CtmError("--plan is for runs of one model with rollouts", usage=True)
    if config.ray is not None:
        raise CtmError("--plan measures one engine here: leave out --ray", usage=True)
    problems = problems_of(config)
    config, prompts = ask(config, config.models, problems)
    own = [
        p for chunk in chunked(problems, config.chunk_size, config.shard).values() for p in chunk
    ]
    size = max(2, min(config.chunk_size, len(own) // (SHARE * CHUNKS)))
    pilot = Random(config.seed).sample(own, min(len(own), size * CHUNKS))
    parts = chunked(pilot, size)
    if len(parts) < 2:
        raise CtmError("a run of so few problems is not planned: run it", usage=True)
    engine = lazy_engine(config, config.models[0])
    started = time.monotonic()
    engine()
    loading = time.monotonic() - started
    seconds: list[float] = []
    with TemporaryDirectory() as scratch, Scorer(isolate=config.isolate) as scorer:
        scorer.check(pilot)
        repeated = rollouts.repeated(problems, config)
        workers = Here(engine, scorer.score)

        def run(store: Store, one: Mapping[int, Sequence[Problem]], unit: int) -> float:
            started = time.monotonic()
            told = _within(progress, unit, len(parts) + 1)
            solutions.write(store, one, {config.models[0]: workers}, prompts, config, told)
            rollouts.write(store, one, workers, config, told, repeated)
            return time.monotonic() - started

        recipe = with_versions(config.recipe())
        with Store.open(Path(scratch) / "first", recipe) as store:
            run(store, {0: pilot[:1]}, 0)  # what a process does once, such as imports, is no speed
        with Store.open(Path(scratch) / "run", recipe) as store:
            for done, (number, chunk) in enumerate(parts.items(), 1):
                seconds.append(run(store, {number: chunk}, done))
            names = [problem.problem_id for problem in pilot]
            spent = _sampled(store) + _rolled_out(store)
            unseen = 0.0 if any(store.parts("rollouts")) else _exhaustive(store, config.n_rollouts)
            each = _bytes_a_problem(store, pilot, config.chunk_size)
            compared = {
                f"{estimator}, {n}": total([costs[name] for name in names], len(own))
                for n in BUDGETS
                for estimator, costs in _by_estimator(store, n).items()
            }
            kept = [k for part in store.each("rollouts", ["keep_prob"])
                    for row in part["keep_prob"].to_pylist() for k in row]  # fmt: skip
    tokens = total([spent[name] for name in names], len(own), unseen)
    of_chunks = [sum(spent[problem.problem_id] for problem in part) for part in parts.values()]
    relative = [edge / max(1.0, tokens.likely) for edge in (tokens.likely, tokens.low, tokens.high)]
    return Plan(
        problems=len(own),
        measured=len(pilot),
        tokens=tokens,
        seconds=duration(tokens, seconds, of_chunks),
        bytes=Range(*(each * len(own) * edge for edge in relative)),
        rollout_tokens=compared,
        leaving=1 - sum(kept) / len(kept) if kept else None,
        loading=loading,
    )


def total(costs: Sequence[float], count: float, unseen: float = 0.0) -> Range:
    """The sum of `count` units, from the costs of a random few of them, with its 95% interval.

    The unknown sum of count units has the standard error count * s * sqrt((1 - n / count) / n): what was
    measured is part of it. `unseen` is what a unit costs at most besides by what none of the few needed:
    up to 1 - 0.025^(1/n) of the others may need it, where 0 of n did (Clopper and Pearson).
    """
    from scipy.stats import t

    n = len(costs)
    mean = sum(costs) / n
    deviation = sqrt(sum((cost - mean) ** 2 for cost in costs) / (n - 1))
    width = t.ppf(0.975, n - 1) * count * deviation * sqrt(max(0.0, 1 - n / count) / n)
    likely, width = mean * count, float(width)
    may = (count - n) * (1 - 0.025 ** (1 / n)) * unseen
    return Range(likely, max(0.0, likely - width), likely + width + may)


def duration(tokens: Range, seconds: Sequence[float], spent: Sequence[float]) -> Range:
    """The seconds that `tokens` take, from chunks that took so many seconds for so many tokens.

    The run's speed counts as one more draw of what the chunks' speeds are draws of, on a logarithmic
    scale: what else a machine does lasts longer than a chunk, and does not average out over a run. It is
    joined with the interval of the tokens as independent of it.
    """
    from scipy.stats import t

    n = len(seconds)
    speeds = [
        log(max(took, 1e-9) / max(count, 1)) for took, count in zip(seconds, spent, strict=True)
    ]
    mean = sum(speeds) / n
    deviation = sqrt(sum((speed - mean) ** 2 for speed in speeds) / (n - 1))
    width = float(t.ppf(0.975, n - 1)) * deviation * sqrt(1 + 1 / n)
    likely = tokens.likely * sum(seconds) / max(1, sum(spent))
    if not likely or not tokens.low:
        down = inf
    else:
        down = hypot(width, log(tokens.likely / tokens.low))
    up = hypot(width, log(tokens.high / tokens.likely)) if likely else 0.0
    return Range(likely, likely * exp(-down), likely * exp(up))


def _within(progress: Progress, unit: int, units: int) -> Progress:
    """Tells of the stages of one unit, half of it each, as progress of all `units`."""

    def told(stage: str, done: float, total: float, *_: Any, **__: Any) -> None:
        share = (done / total if total else 1.0) + (stage == "rolling out")
        progress("planning", unit + share / 2, units)

    return told


def _bytes_a_problem(store: Store, pilot: Sequence[Problem], size: int) -> float:
    """Bytes a problem of the tables, written again in parts as large as the run's: the footer of a short
    part is longer than its rows."""
    found, first = 0, max(store.chunks("problems")) + 1
    for table in ("problems", "solutions", "rollouts"):
        rows = [row for chunk in store.chunks(table) for row in store.rows(table, chunk)]
        for number, chunk in chunked(pilot, size).items():
            names = {problem.problem_id for problem in chunk}
            if own := [row for row in rows if row["problem_id"] in names]:
                store.write(table, first + number, own)
                found += store.path(table, first + number).stat().st_size
                store.path(table, first + number).unlink()
    return found / len(pilot)


def _sampled(store: Store) -> Counter[str]:
    """Tokens of the solutions by problem."""
    tokens: Counter[str] = Counter()
    for row in _rows(store, "solutions", "problem_id", "token_ids"):
        tokens[row["problem_id"]] += len(row["token_ids"])
    return tokens


def _rolled_out(store: Store) -> Counter[str]:
    """Tokens of all rollouts by problem: those of values, of replacements, and of second runs."""
    names = ("generated_tokens", "replacement_tokens", "repeat_tokens")
    tokens: Counter[str] = Counter()
    for row in _rows(store, "rollouts", "problem_id", *names):
        tokens[row["problem_id"]] += sum(row[name] or 0 for name in names)
    return tokens


def _exhaustive(store: Store, n: int) -> float:
    """Tokens of N rollouts after every token of the longest solution, each as long as the rest."""
    rows = _rows(store, "solutions", "token_ids")
    longest = max((len(row["token_ids"]) for row in rows), default=0)
    return n * longest * (longest + 1) / 2


def _by_estimator(store: Store, n: int) -> dict[str, Counter[str]]:
    """Tokens by problem of N rollouts after every token, each as long as the rest, and of `branch`, whose
    number of rollouts follows from the keep probabilities."""
    found: dict[str, Counter[str]] = {"branch": Counter(), "exhaustive": Counter()}
    for row in _rows(store, "rollouts", "problem_id", "keep_prob"):
        rest = range(len(row["keep_prob"]), 0, -1)
        counts = branch_counts(row["keep_prob"], n)
        found["branch"][row["problem_id"]] += sum(
            int(count) * left for count, left in zip(counts, rest, strict=True)
        )
        found["exhaustive"][row["problem_id"]] += n * sum(rest)
    return found


def _rows(store: Store, table: str, *columns: str) -> list[dict[str, Any]]:
    return [row for part in store.each(table, list(columns)) for row in part.to_pylist()]
