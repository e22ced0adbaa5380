"""What a process reward model learns from: labels of steps, made of the values of a run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ctm_data.run.records import samples
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError
from ctm_eval.models import decode, load_tokenizer
from ctm_eval.steps import step_values, token_steps
from ctm_eval.targets import target
from ctm_eval.types import Solution
from ctm_train.settings import PrmLabels

if TYPE_CHECKING:
    from datasets import Dataset

PRM_LABELS: PrmLabels = "hard"  # unless others are asked for
NEAR = 2  # steps before the first lost one with a soft label (arXiv 2509.16548, d)
SURE = 0.75  # value of the prompt from which its rollouts are trusted (its authors' code)


def step_targets(
    pieces: Sequence[str],
    value: Sequence[float | None],
    labels: PrmLabels = PRM_LABELS,
    *,
    prompt_value: float = 1.0,
    resolution: float = 0.0,
) -> list[float | None]:
    """A process reward model's targets, one a token: a label at the end of every step, else None.

    Steps are lines (`ctm_eval.steps`); `value` has an entry a token. `hard`: 1 if any rollout from there
    ends well. `soft`: the share that does, the value itself (arXiv 2312.08935, equations 3 and 4).
    `confident`: the first step whose value is below `resolution` is 0, and what follows has no label;
    the `NEAR` steps before it are as good as their value compared with that of the prompt,
    min(value / `prompt_value`, 1), for the rollouts find an error late rather than early, and all before
    them are 1 (arXiv 2509.16548). Without such a step no step has a label.
    """
    steps = token_steps(pieces)
    values = step_values(value, steps)
    own: list[float | None] = list(values)
    if labels == "hard":
        own = [None if v is None else float(v > 0) for v in values]
    elif labels == "confident":
        lost = [v is not None and (v == 0 or v < resolution) for v in values]
        first = lost.index(True) if True in lost else -1
        own = [None] * len(values)
        own[: first + 1] = [1.0] * first + [0.0] if first >= 0 else []
        for index in range(max(0, first - NEAR), first):
            v = values[index]
            own[index] = None if v is None else min(v / prompt_value, 1.0)
    targets: list[float | None] = [None] * len(pieces)
    for step, label in zip(steps, own, strict=True):
        targets[step[-1]] = label
    return targets


def step_rows(store: Store, labels: PrmLabels) -> "Dataset":
    """Rolled-out solutions with the labels of their steps, and a right solution of the same problem for
    each: 1 at every step, since it went on well from there.

    `confident` labels leave out problems that the model solves less than `SURE` of the time.
    """
    from datasets import Dataset

    rolled: dict[str, dict[str, Any]] = {}
    for part in store.each("rollouts", ["solution_id", "prompt_value", "value"]):
        rolled |= {row["solution_id"]: row for row in part.to_pylist()}
    if not rolled:
        raise CtmError(
            f"{store.folder} has no values: run its `ctm build-dataset` with --stages rollouts",
            usage=True,
        )
    if labels == "confident":
        rolled = {name: row for name, row in rolled.items() if (row["prompt_value"] or 0) >= SURE}
    solutions = samples(store)
    wanted = {solution.problem_id for solution in solutions if solution.solution_id in rolled}
    recipe = store.manifest["recipe"]
    tokenizer = load_tokenizer(str(recipe.get("tokenizer") or recipe["model"]))
    rows = []
    for solution in solutions:
        if (row := rolled.get(solution.solution_id)) is not None:
            known = {
                "prompt_value": row["prompt_value"],
                "resolution": recipe.get("resolution") or 0.0,
            }
            rows.append(_step_row(solution, row["value"], tokenizer, labels, **known))
    for solution in solutions:
        if solution.correct and solution.problem_id in wanted:
            wanted.remove(solution.problem_id)
            rows.append(_step_row(solution, [1.0] * len(solution.token_ids), tokenizer, "soft"))
    rows = [row for row in rows if any(target is not None for target in row["targets"])]
    if not rows:
        raise CtmError(
            f"{store.folder} has no problem that the model solves {SURE:.0%} of the time, as confident "
            "labels need: roll out more problems, or take --prm-labels soft or hard",
            usage=True,
        )
    return Dataset.from_list(rows)


def _step_row(
    solution: Solution,
    value: Sequence[float | None],
    tokenizer: Any,
    labels: PrmLabels,
    **known: float,
) -> dict[str, Any]:
    """A solution with the targets of its steps; what a stop string ended is learnt without it."""
    ids, _ = target(solution, tokenizer)
    if len(ids) != len(value) or ids[-1] != solution.token_ids[-1]:
        kept = min(len(ids) - 1, len(value) - 1)
        value = [*value[:kept], *[None] * (len(ids) - kept - 1), value[-1]]
    pieces = [decode(tokenizer, [i]) for i in ids]
    return {
        "prompt_ids": solution.prompt_ids,
        "completion_ids": ids,
        "targets": step_targets(pieces, value, labels, **known),
    }
