"""Why verifiers with a scalar head fall behind the majority vote on `pocket`: one thing changed at a time.

    python experiments/heads.py [--quick] [--output-dir build/heads] [--jobs 2]

A cell trains one ORM or PRM and scores the 64 samples of each development problem, once for every way to
pool its tokens' scores. Nothing here has seen the held-out problems of `experiments/verifier_table.py`.
`pairs` is how often a right sample scores above a wrong one of the same problem (0.5 is chance), `off` the
mean distance of score and share right in ten bins of the score. Intervals (95%) are from a bootstrap over
problems. Every cell is a file, so a stopped run goes on where it was.
"""

import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from grid import Lines, arguments, keep, load, pool_for, run_cells

ROUNDS = 2000


@dataclass(frozen=True)
class Plan:
    """The sizes of the experiment; `problems` and `rolled_out` are those of four times the data."""

    problems: int = 4000
    rolled_out: int = 2000
    samples: int = 8
    development: int = 200
    n: int = 64


QUICK = Plan(problems=16, rolled_out=16, samples=4, development=8, n=4)


@dataclass(frozen=True)
class Cell:
    """One verifier. `size` is in quarters of the data; `body` is what is trained or where it starts."""

    method: str
    what: str = "as it is"
    size: int = 1
    rate: float = 1e-3
    epochs: float = 1.0
    body: str = "pocket"
    labels: str = "soft"

    @property
    def name(self) -> str:
        """A file name."""
        body = self.body.replace(" ", "-")
        return f"{self.method}-{self.size}-{self.rate:g}-{self.epochs:g}-{body}-{self.labels}"


def cells() -> list[Cell]:
    """The grid: everything as it is, then one thing changed."""
    found = []
    for method in ("orm", "prm"):
        base = Cell(method)
        found += [
            base,
            replace(base, what="twice the data", size=2),
            replace(base, what="four times the data", size=4),
            replace(base, what="2 passes", epochs=2.0),
            replace(base, what="4 passes", epochs=4.0),
            replace(base, what="learning rate 1e-4", rate=1e-4),
            replace(base, what="learning rate 3e-4", rate=3e-4),
            replace(base, what="learning rate 3e-3", rate=3e-3),
            replace(base, what="from p+", body="p+"),
            replace(base, what="from nothing", body="nothing"),
            replace(base, what="head alone", body="frozen"),
        ]
    last = Cell("orm", what="label at the last token alone", labels="last")
    both = Cell("orm", what="four times the data, 4 passes", size=4, epochs=4.0)
    hard = Cell("prm", what="hard labels", labels="hard")
    sure = Cell("prm", what="confident labels", labels="confident")
    outcome = Cell("prm", what="the label of its solution at every step", labels="outcome")
    return [*found, last, both, hard, sure, outcome]


def main() -> None:
    """Runs what is missing and writes the table."""
    options = arguments(__doc__ or "", "build/heads")
    plan, folder = (QUICK if options.quick else Plan()), options.output_dir
    began = time.monotonic()
    with pool_for(plan, folder, options.jobs) as pool:
        data(plan, folder)
        run_cells(_cell, plan, folder, pool, cells())
    took = f"\n{time.monotonic() - began:.0f} seconds in this run.\n"
    (folder / "table.md").write_text(table(plan, folder) + took)
    print((folder / "table.md").read_text())


def data(plan: Plan, folder: Path) -> None:
    """The runs: rollouts (with p+), labelled solutions, and the samples of the development problems."""
    from ctm_data.build import build_dataset
    from ctm_data.config import BuildConfig, EvalConfig
    from ctm_data.eval import evaluate

    report = Lines()
    common: dict[str, Any] = {"split": "train", "n_samples": plan.samples, "max_new_tokens": 192}
    build_dataset(BuildConfig(folder / "rollouts", limit=plan.rolled_out, **common), report)
    labelled = BuildConfig(
        folder / "labelled", limit=plan.problems, stages=["verifier"], seed=1, **common
    )
    build_dataset(labelled, report)
    evaluate(
        EvalConfig(folder / "dev", split="dev", limit=plan.development, n_samples=plan.n), report
    )


def rows(plan: Plan, folder: Path, cell: Cell) -> Any:
    """What a cell trains on: the first problems of a run, as many as its size says."""
    from ctm_data.run.store import Store
    from ctm_data.train import training_rows

    if cell.method == "orm":
        every = training_rows(Store(folder / "labelled"), "orm")
    else:
        labels = "hard" if cell.labels == "outcome" else cell.labels
        every = training_rows(Store(folder / "rollouts"), "prm", prm_labels=labels)  # type: ignore[arg-type]
    # Rows of a problem have its prompt; a PRM's right solutions come after all wrong ones.
    prompts = dict.fromkeys(map(str, every["prompt" if cell.method == "orm" else "prompt_ids"]))
    wanted = set(list(prompts)[: max(1, len(prompts) * cell.size // 4)])
    column = "prompt" if cell.method == "orm" else "prompt_ids"
    own = every.filter(lambda row: str(row[column]) in wanted)
    if cell.labels == "outcome":
        own = own.map(_outcome)
    return own


def _outcome(row: dict[str, Any]) -> dict[str, Any]:
    """A PRM's row whose every step has the label of the whole solution, its last target."""
    known = [target for target in row["targets"] if target is not None]
    return {"targets": [None if t is None else float(known[-1]) for t in row["targets"]]}


def _cell(plan: Plan, folder: Path, cell: Cell) -> str:
    """Trains and scores: in a process of the pool."""
    from ctm_data.run.records import solutions_in
    from ctm_data.run.store import Store
    from ctm_eval.models import model_path
    from ctm_eval.prompts import prompt
    from ctm_eval.verifiers import Candidate, Pool, Verifier
    from ctm_train import train as training
    from ctm_train.data import labelled
    from ctm_train.settings import settings_for

    trained = folder / "models" / cell.name
    shutil.rmtree(trained, ignore_errors=True)
    start = str(folder / "rollouts" / "models" / "positive") if cell.body == "p+" else "pocket"
    original = training.with_head
    training.with_head = lambda model: _changed(original(model), cell.body)  # type: ignore[assignment]
    own = rows(plan, folder, cell)
    if cell.labels == "last":
        from transformers import AutoTokenizer

        own = labelled(own, AutoTokenizer.from_pretrained(model_path("pocket")))
        own = own.map(
            lambda row: {"targets": [None] * (len(row["targets"]) - 1) + row["targets"][-1:]}
        )
    try:
        outcome = training.train(
            cell.method,
            own,
            trained,
            model=model_path(start),
            name=start,
            settings=settings_for(
                cell.method, "pocket", learning_rate=cell.rate, epochs=cell.epochs, seed=0
            ),
            save_steps=0,
        )
    finally:
        training.with_head = original
    candidates = [
        (s.solution_id, Candidate(prompt(problem), s.text, s.finish_reason == "stop"))
        for _, both in solutions_in(Store(folder / "dev"))
        for problem, s in both
    ]
    verifier = Verifier(trained)
    figures = {}
    for pool in get_args(Pool):
        verifier.pool = pool
        found = verifier.score([candidate for _, candidate in candidates])
        scores = {name: score for (name, _), score in zip(candidates, found, strict=True)}
        figures[pool] = measure(problems_of(folder), scores, plan.n)
    shutil.rmtree(trained)
    result = {"cell": asdict(cell), "rows": len(own), "loss": outcome.loss, "figures": figures}
    keep(folder, cell, {**result, "seconds": outcome.seconds})
    return f"{cell.name}: {len(own)} rows, {outcome.seconds:.0f} s"


def _changed(model: Any, body: str) -> Any:
    """A model with a head whose body is frozen, or forgotten."""
    inner = getattr(model, model.base_model_prefix)
    if body == "frozen":
        for weight in inner.parameters():
            weight.requires_grad_(False)
    elif body == "nothing":
        import torch

        torch.manual_seed(0)
        for module in inner.modules():
            if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
                torch.nn.init.normal_(module.weight, std=0.02)
    return model


def problems_of(folder: Path) -> list[list[Any]]:
    """The samples of each development problem."""
    from ctm_data.run.records import samples
    from ctm_data.run.store import Store

    problems: dict[str, list[Any]] = {}
    for sample in samples(Store(folder / "dev")):
        problems.setdefault(sample.problem_id, []).append(sample)
    return list(problems.values())


def measure(
    samples: Sequence[Sequence[Any]], scores: dict[str, float], n: int
) -> dict[str, list[float]]:
    """By problem: best-of-16, best-of-n, the weighted vote of 16, pairs told apart (NaN for problems of one
    kind), and, over all, the distance of score and share right."""
    from ctm_eval.report import choices

    both = {name: (score, max(score, 1e-9)) for name, score in scores.items()}
    chosen = choices([list(own) for own in samples], False, {"v": both}, {})
    at = min(16, n) - 1
    pairs = []
    for own in samples:
        right, wrong = (
            [scores[s.solution_id] for s in own if s.correct == side] for side in (True, False)
        )
        over = np.subtract.outer(right, wrong)
        pairs.append(float(((over > 0) + (over == 0) / 2).mean()) if over.size else np.nan)
    score = np.array([scores[s.solution_id] for own in samples for s in own])
    correct = np.array([s.correct for own in samples for s in own], dtype=float)
    bins = np.minimum((score * 10).astype(int), 9)
    off = sum(
        abs(score[bins == b].mean() - correct[bins == b].mean()) * (bins == b).mean()
        for b in set(bins.tolist())
    )
    best, weighted = (np.array(chosen[name]) for name in ("best", "weighted"))
    return {
        "best16": best[:, at].tolist(),
        "best": best[:, -1].tolist(),
        "vote16": weighted[:, at].tolist(),
        "pairs": pairs,
        "off": [float(off)],
    }


def table(plan: Plan, folder: Path) -> str:
    """The Markdown table, and the best pool of every cell."""
    from ctm_eval.metrics import maj_at_k
    from ctm_eval.report import votes

    every = problems_of(folder)
    at = min(16, plan.n)
    majority = np.array([maj_at_k(*votes(own)) for own in every])
    one = np.mean([s.correct for own in every for s in own])
    rng = np.random.default_rng(0)
    draws = rng.integers(len(every), size=(ROUNDS, len(every)))
    lines = [
        f"`pocket`, {len(every)} development problems, {plan.n} samples each: one sample {one:.1%}, "
        f"majority of {at} {majority[:, at - 1].mean():.1%}, of {plan.n} {majority[:, -1].mean():.1%}. "
        f"Differences in points from the majority of {at}.",
        "",
        f"| verifier | what is changed | rows | pool | best of {at} | from majority | 95% | "
        f"best of {plan.n} | weighted vote of {at} | 95% from majority | pairs | off | seconds |",
        "|---" * 13 + "|",
    ]
    for cell in cells():
        result = load(folder, cell)
        found = {
            pool: {name: np.array(values) for name, values in own.items()}
            for pool, own in result["figures"].items()
        }
        usual = "last" if cell.method == "orm" else "min"
        best = max(found, key=lambda p: found[p]["best16"].mean())
        for pool in dict.fromkeys((usual, best)):
            own = found[pool]
            cellsof = [cell.method.upper(), cell.what, str(result["rows"]), pool]
            cellsof.append(f"{own['best16'].mean():.1%}")
            gap = own["best16"] - majority[:, at - 1]
            low, high = 100 * np.quantile(gap[draws].mean(1), [0.025, 0.975])
            cellsof += [f"{100 * gap.mean():+.1f}", f"{low:+.1f} to {high:+.1f}"]
            cellsof += [f"{own['best'].mean():.1%}", f"{own['vote16'].mean():.1%}"]
            low, high = 100 * np.quantile(
                (own["vote16"] - majority[:, at - 1])[draws].mean(1), [0.025, 0.975]
            )
            cellsof += [f"{low:+.1f} to {high:+.1f}", f"{np.nanmean(own['pairs']):.3f}"]
            cellsof += [f"{own['off'][0]:.3f}", f"{result['seconds']:.0f}"]
            lines.append("| " + " | ".join(cellsof) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
