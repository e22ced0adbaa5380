"""How well three verifiers find the first wrong step (ProcessBench's F1, arXiv 2412.06559).

    python experiments/first_errors.py [--part pocket|champ] [--model build/smollm2-135m-instruct]
        [--output-dir build/first-errors] [--jobs 2] [--quick]

`pocket`: PRMs, an ORM and DPO's implied reward, trained by their recipes on pocket's solutions, read its
solutions of test problems, whose first wrong line is known from the worked solution. The PRMs differ in
their labels. `champ`: LoRA adapters
of a real model, trained on CHAMP's short marked solutions of one half of the problems, read those of the
other half, and the other way round; a PRM learns the marks themselves. Right and wrong solutions of one
problem, as DPO needs, are 2 pairs in one half and none in the other, so the third verifier there is the
model itself, untrained: how likely it finds the tokens of a step. The threshold is 0.5, or the best on
other problems (pocket's development problems; of CHAMP the half that was trained on).

Intervals (95%) are from a bootstrap over problems. Every cell is a file, so a stopped run goes on.
"""

import argparse
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from grid import keep, load, pool_for, run_cells
from heads import Plan as Data
from heads import data
from human_marks import first_wrong_line, worked_solutions

LABELS = ("soft", "confident")  # of pocket's other PRMs
OF_POCKET = {
    "prm": "PRM, hard labels",
    "orm": "ORM",
    "dpo": "DPO's implied reward",
    **{f"prm-{kind}": f"PRM, {kind} labels" for kind in LABELS},
}
OF_CHAMP = {"prm": "PRM", "orm": "ORM", "untrained": "the model's own probability of a step"}


@dataclass(frozen=True)
class Plan:
    """The sizes of the experiment. `longest` is in tokens of a solution of CHAMP."""

    model: str
    problems: int = 1000
    held_out: int = 400
    seeds: int = 3
    longest: int = 320
    epochs: float = 2.0
    rate: float = 3e-4


@dataclass(frozen=True)
class Cell:
    """One verifier, trained, and its scores of the steps that it has not seen; `fold` is CHAMP's half."""

    part: str
    method: str
    seed: int = 0
    fold: int = 0

    @property
    def name(self) -> str:
        """A file name."""
        return f"{self.part}-{self.method}-{self.seed}-{self.fold}"


def main() -> None:
    """Runs what is missing and writes the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--part", choices=("pocket", "champ"), action="append")
    parser.add_argument("--model", default="build/smollm2-135m-instruct")
    parser.add_argument("--output-dir", type=Path, default=Path("build/first-errors"))
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    options = parser.parse_args()
    folder = options.output_dir
    plan = Plan(options.model)
    if options.quick:
        plan = Plan(options.model, problems=16, held_out=12, seeds=1, longest=120, epochs=0.2)
    text, began = [], time.monotonic()
    with pool_for(plan, folder, options.jobs) as pool:
        for part in options.part or ("pocket", "champ"):
            if part == "pocket":
                _pocket_data(plan, folder)
                cells = [Cell(part, m, seed) for m in OF_POCKET for seed in range(plan.seeds)]
            else:
                cells = [Cell(part, m, 0, fold) for m in OF_CHAMP for fold in range(2)]
            run_cells(_cell, plan, folder, pool, cells)
            text.append(table(plan, folder, part, cells))
            took = f"{time.monotonic() - began:.0f} seconds in this run.\n"
            (folder / f"{part}.md").write_text(text[-1] + "\n" + took)
    print("\n".join(text))


def _pocket_data(plan: Plan, folder: Path) -> None:
    from ctm_data.config import EvalConfig
    from ctm_data.eval import evaluate

    sizes = Data(plan.problems, plan.problems, 8, plan.held_out // 2, 8, 0)
    data(sizes, folder / "pocket")
    evaluate(EvalConfig(folder / "pocket" / "test", split="test", limit=plan.held_out, n_samples=8))


def _cell(plan: Plan, folder: Path, cell: Cell) -> str:
    """Trains, and scores the steps of solutions: in a process of the pool."""
    from ctm_eval.models import model_path
    from ctm_eval.prompts import exercise
    from ctm_eval.verifiers import Candidate, Verifier
    from ctm_train.settings import settings_for
    from ctm_train.train import train

    both = {"tuned": tuning(plan, folder, cell), "held": held_out(plan, folder, cell)}
    if cell.method == "untrained":
        began = time.monotonic()
        likely = {kind: step_probabilities(plan.model, marked) for kind, marked in both.items()}
        result = {"cell": asdict(cell), "rows": 0, "scores": likely, "seconds": 0.0}
        keep(folder, cell, {**result, "loss": None, "scoring": time.monotonic() - began})
        return f"{cell.name}: scored"
    trained = folder / "models" / cell.name
    shutil.rmtree(trained, ignore_errors=True)
    method = cell.method.split("-")[0]
    if cell.part == "pocket":
        start, settings = "pocket", settings_for(method, "pocket", seed=cell.seed)
    else:
        start = plan.model
        settings = settings_for(
            method, None, learning_rate=plan.rate, epochs=plan.epochs, batch_size=4,
            gradient_accumulation=1, bf16=False, gradient_checkpointing=False, seed=cell.seed,
        )  # fmt: skip
    rows = _rows(plan, folder, cell)
    outcome = train(
        method, rows, trained, model=model_path(start), name=start, settings=settings, save_steps=0
    )  # fmt: skip
    verifier = Verifier(trained)
    began, scores = time.monotonic(), {}
    for kind, marked in both.items():
        scores[kind] = verifier.step_scores(
            [Candidate(exercise(one.problem.question), one.text) for one in marked],
            [[end for _, end in one.steps] for one in marked],
        )
    shutil.rmtree(trained)
    result = {"cell": asdict(cell), "rows": len(rows), "scores": scores, "seconds": outcome.seconds}
    keep(folder, cell, {**result, "loss": outcome.loss, "scoring": time.monotonic() - began})
    return f"{cell.name}: {len(rows)} rows, {outcome.seconds:.0f} s"


def step_probabilities(name: str, marked: Sequence[Any]) -> list[list[float]]:
    """The geometric mean of the probabilities that a language model gives to the tokens of each step."""
    import torch

    from ctm_eval.models import load_model, load_tokenizer
    from ctm_eval.prompts import exercise
    from ctm_eval.verifiers import last_tokens

    model, tokenizer = load_model(name, "float32").eval(), load_tokenizer(name)
    found = []
    for one in marked:
        prompt = tokenizer(exercise(one.problem.question)).input_ids
        said = tokenizer(one.text, add_special_tokens=False, return_offsets_mapping=True)
        ids = said.input_ids
        with torch.inference_mode():
            logits = model(torch.tensor([[*prompt, *ids]]), logits_to_keep=len(ids) + 1).logits
        logp = logits[0, :-1].log_softmax(-1)
        own = logp.gather(-1, torch.tensor(ids)[:, None])[:, 0]
        ends = [end for _, end in one.steps]
        last = last_tokens(one.text, said["offset_mapping"], ends, len(ids))
        starts = [0, *(at + 1 for at in last[:-1])]
        # Two steps may end in the same token.
        spans = [(min(start, at), at + 1) for start, at in zip(starts, last, strict=True)]
        found.append([own[start:end].mean().exp().item() for start, end in spans])
    return found


def _rows(plan: Plan, folder: Path, cell: Cell) -> Any:
    """What a cell trains on."""
    from datasets import Dataset

    from ctm_data.run.store import Store
    from ctm_data.train import training_rows
    from ctm_eval.models import load_tokenizer
    from ctm_eval.prompts import exercise
    from ctm_eval.verifiers import last_tokens

    if cell.part == "pocket":
        method, _, labels = cell.method.partition("-")
        store = Store(folder / "pocket" / ("rollouts" if method == "prm" else "labelled"))
        return training_rows(store, method, prm_labels=labels or "hard", seed=cell.seed)
    marked = tuning(plan, folder, cell)
    if cell.method == "orm":
        return Dataset.from_list(
            [
                {
                    "prompt": exercise(one.problem.question),
                    "completion": one.text,
                    "correct": one.label is None,
                }
                for one in marked
            ]
        )  # fmt: skip
    tokenizer = load_tokenizer(plan.model)
    rows = []
    for one in marked:
        found = tokenizer(one.text, add_special_tokens=False, return_offsets_mapping=True)
        ids = [*found.input_ids, tokenizer.eos_token_id]
        targets: list[float | None] = [None] * len(ids)
        ends = last_tokens(
            one.text, found["offset_mapping"], [end for _, end in one.steps], len(ids)
        )
        for index, at in enumerate(ends):
            if one.label is None or index <= one.label:
                targets[at] = float(index != one.label)
        prompt = tokenizer(exercise(one.problem.question)).input_ids
        rows.append({"prompt_ids": prompt, "completion_ids": ids, "targets": targets})
    return Dataset.from_list(rows)


def tuning(plan: Plan, folder: Path, cell: Cell) -> list[Any]:
    """The marked solutions that the threshold is chosen on."""
    if cell.part == "pocket":
        return _of_pocket(folder / "pocket" / "dev")
    return _of_champ(plan, 1 - cell.fold)


def held_out(plan: Plan, folder: Path, cell: Cell) -> list[Any]:
    """The marked solutions that the figures are of."""
    if cell.part == "pocket":
        return _of_pocket(folder / "pocket" / "test")
    return _of_champ(plan, cell.fold)


def _of_pocket(run: Path) -> list[Any]:
    """The distinct solutions of a run; those that are wrong without a wrong line are left out."""
    from ctm_data.run.records import solutions_in
    from ctm_data.run.store import Store
    from ctm_eval.marked import Marked
    from ctm_eval.steps import text_steps

    recipe = Store(run).manifest["recipe"]
    worked = worked_solutions(recipe["split"], recipe["limit"])
    found: dict[tuple[str, str], Marked] = {}
    for _, both in solutions_in(Store(run)):
        for problem, solution in both:
            steps = text_steps(solution.text)
            if not steps or solution.finish_reason != "stop":
                continue
            label = first_wrong_line(solution.text, steps, worked[problem.problem_id])
            if label is None and not solution.correct:
                continue
            found.setdefault(
                (problem.problem_id, solution.text),
                Marked(
                    solution.solution_id, problem, "pocket", solution.text, tuple(steps), label, None,
                    solution.correct, "pocket",
                ),
            )  # fmt: skip
    return list(found.values())


def _of_champ(plan: Plan, fold: int) -> list[Any]:
    """CHAMP's short solutions of every other problem."""
    from ctm_eval.marked import marked_solutions
    from ctm_eval.models import load_tokenizer

    tokenizer = load_tokenizer(plan.model)
    marked = marked_solutions()
    problems = list(dict.fromkeys(one.problem.problem_id for one in marked))
    own = set(problems[fold::2])
    return [
        one
        for one in marked
        if one.problem.problem_id in own
        and len(tokenizer(one.text, add_special_tokens=False).input_ids) <= plan.longest
    ]


def table(plan: Plan, folder: Path, part: str, cells: Sequence[Cell]) -> str:
    """The Markdown table: a row for each verifier, seed and threshold."""
    from ctm_eval.step_errors import best_threshold, first_error, subset

    lines = [
        "| verifier | seed | threshold | found, of wrong | passed, of right | F1 | 95% |",
        "|---" * 7 + "|",
    ]
    figures = None
    for method, name in (OF_POCKET if part == "pocket" else OF_CHAMP).items():
        for seed in sorted({cell.seed for cell in cells}):
            own = [cell for cell in cells if (cell.method, cell.seed) == (method, seed)]
            read = [
                (
                    load(folder, cell)["scores"],
                    tuning(plan, folder, cell),
                    held_out(plan, folder, cell),
                )
                for cell in own
            ]
            for tuned in (False, True):
                hits, thresholds = [], []
                for scores, seen, marked in read:
                    known = zip(scores["tuned"], (one.label for one in seen), strict=True)
                    at = best_threshold(list(known)) if tuned else 0.5
                    thresholds.append(f"{at:.3g}")
                    for one, steps in zip(marked, scores["held"], strict=True):
                        hits.append((one, float(first_error(steps, at) == one.label)))
                figures = subset(name, hits)
                assert figures.wrong and figures.right and figures.f1 is not None
                cellsof = [name, str(seed), ", ".join(thresholds)]
                cellsof += [f"{one.value:.1%}" for one in (figures.wrong, figures.right)]
                cellsof += [f"{figures.f1:.1%}", f"{figures.low:.1%} to {figures.high:.1%}"]
                lines.append("| " + " | ".join(cellsof) + " |")
    assert figures is not None
    lines += [
        f"| a verdict at random | | | | | {figures.random:.1%} | |",
        f"| the best coin: first step or none | | | | | {figures.coin:.1%} | |",
        "| always the first step, or never any | | | | | 0.0% | |",
    ]
    about = f"`{part}`: {figures.n_wrong} wrong and {figures.n_right} right solutions."
    return "\n".join([about, "", *lines]) + "\n"


if __name__ == "__main__":
    main()
