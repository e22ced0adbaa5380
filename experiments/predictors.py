"""What predicts a critical token: CE, surprisal, entropy, margin, or the value drop of a cheap curve.

    python experiments/predictors.py [--quick] [--output-dir build/predictors] [--jobs 2]

Two models: `pocket` on its own problems, and SmolLM2-135M (`make real-model`), first fine-tuned by
`ctm train sft` on right solutions of pocket's problems of two steps, until it solves a third to two
thirds of new ones; it is asked in GSM8K's form, without a chat. Each samples solutions, whose wrong ones
are rolled out with N = 64 as `ctm build-dataset` does; `ctm compare --curve 4` measures the scores. The
cheap curve has draws of its own, none of a label. Intervals (95%) are from a bootstrap over problems.
`--quick` fine-tunes pocket in place of SmolLM2.

Everything is kept in the output folder as it is made (checkpoints of the training, parts of the run), so
a stopped run goes on where it was.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import two_steps
from grid import Lines, arguments, keep, pool_for, run_cells

CURVE = 4
SHOWN = ("auc", "mrr", "hit@1", "hit@10%")


@dataclass(frozen=True)
class Plan:
    """The sizes of the experiment, and the model that is fine-tuned."""

    model: str = two_steps.SMOLLM2
    pocket_problems: int = 400
    problems: int = 48
    samples: int = 8
    rollouts: int = 64
    training_rows: int = two_steps.TAUGHT


QUICK = Plan("pocket", pocket_problems=6, problems=6, samples=4, rollouts=4, training_rows=8)


@dataclass(frozen=True)
class Cell:
    """A model."""

    name: str


def main() -> None:
    """Runs what is missing and writes the table."""
    options = arguments(__doc__ or "", "build/predictors")
    plan, folder = (QUICK if options.quick else Plan()), options.output_dir
    cells = [Cell("pocket"), Cell("fine-tuned")]
    if plan.model != "pocket" and not Path(plan.model, "config.json").exists():
        print(f"pocket alone: {plan.model} is not there (`make real-model`)", file=sys.stderr)
        del cells[1]
    with pool_for(plan, folder, options.jobs) as pool:
        results = run_cells(make, plan, folder, pool, cells)
    (folder / "table.md").write_text(table(results))
    print((folder / "table.md").read_text())


def make(plan: Plan, folder: Path, cell: Cell) -> str:
    """Fine-tunes, samples, rolls out and measures: in a process of the pool."""
    from ctm_data.build import build_dataset
    from ctm_data.compare import compare
    from ctm_data.config import BuildConfig
    from ctm_data.pages.summary import summarize

    began = time.monotonic()
    sizes = {"n_samples": plan.samples, "n_rollouts": plan.rollouts, "chunk_size": 8}
    run = folder / cell.name
    if cell.name == "pocket":
        config = BuildConfig(run, limit=plan.pocket_problems, **sizes)  # type: ignore[arg-type]
    else:
        model = two_steps.fine_tuned(folder, plan.model, plan.training_rows)
        asked = two_steps.asked(folder, "test", plan.problems)
        config = BuildConfig(run, model, max_new_tokens=two_steps.TOKENS, **asked, **sizes)
    store = build_dataset(config, Lines())
    rows = compare(str(run), curve=CURVE, progress=Lines())
    summary = summarize(store)
    kept = [k for part in store.each("rollouts", ["keep_prob"])
            for row in part["keep_prob"].to_pylist() for k in row]  # fmt: skip
    keep(folder, cell, {
        "model": cell.name,
        "accuracy": summary.accuracy,
        "problems": summary.problems,
        "trajectories": summary.trajectories,
        "tokens": len(kept) / max(1, summary.trajectories),
        "leaving": 1 - sum(kept) / max(1, len(kept)),
        "rows": [asdict(row) for row in rows],
    })  # fmt: skip
    return f"{cell.name}: {time.monotonic() - began:.0f} s"


def table(results: Sequence[dict[str, Any]]) -> str:
    """The Markdown tables, one for each model."""
    lines = []
    for result in results:
        measured = {(row["measure"], row["ranking"]): row for row in result["rows"]}
        n = measured["auc", "chance"]["n"]
        lines += [
            f"{result['model']}: {result['accuracy']:.1%} of its samples right; {n} wrong trajectories "
            f"with a critical token, {result['tokens']:.0f} tokens on average, {result['leaving']:.1%} "
            "of the mass leaves a token.",
            "",
            f"| predictor | {' | '.join(SHOWN)} | tokens generated a trajectory |",
            "|---|" + "---|" * (len(SHOWN) + 1),
        ]
        rankings = dict.fromkeys(ranking for measure, ranking in measured if measure in SHOWN)
        for ranking in rankings:
            cells = [_cell(measured[measure, ranking]) for measure in SHOWN]
            cost = measured.get(("tokens generated", f"{ranking}, N = {CURVE}"))
            spent = f"{cost['mean']:,.0f}" if cost else ""
            lines.append(f"| {ranking} | {' | '.join(cells)} | {spent} |")
        label = measured.get(("tokens generated", "label"))
        if label:
            lines.append(f"\nThe label itself: {label['mean']:,.0f} tokens a trajectory.")
        lines.append("")
    return "\n".join(lines)


def _cell(row: dict[str, Any]) -> str:
    return f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


if __name__ == "__main__":
    main()
