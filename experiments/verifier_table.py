"""The comparison of *Collaborative Verification* (arXiv 2410.05318) re-run in small, on `pocket`.

    python experiments/verifier_table.py [--quick] [--output-dir build/verifier-table] [--jobs 2]

Wrong solutions of training problems are rolled out, which labels steps for the PRM and trains p+, a second
generator. `pocket` and p+ sample the data of the other verifiers. Every verifier is trained with five seeds
at the learning rate of one grid that does best on development problems with seed 0, and scores the same 64
samples of the held-out problems; CoTnPoT's programs are written by `pocket-coder`. For programs,
`pocket-coder` samples solutions of `pocket-code` and the verifiers are trained on its own, once on bare
programs and once, which is CoTnPoT there, on programs with the description that `pocket-coder` gives.

A figure at N is the mean over all subsets of N of the 64 samples (over some hundred orders, for weighted
votes). Intervals (95%) are from a bootstrap over problems and seeds; the difference from the majority vote,
or for programs from one sample, is bootstrapped in pairs. Tokens are those generated for a problem, the
coder's among them: two rows of as many tokens can be compared. Seconds are the verifier's own for all
samples, on one thread. Every cell is a file, so a stopped run goes on where it was.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from grid import Lines, arguments, bootstrap, keep, load, pool_for, run_cells


@dataclass(frozen=True)
class Plan:
    """The sizes of the experiment."""

    rolled_out: int = 1000  # problems with rollouts
    problems: int = 2000  # problems of the verifiers' data
    tasks: int = 1500  # programming tasks of theirs
    samples: int = 8  # of each generator
    development: int = 100
    held_out: int = 400
    n: int = 64
    seeds: int = 5
    epochs: float | None = None  # the preset's
    rates: tuple[float, ...] = (1e-3, 3e-3)
    pair_rates: tuple[float, ...] = (1e-4, 4e-4)


QUICK = Plan(
    rolled_out=12,
    problems=12,
    tasks=6,
    samples=4,
    development=8,
    held_out=8,
    n=4,
    seeds=1,
    rates=(1e-3, 3e-3),
    pair_rates=(2e-4,),
)
HEADS, TUNED = ("orm", "prm"), ("dpo", "simpo")
BENCHMARKS = {"pocket": (*HEADS, *TUNED), "pocket-code": ("orm", *TUNED)}
NAMES = {"orm": "ORM", "prm": "PRM", "dpo": "DPO", "simpo": "SimPO"}
SAMPLER = {"pocket": "pocket", "pocket-code": "pocket-coder"}
CODE = "pocket-code"
DESCRIBED = "-described"
TOLD = {"pocket": (False,), CODE: (False, True)}  # whether verifiers read descriptions
Way = tuple[str, bool]  # the method, and whether the verifier reads descriptions of programs


@dataclass(frozen=True)
class Cell:
    """One verifier, trained, and its scores of the samples of a split."""

    benchmark: str
    method: str
    rate: float
    seed: int
    split: str
    described: bool = False

    @property
    def name(self) -> str:
        """A file name."""
        of = f"{self.benchmark}{DESCRIBED if self.described else ''}"
        return f"{of}-{self.method}-{self.rate:g}-{self.seed}-{self.split}"

    @property
    def data(self) -> str:
        """The run that it learns from."""
        if self.method == "prm":
            return "rollouts"
        return f"{self.benchmark}{DESCRIBED if self.described else ''}"


def main() -> None:
    """Runs what is missing and writes table and picture."""
    options = arguments(__doc__ or "", "build/verifier-table")
    plan, folder = (QUICK if options.quick else Plan()), options.output_dir
    began = time.monotonic()
    text: list[str] = []
    with pool_for(plan, folder, options.jobs) as pool:
        for benchmark, methods in BENCHMARKS.items():
            _data(plan, folder, benchmark)
            ways = [(method, told) for told in TOLD[benchmark] for method in methods]
            results = run_all(plan, folder, pool, benchmark, ways)
            curves = measure(plan, folder, benchmark, results)
            text.append(table(plan, benchmark, curves, results, spent(folder, benchmark)))
            picture(plan, benchmark, curves, folder / f"{benchmark}.png")
            took = f"{time.monotonic() - began:.0f} seconds in this run.\n"
            (folder / "table.md").write_text("\n".join([*text, filter_line(folder), took]))
    print((folder / "table.md").read_text())


def _data(plan: Plan, folder: Path, benchmark: str) -> None:
    """The runs: rollouts, the verifiers' data, and the samples of both splits with their programs."""
    from ctm_data.build import build_dataset
    from ctm_data.config import BuildConfig, EvalConfig
    from ctm_data.eval import evaluate
    from ctm_data.programs import check_run

    report = Lines()
    rollouts, models, seed = folder / "rollouts", [SAMPLER[benchmark]], 0
    if benchmark == "pocket":
        build_dataset(
            BuildConfig(rollouts, split="train", limit=plan.rolled_out, n_samples=2 * plan.samples),
            report,
        )
        models.append(str(rollouts / "models" / "positive"))
        seed = 1  # not the problems that were rolled out: p+ has seen those
    for described in TOLD[benchmark]:
        build_dataset(
            BuildConfig(
                folder / f"{benchmark}{DESCRIBED if described else ''}",
                model=models[0] if len(models) == 1 else models,
                benchmark=benchmark,
                split="train",
                limit=plan.problems if benchmark == "pocket" else plan.tasks,
                n_samples=plan.samples,
                max_new_tokens=192,
                stages=["verifier"],
                describe=described,
                seed=seed,
            ),
            report,
        )
    for split, limit in (("dev", plan.development), ("test", plan.held_out)):
        run = evaluate(
            EvalConfig(
                folder / f"{benchmark}-{split}",
                model=SAMPLER[benchmark],
                benchmark=benchmark,
                split=split,
                limit=limit,
                n_samples=plan.n,
            ),
            report,
        )
        check_run(run.folder, "pocket-coder", progress=report)


def run_all(
    plan: Plan, folder: Path, pool: Executor, benchmark: str, ways: Sequence[Way]
) -> dict[Way, list[dict[str, Any]]]:
    """By way, the held-out cells of all seeds at the rate that does best on development problems."""
    grid = {
        (method, told): [
            Cell(benchmark, method, rate, 0, "dev", told)
            for rate in (plan.rates if method in HEADS else plan.pair_rates)
        ]
        for method, told in ways
    }
    best = {way: cells[0].rate for way, cells in grid.items() if len(cells) == 1}
    open_ = {way: cells for way, cells in grid.items() if way not in best}
    run_cells(_cell, plan, folder, pool, [cell for cells in open_.values() for cell in cells])
    for way, cells in open_.items():
        value = {
            cell: np.mean(
                [at[-1] for at in _choices(folder, cell, [load(folder, cell)])["best"][0]]
            )
            for cell in cells
        }
        best[way] = max(cells, key=value.__getitem__).rate
    tested = {
        (method, told): [
            Cell(benchmark, method, best[method, told], seed, "test", told)
            for seed in range(plan.seeds)
        ]
        for method, told in ways
    }
    run_cells(_cell, plan, folder, pool, [cell for cells in tested.values() for cell in cells])
    return {way: [load(folder, cell) for cell in cells] for way, cells in tested.items()}


def _cell(plan: Plan, folder: Path, cell: Cell) -> str:
    """Trains and scores: in a process of the pool."""
    from ctm_data.run.records import solutions_in
    from ctm_data.run.store import Store
    from ctm_data.stages.verifier import read_by_verifier
    from ctm_data.train import training_rows
    from ctm_eval.models import model_path
    from ctm_eval.prompts import prompt
    from ctm_eval.verifiers import Candidate, Verifier
    from ctm_train.settings import settings_for
    from ctm_train.train import train

    trained = folder / "models" / cell.name
    shutil.rmtree(trained, ignore_errors=True)
    start = SAMPLER[cell.benchmark]
    outcome = train(
        cell.method,
        training_rows(Store(folder / cell.data), cell.method, seed=cell.seed),
        trained,
        model=model_path(start),
        name=start,
        settings=settings_for(
            cell.method, "pocket", learning_rate=cell.rate, epochs=plan.epochs, seed=cell.seed
        ),
        save_steps=0,
    )
    samples = Store(folder / f"{cell.benchmark}-{cell.split}")
    told = descriptions(samples) if cell.described else {}
    solutions = [
        (
            solution.solution_id,
            Candidate(
                prompt(problem),
                read_by_verifier(solution.text, told.get(solution.solution_id)),
                solution.finish_reason == "stop",
            ),
        )
        for _, own in solutions_in(samples)
        for problem, solution in own
    ]
    verifier = Verifier(trained)
    began = time.monotonic()
    scores = verifier.score([solution for _, solution in solutions])
    result = {
        "cell": asdict(cell),
        "scores": {name: score for (name, _), score in zip(solutions, scores, strict=True)},
        "seconds": time.monotonic() - began,
        "training_seconds": outcome.seconds,
    }
    shutil.rmtree(trained)
    keep(folder, cell, result)
    return f"{cell.name}: trained in {outcome.seconds:.0f} s, scored in {result['seconds']:.0f} s"


def descriptions(store: Any) -> dict[str, str]:
    """What CoTnPoT says of the programs of a run, by solution."""
    return {
        row["solution_id"]: row["description"]
        for part in store.each("programs", ["solution_id", "description"])
        for row in part.to_pylist()
    }


Curves = dict[str, np.ndarray]  # by the name of a choice, (seeds, problems, n) chances to be right


def _choices(folder: Path, cell: Cell, results: Sequence[Mapping[str, Any]]) -> Curves:
    """What `ctm_eval.report.choices` says of a split's samples, for the scores of every seed."""
    from ctm_data.pages.evaluation import sampled
    from ctm_data.run.store import Store
    from ctm_eval.report import choices
    from ctm_eval.verifiers import weight

    problems = list(sampled(Store(folder / f"{cell.benchmark}-{cell.split}")))
    programs = cell.benchmark == "pocket-code"
    found: dict[str, list[list[list[float]]]] = {}
    for result in results:
        scores = {
            name: (score, weight(cell.method, score)) for name, score in result["scores"].items()
        }
        chosen: dict[str, list[list[float]]] = {}
        for one in problems:
            own = [scores[sample.solution_id] for sample in one.samples]
            for name, at in choices(replace(one, scores={cell.method: own}), programs).items():
                chosen.setdefault(name, []).append(at)
        for name, values in chosen.items():
            found.setdefault(name, []).append(values)
    return {name: np.array(values) for name, values in found.items()}


def measure(
    plan: Plan, folder: Path, benchmark: str, results: Mapping[Way, Sequence[Mapping[str, Any]]]
) -> Curves:
    """All curves of a benchmark by the row they are in the table."""
    from ctm_data.run.records import samples
    from ctm_data.run.store import Store
    from ctm_eval.metrics import maj_at_k, pass_at_k
    from ctm_eval.report import votes

    problems: dict[str, list[Any]] = {}
    for sample in samples(Store(folder / f"{benchmark}-test")):
        problems.setdefault(sample.problem_id, []).append(sample)
    right = [sum(s.correct for s in own) for own in problems.values()]
    ks = range(1, plan.n + 1)
    curves = {
        "one sample": np.array([[[r / plan.n] * plan.n for r in right]]),
        "oracle": np.array([[[pass_at_k(plan.n, r, k) for k in ks] for r in right]]),
    }
    if benchmark == "pocket":
        curves["majority"] = np.array([[maj_at_k(*votes(own)) for own in problems.values()]])
    for (method, told), own in results.items():
        cell = Cell(**own[0]["cell"])
        for name, values in _choices(folder, cell, own).items():
            with_programs = " + CoTnPoT" if told or name.startswith("cotnpot ") else ""
            what = name.removeprefix("cotnpot ")
            if what == "maj":
                curves[f"majority{with_programs}"] = values[:1]
            else:
                way = {"best": "best-of-N", "weighted": "weighted vote"}[what]
                curves[f"{NAMES[method]}, {way}{with_programs}"] = values
    return curves


def spent(folder: Path, benchmark: str) -> tuple[float, float]:
    """Tokens of a sample, and of the coder's program or description of it, on average."""
    import pyarrow.compute as pc

    from ctm_data.run.store import Store
    from ctm_eval.models import load_tokenizer

    store = Store(folder / f"{benchmark}-test")
    own, coder = (
        pc.mean(pc.list_value_length(store.read(table, ["token_ids"])["token_ids"])).as_py()
        for table in ("solutions", "programs")
    )
    if benchmark == CODE:
        told = list(descriptions(store).values())
        coder = sum(map(len, load_tokenizer("pocket-coder")(told).input_ids)) / len(told)
    return own, coder


def table(
    plan: Plan,
    benchmark: str,
    curves: Curves,
    results: Mapping[Way, Sequence[Mapping[str, Any]]],
    tokens: tuple[float, float],
) -> str:
    """The Markdown table: accuracy at powers of two, and at N = 16 the interval, the difference, the tokens
    of a problem and what the same choice without CoTnPoT gets from as many."""
    ks = [2**i for i in range(plan.n.bit_length()) if 2**i <= plan.n]
    at = min(16, plan.n)
    base = "majority" if "majority" in curves else "one sample"
    reference = bootstrap(curves[base][..., at - 1])
    lines = [
        f"`{benchmark}`, {plan.held_out} held-out problems, {plan.n} samples each, {plan.seeds} seeds; "
        f"what stands right of N = {ks[-1]} is for N = {at}, differences in points.",
        "",
        "| choice | "
        + " | ".join(f"N = {k}" for k in ks)
        + f" | 95% | from {base} | 95% | tokens | "
        "as many tokens without CoTnPoT |",
        "|---" * (len(ks) + 6) + "|",
    ]
    for name, values in curves.items():
        means = bootstrap(values[..., at - 1])
        low, high = np.quantile(means, [0.025, 0.975])
        cells = [
            name,
            *(f"{values[..., k - 1].mean():.1%}" for k in ks),
            f"{low:.1%} to {high:.1%}",
        ]
        by = 100 * (values[..., at - 1].mean() - curves[base][..., at - 1].mean())
        low, high = 100 * np.quantile(means - reference, [0.025, 0.975])
        cells += ["", ""] if name == base else [f"{by:+.1f}", f"{low:+.1f} to {high:+.1f}"]
        plain = name.removesuffix(" + CoTnPoT")
        each = tokens[0] + (tokens[1] if plain != name else 0)
        cells.append("" if name in ("one sample", "oracle") else f"{at * each:,.0f}")
        cells.append("")
        if plain != name:
            more = min(plan.n, round(at * each / tokens[0]))
            other = curves[plain][..., more - 1]
            low, high = 100 * np.quantile(means - bootstrap(other), [0.025, 0.975])
            by = 100 * (values[..., at - 1].mean() - other.mean())
            cells[-1] = f"{other.mean():.1%} (N = {more}), {by:+.1f} [{low:+.1f}, {high:+.1f}]"
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| verifier | learning rate | training, s | scoring, s |", "|---|---|---|---|"]
    for (method, told), own in results.items():
        seconds = [np.median([r[key] for r in own]) for key in ("training_seconds", "seconds")]
        rate = own[0]["cell"]["rate"]
        name = f"{NAMES[method]}{' + CoTnPoT' if told else ''}"
        lines.append(f"| {name} | {rate:g} | {seconds[0]:.0f} | {seconds[1]:.0f} |")
    return "\n".join(lines) + "\n"


def filter_line(folder: Path) -> str:
    """What CoTnPoT's filter does to the held-out samples of `pocket`."""
    from ctm_data.pages.evaluation import summarize

    figures = summarize(folder / "pocket-test").filters["pocket-coder"]
    return (
        f"CoTnPoT on `pocket`: {figures.accuracy:.1%} of the samples are right; it keeps "
        f"{figures.kept:.1%} of them, of which {figures.precision:.1%} are right, and {figures.recall:.1%} "
        f"of the right ones; {figures.recall_lost:.1%} of the problems with a right sample lose all.\n"
    )


def picture(plan: Plan, benchmark: str, curves: Curves, path: Path) -> None:
    """Accuracy over N, one line a choice; those with CoTnPoT are dashed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5.5), layout="constrained")
    colors: dict[str, Any] = {}
    ks = np.arange(1, plan.n + 1)
    for name, values in curves.items():
        plain = name.removesuffix(" + CoTnPoT")
        color = colors.setdefault(plain, f"C{len(colors)}" if len(colors) < 10 else "black")
        style = "-" if plain == name else "--"
        axes.plot(ks, 100 * values.mean(axis=(0, 1)), style, color=color, label=name, linewidth=1.5)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("N, samples a problem")
    axes.set_ylabel(f"accuracy on held-out {benchmark} problems, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
