"""What a value costs: `exhaustive` and the forms of `branch` on the same wrong solutions.

    python benchmarks/rollout_cost.py [--trajectories 48] [--truth 1024] [--quick]
    python benchmarks/rollout_cost.py --model build/smollm2-135m-instruct --data-file test.jsonl
        --temperatures 0.5 1.0 --trajectories 20 --truth 512 --positions 8 --repeats 2
    python benchmarks/rollout_cost.py --model build/smollm2-135m-instruct --sums ...

The trajectories are the first wrong solution of each problem that has a right one among `--samples`. The
truth are `--truth` rollouts with seeds of their own after every token, or after `--positions` tokens of
each trajectory. Errors are against it; its own noise, p (1 - p) / N, is taken off their squares. `tokens`
are those generated for the values; the replacement experiment, equal for all, is left out. `at equal RMSE`
says how many times fewer they are where a method may stop at the error of exhaustive: errors fall with the
square root of tokens. `again` is how often two seeds mark the same critical token. Intervals (95%) are from
a bootstrap over problems, which have one trajectory each. Seconds are processor seconds of one process,
model loaded. Without `--data-file`, the questions are those of pocket; `--sums`
are short ones of the script's own, for a small model that is to be asked something it can solve.

Every cell (temperature, method, seed, eight trajectories) is kept in `--cells` once it is done, so that a
call that was stopped goes on; cells of other options are not used. The table is printed after every eight
trajectories, of those that are done.
"""

import argparse
import hashlib
import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ctm_data.estimator.settings import RolloutSettings
from ctm_data.stages.rollouts import roll_out
from ctm_data.stages.solutions import sample_solutions
from ctm_eval.benchmarks import benchmark_called, load_problems
from ctm_eval.engines import Engine, LazyEngine, Request, Sampling, load_engine
from ctm_eval.grading import grade
from ctm_eval.prompts import Prompting
from ctm_eval.seeds import seed_of
from ctm_eval.types import Problem, Solution

TOP_P, AT_ONCE, ROUNDS = 0.95, 8, 4000
METHODS: dict[str, dict[str, Any]] = {
    "exhaustive": {"estimator": "exhaustive"},
    "branch": {},
    "branch --label-only": {"label_only": True},
    "branch --adaptive": {"adaptive": True},
}
Pair = tuple[Problem, Solution]


def sums(count: int) -> list[Problem]:
    """Questions that a small model answers in one line, now right and now wrong."""
    random = np.random.default_rng(0)
    every = list(itertools.product(("Tom", "Ann", "Ben", "Eva"), range(2, 10), range(2, 10)))
    problems = []
    for i, at in enumerate(random.permutation(len(every))[:count]):
        name, a, b = every[at]
        question = (
            f"{name} has {a} apples and gets {b} more. How many apples has {name} now? Answer in one short "
            "sentence."
        )
        problems.append(Problem(f"sums-{i}", "gsm8k", "test", question, str(a + b)))
    return problems


def problems_of(options: argparse.Namespace) -> list[Problem]:
    """The problems that trajectories are looked for in."""
    count = 8 * options.trajectories
    if options.sums:
        return sums(count)
    name = "gsm8k" if options.data_file else "pocket"
    return load_problems(name, data_file=options.data_file, limit=count, seed=2)


def wrong_solutions(
    engine: Engine, problems: Sequence[Problem], policy: Sampling, options: argparse.Namespace
) -> list[Pair]:
    """The first wrong solution of each problem that has one, and a right one; enough of them."""
    prompts = None
    if getattr(engine, "tokenizer", None) is not None and engine.tokenizer.chat_template:  # type: ignore[attr-defined]
        ask = Prompting((), True, benchmark_called(problems[0].benchmark).instruction, None)
        prompts = {problem.problem_id: ask.encode(engine, problem) for problem in problems}
    found: list[Pair] = []
    for start in range(0, len(problems), 16):
        some = problems[start : start + 16]
        solutions = sample_solutions(
            engine,
            some,
            policy,
            n_samples=options.samples,
            max_new_tokens=options.max_new_tokens,
            seed=0,
            prompts=prompts,
        )
        for problem in some:
            own = [s for s in solutions if s.problem_id == problem.problem_id]
            wrong = [s for s in own if s.verdict == "wrong"]
            if wrong and any(s.correct for s in own):
                found.append((problem, wrong[0]))
        print(f"{len(found)} trajectories in {start + len(some)} problems", file=sys.stderr)
        if len(found) >= options.trajectories:
            break
    return found[: options.trajectories]


def places(length: int, count: int | None) -> list[int]:
    """The tokens after which the truth is known: all but the last, or `count` of them, spread evenly."""
    if count is None or count >= length - 1:
        return list(range(length - 1))
    return sorted({int(t) for t in np.linspace(0, length - 2, count).round()})


def truth_of(
    engine: Engine, pairs: Sequence[Pair], settings: RolloutSettings, count: int | None
) -> list[dict[str, Any]]:
    """The share of right rollouts after each of these tokens."""
    requests, owners = [], []
    for i, (_, solution) in enumerate(pairs):
        for t in places(len(solution.token_ids), count):
            prefix = tuple(solution.token_ids[: t + 1])
            for j in range(settings.n_rollouts):
                seed = seed_of("truth", solution.solution_id, t, j)
                room = settings.max_new_tokens - len(prefix)
                requests.append(Request(solution.prompt_ids, seed, room, prefix))
                owners.append((i, t))
    right: dict[tuple[int, int], int] = dict.fromkeys(owners, 0)
    known: dict[tuple[int, tuple[int, ...]], bool] = {}
    drawn = engine.sample(requests, settings.sampling)
    for (i, t), request, completion in zip(owners, requests, drawn, strict=True):
        problem, text = pairs[i][0], (*request.prefix_ids, *completion.token_ids)
        if (i, text) not in known:
            ended = completion.finish_reason == "stop"
            verdict = grade(problem.answer, engine.decode(text), problem.benchmark, finished=ended)
            known[i, text] = verdict.correct
        right[i, t] += known[i, text]
    rows: list[dict[str, Any]] = [{"value": {}} for _ in pairs]
    for (i, t), won in right.items():
        rows[i]["value"][str(t)] = won / settings.n_rollouts
    return rows


class Cells:
    """Results on disk, one JSON file a cell; a cell is made where it is not there."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        ignored = ("cells", "repeats", "temperatures", "quick")
        said = {k: str(v) for k, v in sorted(vars(options).items()) if k not in ignored}
        digest = hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]
        self.folder = folder / digest
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "options.json").write_text(json.dumps(said, indent=1))

    def get(self, name: str, make: Callable[[], list[dict[str, Any]]]) -> tuple[list, float]:
        """The rows of a cell, and the processor seconds that they took."""
        path = self.folder / f"{name.replace(' ', '_')}.json"
        if not path.exists():
            started = time.process_time()
            rows = make()
            cell = {"seconds": time.process_time() - started, "rows": rows}
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(cell))
            partial.rename(path)
            print(f"{name}: {cell['seconds']:.0f} s", file=sys.stderr)
        cell = json.loads(path.read_text())
        return cell["rows"], cell["seconds"]


def slim(row: dict[str, Any]) -> dict[str, Any]:
    """What the table needs of a row."""
    kept = ("value", "critical_index", "critical_prob", "generated_tokens", "keep_prob")
    return {name: row[name] for name in kept}


class Figures:
    """What a method's runs (one a seed) say of each of T trajectories."""

    def __init__(self, runs: list[list[dict]], truth: list[dict], n_truth: int) -> None:
        self.spent = np.array([[row["generated_tokens"] for row in rows] for rows in runs]).mean(0)
        self.error, self.known = np.zeros((2, len(truth)))  # of values that were looked at
        for rows in runs:
            for i, (row, true) in enumerate(zip(rows, truth, strict=True)):
                for t, p in true["value"].items():
                    if (value := row["value"][int(t)]) is not None:
                        # Without the noise of the truth.
                        self.error[i] += (value - p) ** 2 - p * (1 - p) / (n_truth - 1)
                        self.known[i] += 1
        marked = [[row["critical_index"] for row in rows] for rows in runs]
        pairs = [(one, other) for i, one in enumerate(marked) for other in marked[:i]]
        same = [[a == b for a, b in zip(*pair, strict=True)] for pair in pairs]
        self.same = np.mean(same, axis=0) if same else np.full(len(truth), np.nan)
        self.looked_at = np.mean(
            [v is not None for rows in runs for row in rows for v in row["value"]]
        )

    def over(self, picks: np.ndarray) -> dict[str, np.ndarray]:
        """Means over the trajectories that `picks` (..., T) names."""
        error = self.error[picks].sum(-1) / self.known[picks].sum(-1)
        return {
            "spent": self.spent[picks].mean(-1),
            "error": error.clip(1e-12),  # below zero, the noise of the truth is all that was seen
            "same": self.same[picks].mean(-1),
        }


def lines(every: dict[str, Figures], seconds: dict[str, float]) -> list[str]:
    """The rows of the table, with intervals."""
    count = len(every["exhaustive"].spent)
    picks = np.random.default_rng(0).integers(count, size=(ROUNDS, count))
    base, bases = (every["exhaustive"].over(of) for of in (np.arange(count), picks))
    rows = []
    for name, figures in every.items():
        own, owns = (figures.over(of) for of in (np.arange(count), picks))
        cells = [
            _ends(base["spent"] / own["spent"], bases["spent"] / owns["spent"], "{:.1f}"),
            _ends(np.sqrt(own["error"]), np.sqrt(owns["error"]), "{:.4f}"),
            _ends(
                base["spent"] * base["error"] / (own["spent"] * own["error"]),
                bases["spent"] * bases["error"] / (owns["spent"] * owns["error"]),
                "{:.1f}",
            ),
            f"{seconds[name]:.0f}",
            _ends(own["same"], owns["same"], "{:.0%}"),
            f"{figures.looked_at:.0%}",
        ]
        rows.append(f"| {name} | {figures.spent.sum():,.0f} | {' | '.join(cells)} |")
    return rows


def _ends(value: np.ndarray, resampled: np.ndarray, how: str) -> str:
    if np.isnan(value):  # two seeds are needed to agree
        return "–"
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return how.format(float(value)) + f" [{how.format(low)}, {how.format(high)}]"


def table(cells: Cells, engine: LazyEngine, temperature: float, options: Any) -> None:
    """Makes the cells of one temperature, eight trajectories after the other, and prints their table."""
    policy = Sampling(temperature, TOP_P)
    problems = problems_of(options)
    by_id = {problem.problem_id: problem for problem in problems}
    found, _ = cells.get(
        f"{temperature}-trajectories",
        lambda: [asdict(s) for _, s in wrong_solutions(engine(), problems, policy, options)],
    )
    pairs = [(by_id[s.problem_id], s) for s in (Solution(**row) for row in found)]
    settings = RolloutSettings(policy, options.n_rollouts, options.max_new_tokens)
    true = replace(settings, n_rollouts=options.truth)
    truth: list[dict] = []
    runs: dict[str, list[list[dict]]] = {
        name: [[] for _ in range(options.repeats)] for name in METHODS
    }
    seconds = dict.fromkeys(METHODS, 0.0)
    for i, start in enumerate(range(0, len(pairs), AT_ONCE)):
        part = pairs[start : start + AT_ONCE]
        truth += cells.get(
            f"{temperature}-truth-{i}",
            lambda part=part: truth_of(engine(), part, true, options.positions),
        )[0]
        for seed, name in itertools.product(range(options.repeats), METHODS):
            chosen = replace(settings, seed=seed, **METHODS[name])
            own, took = cells.get(
                f"{temperature}-{name}-{seed}-{i}",
                lambda part=part, chosen=chosen: [
                    slim(row) for row in roll_out(engine(), part, chosen)
                ],
            )
            runs[name][seed] += own
            seconds[name] += took / options.repeats
        done = [solution for _, solution in pairs[: len(truth)]]
        leaving = np.mean([1 - k for row in runs["branch"][0] for k in row["keep_prob"]])
        print(
            f"\n{Path(options.model).name}, temperature {temperature}, top-p {TOP_P}: {len(done)} wrong "
            f"solutions of {np.mean([len(one.token_ids) for one in done]):.0f} tokens on average, "
            f"{leaving:.0%} of the mass leaves a token; N = {options.n_rollouts}, truth {options.truth} "
            f"rollouts after {sum(len(row['value']) for row in truth)} tokens, {options.repeats} seeds\n"
        )
        print(
            "| method | tokens | × fewer | RMSE | × fewer at equal RMSE | seconds | again | looked at |"
        )
        print("|---|---|---|---|---|---|---|---|")
        figures = {name: Figures(own, truth, options.truth) for name, own in runs.items()}
        print("\n".join(lines(figures, seconds)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--data-file", type=Path, help="questions of GSM8K; otherwise pocket's")
    parser.add_argument("--sums", action="store_true", help="short questions of the script's own")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[1.0])
    parser.add_argument("--trajectories", type=int, default=48)
    parser.add_argument("--samples", type=int, default=8, help="solutions sampled a problem")
    parser.add_argument("--max-new-tokens", type=int, default=192)
    parser.add_argument("--truth", type=int, default=1024, help="rollouts a token of the truth")
    parser.add_argument("--positions", type=int, help="tokens of a trajectory with a truth")
    parser.add_argument("--n-rollouts", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3, help="seeds of each method")
    parser.add_argument("--cells", type=Path, default=Path("build/rollout_cost"))
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it runs")
    options = parser.parse_args()
    if options.quick:
        options.trajectories, options.truth, options.repeats = 4, 64, 2
    cells = Cells(options.cells, options)
    engine = LazyEngine(lambda: load_engine("transformers", options.model, device="cpu"))
    for temperature in options.temperatures:
        table(cells, engine, temperature, options)


if __name__ == "__main__":
    main()
