"""The main table of *Critical Tokens Matter* (arXiv 2411.19943, table 3) re-run in small.

    python experiments/paper_table.py [--quick] [--output-dir build/paper-table] [--jobs 2] [--row NAME]
    python experiments/paper_table.py --real --output-dir build/paper-table-real

On `pocket`; with `--real`, on SmolLM2-135M (`make real-model`), first fine-tuned to problems of two steps
(see `two_steps.py`): all rows start from that. Its methods train a LoRA adapter, at DPO's best rate of two.

Solutions are sampled for training problems; pairs are selected and scored as `ctm build-dataset` does.
Every method trains from the same pairs. Its learning rate and strength are those of one grid, the same
for all (SFT has rates of its own), that do best on the development problems with seed 0; then five
seeds (0 to 4: order of the data, and noise) are trained and all answer the same held-out problems,
greedily. No seed and no run is left out.

Accuracy has a 95% interval from a bootstrap over problems and seeds; the difference from cDPO is
bootstrapped in pairs. Seconds are those of training alone, on one thread; memory is the peak of its
process above what it held before. Every cell is a file, so a stopped run goes on where it was.
"""

import ctypes
import gc
import itertools
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import two_steps
from grid import Lines, arguments, bootstrap, keep, load, pool_for, run_cells

RATES, GAMMAS = (1e-4, 2e-4, 4e-4), (0.3, 1.0)
SFT_RATES = (2e-4, 8e-4, 3.2e-3)  # its gradient is another one, and wants a higher rate


@dataclass(frozen=True)
class Plan:
    """The sizes of the experiment, and the model; one that is not pocket is fine-tuned first."""

    model: str = "pocket"
    taught: int = two_steps.TAUGHT  # problems that a model which is not pocket is fine-tuned on
    problems: int = 1500
    samples: int = 16
    rollouts: int = 64
    development: int = 400
    held_out: int = 2000
    seeds: int = 5
    rates: tuple[float, ...] = RATES
    gammas: tuple[float, ...] = GAMMAS
    sft_rates: tuple[float, ...] = SFT_RATES
    settings: Mapping[str, Any] = field(default_factory=dict)  # of every training
    tuned_by: str = (
        ""  # the row whose best rate and gamma all take but SFT; otherwise each has its own
    )


QUICK = Plan(
    problems=24,
    samples=8,
    rollouts=8,
    development=16,
    held_out=24,
    seeds=2,
    rates=(8e-4,),
    gammas=(0.3,),
    sft_rates=(2e-4, 8e-4),
)
REAL = Plan(
    model=two_steps.SMOLLM2,
    problems=192,
    samples=8,
    rollouts=32,
    development=150,
    held_out=300,
    seeds=3,
    rates=(1e-4, 4e-4),
    gammas=(0.3,),
    sft_rates=(2e-4,),
    tuned_by="DPO",
    settings={
        "epochs": 2.0,
        "batch_size": 8,
        "gradient_accumulation": 1,
        "gradient_checkpointing": False,
    },
)


@dataclass(frozen=True)
class Row:
    """A row of the table: a method, what its rejected tokens weigh, and what it starts from."""

    name: str
    method: str
    weights: str = "contrast"
    after_sft: bool = False


ROWS = (
    Row("SFT", "sft"),
    Row("DPO", "dpo"),
    Row("SFT → DPO", "dpo", after_sft=True),
    Row("SFT → TDPO", "tdpo", after_sft=True),
    Row("RPO", "rpo"),
    Row("cDPO", "cdpo"),
)
OURS = (
    Row("SFT → cDPO", "cdpo", after_sft=True),
    Row("cDPO, weights: value drop", "cdpo", "value"),
    Row("cDPO, weights: critical token", "cdpo", "critical"),
    Row("TIS-DPO", "tis-dpo"),
    Row("ConfPO", "confpo"),
    Row("DPO on critical tokens (cliff-dpo)", "cliff-dpo"),
)


QUICK_ROWS = [*(row.name for row in ROWS), "TIS-DPO"]
REAL_ROWS = [
    *(row.name for row in ROWS if row.method != "tdpo"),
    "cDPO, weights: value drop",
    "cDPO, weights: critical token",
    "ConfPO",
]


@dataclass(frozen=True)
class Cell:
    """One training, or none, and its answers to the problems of a split."""

    row: Row | None
    rate: float
    gamma: float
    seed: int
    split: str
    start: str = ""  # the name of the SFT cell it starts from, if any

    @property
    def name(self) -> str:
        """A file name."""
        if self.row is None:
            return f"base-{self.split}"
        start = "after-" if self.row.after_sft else ""
        what = f"{start}{self.row.method}-{self.row.weights}-{self.rate:g}-{self.gamma:g}"
        return f"{what}-{self.seed}-{self.split}"


def main() -> None:
    """Runs what is missing and writes the table."""
    options = arguments(
        __doc__ or "", "build/paper-table", [row.name for row in (*ROWS, *OURS)], real=True
    )
    plan, folder = _plan(options.quick, options.real), options.output_dir
    rows = options.row or (QUICK_ROWS if options.quick else REAL_ROWS if options.real else None)
    began = time.monotonic()
    with pool_for(plan, folder, options.jobs) as pool:
        _pairs(plan, folder)
        for results in run_all(plan, folder, pool, rows):
            took = f"\n{time.monotonic() - began:.0f} seconds in this run.\n"
            (folder / "table.md").write_text(table(results, plan) + took)
            picture(results, folder / "table.png")
    print((folder / "table.md").read_text())


def _plan(quick: bool, real: bool) -> Plan:
    """The sizes; the quick form of the real model's table has pocket in the model's place."""
    from ctm_eval.models import model_path

    if quick and real:
        return replace(QUICK, model=model_path("pocket"), taught=8, settings=REAL.settings)
    return QUICK if quick else REAL if real else Plan()


def run_all(
    plan: Plan, folder: Path, pool: Executor, names: Sequence[str] | None = None
) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """The held-out results of every row by name, one for each seed (the base has one): those of the
    paper's rows, then with ours. With `names`, of those rows and cDPO alone."""
    sft, *others = ROWS
    wanted = {row.name for row in (*ROWS, *OURS)} if names is None else {"cDPO", *names}
    results = {"base": run_cells(_cell, plan, folder, pool, [Cell(None, 0, 0, 0, "test")])}
    tuned: dict[str, tuple[float, float]] = {}
    starts: list[Cell] | None = None
    chosen = [[row for row in rows if row.name in wanted] for rows in (others, OURS)]
    if sft.name in wanted or any(row.after_sft for rows in chosen for row in rows):
        tuned = _best(plan, folder, pool, [sft], None)
        starts = _held_out(plan, folder, pool, [sft], tuned, None)
        results[sft.name] = [load(folder, cell) for cell in starts]
    for rows in chosen:
        tuned |= _best(plan, folder, pool, rows, starts)
        cells = _held_out(plan, folder, pool, rows, tuned, starts)
        for row in rows:
            results[row.name] = [load(folder, cell) for cell in cells if cell.row == row]
        yield results


def _best(
    plan: Plan,
    folder: Path,
    pool: Executor,
    rows: Sequence[Row],
    starts: Sequence[Cell] | None,
) -> dict[str, tuple[float, float]]:
    """For every row the rate and gamma that do best on the development problems with seed 0."""
    tried = {row: _tuned_by(plan, row) for row in rows}
    grids = {row: list(_grid(plan, row)) for row in tried.values()}
    cells = [
        Cell(row, rate, gamma, 0, "dev", _start(row, starts, 0))
        for row, grid in grids.items()
        for rate, gamma in (grid if len(grid) > 1 else [])
    ]
    results = run_cells(_cell, plan, folder, pool, cells)
    best = {row: grid[0] for row, grid in grids.items() if len(grid) == 1}
    for row in (row for row in grids if row not in best):
        own = [(sum(r["correct"]), c) for c, r in zip(cells, results, strict=True) if c.row == row]
        cell = max(own, key=lambda item: item[0])[1]
        best[row] = (cell.rate, cell.gamma)
    return {row.name: best[tried[row]] for row in rows}


def _tuned_by(plan: Plan, row: Row) -> Row:
    if not plan.tuned_by or row.method == "sft":
        return row
    return next(other for other in ROWS if other.name == plan.tuned_by)


def _held_out(
    plan: Plan,
    folder: Path,
    pool: Executor,
    rows: Sequence[Row],
    tuned: dict[str, tuple[float, float]],
    starts: Sequence[Cell] | None,
) -> list[Cell]:
    cells = [
        Cell(row, *tuned[row.name], seed, "test", _start(row, starts, seed))
        for seed in range(plan.seeds)
        for row in rows
    ]
    run_cells(_cell, plan, folder, pool, cells)
    return cells


def _grid(plan: Plan, row: Row) -> Iterator[tuple[float, float]]:
    if row.method == "sft":
        return ((rate, 1.0) for rate in plan.sft_rates)
    return itertools.product(plan.rates, plan.gammas)


def _start(row: Row, starts: Sequence[Cell] | None, seed: int) -> str:
    """SFT of the same seed, for a row that comes after it."""
    if not row.after_sft or starts is None:
        return ""
    return next(cell.name for cell in starts if cell.seed == seed)


def _pairs(plan: Plan, folder: Path) -> None:
    """The run folder with the pairs, and their weights."""
    from ctm_data.build import build_dataset
    from ctm_data.config import BuildConfig

    sizes: dict[str, Any] = {"n_samples": plan.samples, "n_rollouts": plan.rollouts}
    if plan.model == "pocket":
        config = BuildConfig(folder / "run", split="train", limit=plan.problems, **sizes)
    else:
        asked = two_steps.asked(folder, "train", plan.problems, plan.taught)
        config = BuildConfig(
            folder / "run",
            _start_model(plan, folder),
            max_new_tokens=two_steps.TOKENS,
            chunk_size=16,
            **asked,
            **sizes,
        )
    build_dataset(config, Lines())


def _start_model(plan: Plan, folder: Path) -> str:
    """The folder of the model that all rows start from."""
    from ctm_eval.models import model_path

    if plan.model == "pocket":
        return model_path("pocket")
    return two_steps.fine_tuned(folder, plan.model, plan.taught)


def _cell(plan: Plan, folder: Path, cell: Cell) -> str:
    """Trains and answers: in a process of the pool."""
    from ctm_data.run.store import Store
    from ctm_data.train import training_rows
    from ctm_train.settings import settings_for
    from ctm_train.train import train

    began = time.monotonic()
    result: dict[str, Any] = {"cell": asdict(cell)}
    model = _start_model(plan, folder)
    trained = folder / "models" / cell.name
    if cell.row is not None:
        start = str(folder / "models" / cell.start) if cell.start else model
        rows = training_rows(Store(folder / "run"), cell.row.method, cell.row.weights)
        settings = settings_for(
            cell.row.method,
            "pocket" if plan.model == "pocket" else None,
            learning_rate=cell.rate,
            beta=None if cell.row.method == "sft" else cell.gamma,
            seed=cell.seed,
            **plan.settings,
        )
        shutil.rmtree(trained, ignore_errors=True)
        before = _reset_peak()
        outcome = train(
            cell.row.method,
            rows,
            trained,
            model=start,
            settings=settings,
            merge=settings.lora,
            save_steps=0,
        )
        result |= {"seconds": outcome.seconds, "steps": outcome.steps, "pairs": len(rows)}
        result["bytes"] = _peak() - before
        model = str(trained)
    result["correct"] = answers(model, plan, folder, cell.split)
    needed = cell.row is not None and cell.row.method == "sft" and cell.split == "test"
    if trained.exists() and not needed:
        shutil.rmtree(trained)
    keep(folder, cell, result)
    accuracy = sum(result["correct"]) / len(result["correct"])
    return f"{cell.name}: {accuracy:.1%}, {time.monotonic() - began:.0f} s"


def answers(model: str, plan: Plan, folder: Path, split: str) -> list[int]:
    """1 or 0 for every problem of a split: whether the greedy solution is right."""
    from ctm_data.config import POCKET_TOKENS
    from ctm_data.stages.solutions import sample_solutions
    from ctm_eval.benchmarks import load_problems
    from ctm_eval.engines import Sampling, load_engine

    count = plan.development if split == "dev" else plan.held_out
    if plan.model == "pocket":
        tokens, problems = POCKET_TOKENS, load_problems("pocket", split=split, limit=count)
    else:
        data = two_steps.asked(folder, split, count)["data_file"]
        tokens, problems = two_steps.TOKENS, load_problems("gsm8k", data_file=data)
    solutions = sample_solutions(
        load_engine("transformers", model),
        problems,
        Sampling(temperature=0),
        n_samples=1,
        max_new_tokens=tokens,
        seed=0,
    )
    return [int(solution.correct) for solution in solutions]


def _reset_peak() -> int:
    """Gives back what earlier cells freed and forgets their peak (Linux); what is held now, in bytes."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def table(results: dict[str, list[dict[str, Any]]], plan: Plan) -> str:
    """The Markdown table."""
    correct = {name: np.array([r["correct"] for r in own]) for name, own in results.items()}
    means = {name: bootstrap(own) for name, own in correct.items()}
    lines = [
        f"`{Path(plan.model).name}`, {plan.held_out:,} held-out problems, greedy, {plan.seeds} seeds; "
        "differences in points from cDPO, negative where cDPO is better.",
        "",
        "| method | accuracy | 95% | from cDPO | 95% | p | rate | γ | pairs | seconds | MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, own in results.items():
        low, high = np.quantile(means[name], [0.025, 0.975])
        cells = [name, f"{correct[name].mean():.1%}", f"{low:.1%} to {high:.1%}"]
        if name == "cDPO":
            cells += ["", "", ""]
        else:
            gap = means[name] - means["cDPO"]
            low, high = 100 * np.quantile(gap, [0.025, 0.975])
            share = min((gap >= 0).mean(), (gap <= 0).mean())
            p = min(1.0, max(2 * share, 1 / len(gap)))
            by = 100 * (correct[name].mean() - correct["cDPO"].mean())
            cells += [f"{by:+.1f}", f"{low:+.1f} to {high:+.1f}", f"{p:.4f}"]
        if "seconds" in own[0]:
            chosen = own[0]["cell"]
            cells += [f"{chosen['rate']:g}", f"{chosen['gamma']:g}", str(own[0]["pairs"])]
            cells += [f"{np.median([r['seconds'] for r in own]):.0f}"]
            cells += [f"{np.median([r['bytes'] for r in own]) / 1e6:.0f}"]
        else:
            cells += [""] * 5
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def picture(results: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Accuracy with its interval, and a dot for every seed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(results)
    figure, axes = plt.subplots(figsize=(7, 0.45 * len(names) + 1.2), layout="constrained")
    for y, name in enumerate(names):
        correct = np.array([r["correct"] for r in results[name]])
        low, high = np.quantile(bootstrap(correct), [0.025, 0.975])
        color = "tab:red" if name == "cDPO" else "tab:blue"
        axes.plot([100 * low, 100 * high], [y, y], color=color, linewidth=2)
        axes.plot(100 * correct.mean(), y, "o", color=color)
        axes.plot(100 * correct.mean(axis=1), [y] * len(correct), "|", color="black", markersize=9)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("greedy accuracy on held-out problems, %\n(bars: 95%, ticks: seeds)")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
