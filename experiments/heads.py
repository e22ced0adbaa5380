"""Why verifiers with a scalar head fall behind the majority vote on `pocket`: one thing changed at a time.

    python experiments/heads.py [--quick] [--output-dir build/heads] [--jobs 2]

A cell trains one ORM or PRM and scores the 64 samples of each development problem, once for every way to
pool its tokens' scores, and those of the held-out problems with the usual pool. The recipe of before and
that of four passes have three seeds, all else has one and a single pass.
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
from grid import Lines, arguments, bootstrap, is_there, keep, load, pool_for, run_cells

SEEDS = 3


@dataclass(frozen=True)
class Plan:
    """The sizes of the experiment: an ORM learns from `problems`, a PRM from those `rolled_out`."""

    problems: int = 1000
    rolled_out: int = 1000
    samples: int = 8
    development: int = 200
    n: int = 64
    held_out: int = 400


QUICK = Plan(problems=16, rolled_out=16, samples=4, development=8, n=4, held_out=8)


@dataclass(frozen=True)
class Cell:
    """One verifier. `size` is in quarters of the data; `body` is what is trained or where it starts."""

    method: str
    what: str = "1 pass"
    size: int = 4
    rate: float = 1e-3
    epochs: float = 1.0
    body: str = "pocket"
    labels: str = ""
    seed: int = 0

    @property
    def name(self) -> str:
        """A file name."""
        body = self.body.replace(" ", "-")
        labels = self.labels or "all"
        return (
            f"{self.method}-{self.size}-{self.rate:g}-{self.epochs:g}-{body}-{labels}-{self.seed}"
        )


def cells() -> list[Cell]:
    """The grid: passes and labels, then one other thing changed."""
    hard = Cell("prm", what="hard labels, 1 pass", labels="hard")
    heads = [Cell("orm"), hard]
    heads += [
        Cell("orm", what="4 passes", epochs=4.0),
        replace(hard, what="hard labels, 4 passes", epochs=4.0),
    ]
    found = [replace(cell, seed=seed) for seed in range(SEEDS) for cell in heads]
    found.append(Cell("prm", what="soft labels, 4 passes", epochs=4.0, labels="soft"))
    for base in (Cell("orm"), hard):
        found += [
            replace(base, what="a quarter of the data", size=1),
            replace(base, what="half of the data", size=2),
            replace(base, what="learning rate 3e-4", rate=3e-4),
            replace(base, what="learning rate 3e-3", rate=3e-3),
            replace(base, what="from p+", body="p+"),
            replace(base, what="from nothing", body="nothing"),
            replace(base, what="head alone", body="frozen"),
        ]
    last = Cell("orm", what="label at the last token alone", labels="last")
    sure = Cell("prm", what="confident labels", labels="confident")
    outcome = Cell("prm", what="the label of its solution at every step", labels="outcome")
    return [*found, last, sure, outcome]


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
    for split, limit in (("dev", plan.development), ("test", plan.held_out)):
        if limit:
            evaluate(EvalConfig(folder / split, split=split, limit=limit, n_samples=plan.n), report)


def rows(plan: Plan, folder: Path, cell: Cell) -> Any:
    """What a cell trains on: the first problems of a run, as many as its size says."""
    from ctm_data.run.store import Store
    from ctm_data.train import training_rows

    if cell.method == "orm":
        every = training_rows(Store(folder / "labelled"), "orm")
    else:
        labels = "hard" if cell.labels == "outcome" else cell.labels
        every = training_rows(Store(folder / "rollouts"), "prm", prm_labels=labels)  # type: ignore[arg-type]
        every = every.map(_outcome) if cell.labels == "outcome" else every
    # Rows of a problem have its prompt; a PRM's right solutions come after all wrong ones.
    prompts = dict.fromkeys(map(str, every["prompt" if cell.method == "orm" else "prompt_ids"]))
    wanted = set(list(prompts)[: max(1, len(prompts) * cell.size // 4)])
    column = "prompt" if cell.method == "orm" else "prompt_ids"
    return every.filter(lambda row: str(row[column]) in wanted)


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
                cell.method,
                "pocket",
                learning_rate=cell.rate,
                epochs=cell.epochs,
                seed=cell.seed,
            ),
            save_steps=0,
        )
    finally:
        training.with_head = original
    verifier = Verifier(trained)
    usual = verifier.pool
    figures: dict[str, dict[str, Any]] = {"dev": {}, "test": {}}
    for split, pools in (("dev", get_args(Pool)), ("test", (usual,))):
        candidates = [
            (s.solution_id, Candidate(prompt(problem), s.text, s.finish_reason == "stop"))
            for _, both in solutions_in(Store(folder / split))
            for problem, s in both
        ]
        every = problems_of(folder, split)
        for pool in pools:
            verifier.pool = pool
            found = verifier.score([candidate for _, candidate in candidates])
            scores = {name: score for (name, _), score in zip(candidates, found, strict=True)}
            figures[split][pool] = measure(every, scores, plan.n)
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


def problems_of(folder: Path, split: str) -> list[list[Any]]:
    """The samples of each problem of a split."""
    from ctm_data.run.records import samples
    from ctm_data.run.store import Store

    problems: dict[str, list[Any]] = {}
    for sample in samples(Store(folder / split)):
        problems.setdefault(sample.problem_id, []).append(sample)
    return list(problems.values())


def measure(
    samples: Sequence[Sequence[Any]], scores: dict[str, float], n: int
) -> dict[str, list[float]]:
    """By problem: best-of-16, best-of-n, the weighted vote of 16, pairs told apart (NaN for problems of one
    kind), and, over all, the distance of score and share right."""
    from ctm_eval.report import Sampled, choices
    from ctm_eval.verifiers import weight

    chosen: dict[str, list[list[float]]] = {}
    for own in samples:
        found = [(scores[s.solution_id], weight("orm", scores[s.solution_id])) for s in own]
        for name, chances in choices(Sampled(own, {"v": found}), False).items():
            chosen.setdefault(name, []).append(chances)
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
    """A Markdown table a split, and on the development problems the best pool of every cell."""
    from ctm_eval.metrics import maj_at_k
    from ctm_eval.report import votes

    at = min(16, plan.n)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for cell in cells():
        if is_there(folder, cell):
            groups.setdefault((cell.method, cell.what), []).append(load(folder, cell))
    lines = []
    for split in ("dev", "test"):
        every = problems_of(folder, split)
        majority = np.array([maj_at_k(*votes(own)) for own in every])
        one = np.mean([s.correct for own in every for s in own])
        lines += [
            f"{len(every)} problems of `{split}`, {plan.n} samples each: one sample {one:.1%}, majority "
            f"of {at} {majority[:, at - 1].mean():.1%}, of {plan.n} {majority[:, -1].mean():.1%}. "
            f"Differences in points from the majority of {at}; means of the seeds.",
            "",
            f"| verifier | what | rows | seeds | pool | best of {at} | from majority | 95% | "
            f"best of {plan.n} | weighted vote of {at} | from majority | 95% | pairs | off | seconds |",
            "|---" * 15 + "|",
        ]
        for (method, what), results in groups.items():
            pools = results[0]["figures"][split]
            found = {
                pool: {
                    name: np.array([one["figures"][split][pool][name] for one in results])
                    for name in pools[pool]
                }
                for pool in pools
            }
            usual = "last" if method == "orm" else "min"
            best = max(found, key=lambda p: found[p]["best16"].mean())
            for pool in dict.fromkeys((usual, best)):
                own = found[pool]
                row = [method.upper(), what, str(results[0]["rows"]), str(len(results)), pool]
                for name in ("best16", "vote16"):
                    gap = own[name] - majority[:, at - 1]
                    low, high = 100 * np.quantile(bootstrap(gap), [0.025, 0.975])
                    row += [f"{own[name].mean():.1%}", f"{100 * gap.mean():+.1f}"]
                    row.append(f"{low:+.1f} to {high:+.1f}")
                    row += [f"{own['best'].mean():.1%}"] if name == "best16" else []
                row += [f"{np.nanmean(own['pairs']):.3f}", f"{own['off'].mean():.3f}"]
                row.append(f"{np.median([one['seconds'] for one in results]):.0f}")
                lines.append("| " + " | ".join(row) + " |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
