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

import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from grid import Lines, arguments, keep, pool_for, run_cells

STEPS = 2  # of the problems of the fine-tuned model
CURVE = 4
SHOWN = ("auc", "mrr", "hit@1", "hit@10%")


@dataclass(frozen=True)
class Plan:
    """The sizes of the experiment, and the model that is fine-tuned."""

    model: str = "build/smollm2-135m-instruct"
    pocket_problems: int = 400
    problems: int = 48
    samples: int = 8
    rollouts: int = 64
    training_rows: int = 1200
    rate: float = 1e-3


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
        model, data = fine_tuned(plan, folder), folder / "problems.jsonl"
        asked = {"benchmark": "gsm8k", "data_file": data, "chat": False, "few_shot": 0}
        write(data, islice(of_two_steps("test"), plan.problems), "question", "answer")
        config = BuildConfig(run, model, max_new_tokens=96, **asked, **sizes)  # type: ignore[arg-type]
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


def fine_tuned(plan: Plan, folder: Path) -> str:
    """The folder of the fine-tuned model; made, or gone on with from its last checkpoint, if need be."""
    from ctm_data.train import train
    from ctm_train.settings import Settings

    rows, trained = folder / "training.jsonl", folder / "model"
    write(rows, islice(of_two_steps("train"), plan.training_rows), "prompt", "completion")
    train(
        "sft",
        rows,
        trained,
        model=plan.model,
        lora=True,
        merge=True,
        learning_rate=plan.rate,
        batch_size=8,
        lora_r=32,
        lora_targets=Settings.lora_targets,
        bf16=False,
        gradient_checkpointing=False,
        progress=Lines(),
    )
    for checkpoint in trained.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    return str(trained)


def of_two_steps(split: str) -> Iterator[dict[str, str]]:
    """Pocket's problems of two steps: question and answer, and the exercise with its solution."""
    from ctm_eval.pocket.generator import problems
    from ctm_eval.prompts import exercise

    for problem in problems(split, 1 << 30):
        if problem.level == STEPS:
            yield {
                "question": problem.question,
                "answer": f"#### {problem.answer}",
                "prompt": exercise(problem.question),
                "completion": f" {problem.solution}",
            }


def write(path: Path, rows: Iterator[dict[str, str]], *columns: str) -> None:
    """Writes these columns of the rows, whole or not at all."""
    lines = [json.dumps({name: row[name] for name in columns}) for row in rows]
    partial = path.with_suffix(".partial")
    partial.write_text("\n".join(lines) + "\n")
    partial.rename(path)


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
