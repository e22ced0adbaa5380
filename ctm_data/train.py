"""`train`: a run folder's pairs, or rows of one's own, to a trained model."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ctm_data.run.store import Store, is_run_folder
from ctm_data.stages.verifier import read_by_verifier, right_and_wrong
from ctm_eval.data_files import read_rows
from ctm_eval.errors import CtmError
from ctm_eval.models import decode, load_tokenizer, model_path
from ctm_eval.progress import Progress

if TYPE_CHECKING:
    from datasets import Dataset

    from ctm_train.train import TrainingSummary

Weights = Literal["contrast", "value", "critical", "uniform"]


def train(
    method: str,
    data: str | Path,
    output_dir: str | Path,
    *,
    model: str = "pocket",
    weights: Weights = "contrast",
    chosen_weights: bool = False,
    hard_labels: bool = False,
    preset: str | None = None,
    merge: bool = False,
    save_steps: float = 0.1,
    report_to: Sequence[str] = (),
    progress: Progress | None = None,
    **settings: Any,
) -> "TrainingSummary":
    """Trains `model` by `method` on `data`: a run folder, a JSONL or Parquet file, or a Hub dataset.

    What comes of a run folder, `training_rows` says; `hard_labels` are prm's. `weights`
    says what the rejected tokens weigh for cdpo, see `weigh`; `chosen_weights` weighs the chosen side
    too, by s_t. Rows of one's own have text or token ids and, for cdpo, weights: see `ctm_train.data`.
    `settings` are those of `ctm_train.settings.Settings`; the preset `pocket` goes with that model.
    Raises CtmError or TrainError.
    """
    from ctm_train.settings import settings_for
    from ctm_train.train import train as train_rows

    if weights not in get_args(Weights):
        known = ", ".join(get_args(Weights))
        raise CtmError(f"unknown weights {weights!r}; there are: {known}", usage=True)
    preset = preset or ("pocket" if model == "pocket" else None)
    chosen = settings_for(method, preset, **settings)
    described: dict[str, Any] = {"data": str(data)}
    if is_run_folder(data):
        store = Store(data)
        rows = training_rows(store, method, weights, chosen_weights, hard_labels, chosen.seed)
        if method == "cdpo":
            described |= {"weights": weights, "chosen_weights": chosen_weights}
        if store.manifest["recipe"].get("describe"):
            described |= {"descriptions": True}
        if method == "prm":
            described |= {"hard_labels": hard_labels}
    else:
        rows = _of_file(data)
    return train_rows(
        method,
        rows,
        output_dir,
        model=model_path(model),
        settings=chosen,
        name=model,
        merge=merge,
        save_steps=save_steps,
        report_to=report_to,
        described=described,
        progress=progress,
    )


def weigh(
    pair: dict[str, Any], rollout: dict[str, Any] | None, weights: Weights
) -> list[float] | None:
    """What a pair's rejected tokens weigh, one entry a token; None where it cannot be known.

    `contrast`: 1 - s_t, as in the paper. `value`: by how much the value drops with the token, 0 where
    it rises. `critical`: 1 at the critical token, else 0. `uniform`: 1, which makes cDPO DPO. The
    second and third need the pair's rejected solution in the `rollouts` table.
    """
    if weights == "uniform":
        return [1.0] * len(pair["rejected_ids"])
    if weights == "contrast":
        scores = pair["rejected_ce"]
        return None if scores is None else [1.0 - score for score in scores]
    if rollout is None:
        return None
    if weights == "critical":
        at = rollout["critical_index"]
        return None if at is None else [float(i == at) for i in range(len(rollout["token_ids"]))]
    curve = [rollout["prompt_value"], *rollout["value"]]
    if None in curve:
        return None  # a label-only run looks at part of the curve
    return [max(0.0, before - after) for before, after in pairwise(curve)]


def training_rows(
    store: Store,
    method: str,
    weights: Weights = "contrast",
    chosen_weights: bool = False,
    hard_labels: bool = False,
    seed: int = 0,
) -> "Dataset":
    """What `method` trains on, from a run. Raises CtmError.

    Preference methods take the `contrast` table, as token ids (cdpo with weights), or, where there is
    none, pairs of right and wrong rows of the `verifier` table, as text; `sft` takes their chosen side.
    `orm` takes the `verifier` table, `prm` the values of `rollouts` (see `step_targets`).
    """
    if method == "orm":
        return _labelled(store)
    if method == "prm":
        return _steps(store, hard_labels)
    if method == "cdpo":
        return _pairs(store, weights, chosen_weights)
    if not store.parts("contrast") and store.parts("verifier"):
        rows = _verifier_pairs(store, seed)
        if method == "sft":
            rows = rows.rename_column("chosen", "completion").remove_columns("rejected")
        return rows
    rows = _pairs(store, "uniform").remove_columns("rejected_weights")
    if method == "sft":
        rows = rows.rename_column("chosen_ids", "completion_ids").remove_columns("rejected_ids")
    return rows


def step_targets(
    pieces: Sequence[str], value: Sequence[float | None], hard: bool = False
) -> list[float | None]:
    """A process reward model's targets, one a token: at the end of every step its value, else None.

    A step ends with a line break, and the last one where the solution does. The value, the share of
    rollouts from there that end well, is Math-Shepherd's soft label; the `hard` one is 1 if any does
    (arXiv 2312.08935, equations 3 and 4).
    """
    last = len(pieces) - 1
    return [
        (float(v > 0) if hard and v is not None else v) if "\n" in piece or i == last else None
        for i, (piece, v) in enumerate(zip(pieces, value, strict=True))
    ]


def _pairs(store: Store, weights: Weights = "contrast", chosen_weights: bool = False) -> "Dataset":
    """The pairs of a run with the weights of their tokens; those with unknown weights are left out."""
    from datasets import Dataset

    rollouts: dict[str, dict[str, Any]] = {}
    if weights in ("value", "critical"):
        wanted = ["solution_id", "token_ids", "prompt_value", "value", "critical_index"]
        for part in store.each("rollouts", wanted):
            rollouts |= {row["solution_id"]: row for row in part.to_pylist()}
    rows = []
    for part in store.each("contrast"):
        for pair in part.to_pylist():
            weighed = weigh(pair, rollouts.get(pair["rejected_id"]), weights)
            if weighed is None or (chosen_weights and pair["chosen_ce"] is None):
                continue
            row = {name: pair[name] for name in ("prompt_ids", "chosen_ids", "rejected_ids")}
            row["rejected_weights"] = weighed
            if chosen_weights:
                row["chosen_weights"] = pair["chosen_ce"]
            rows.append(row)
    if not rows:
        needs = {"contrast": "contrast", "uniform": "contrast"}.get(weights, "rollouts")
        raise CtmError(
            f"{store.folder} has no pairs with weights {weights!r}: run `ctm build-dataset "
            f"--output-dir {store.folder}` with its {needs} stage",
            usage=True,
        )
    return Dataset.from_list(rows)


def _labelled(store: Store) -> "Dataset":
    from datasets import Dataset

    rows = _verifier_rows(store)
    if not rows:
        raise CtmError(
            f"{store.folder} has no labelled solutions: run its `ctm build-dataset` with --stages "
            "verifier",
            usage=True,
        )
    return Dataset.from_list(
        [
            {"prompt": row["prompt"], "completion": row["read"], "correct": row["correct"]}
            for row in rows
        ]
    )


def _verifier_rows(store: Store) -> list[dict[str, Any]]:
    """Rows of the `verifier` table, each with the text that a verifier will `read`."""
    columns = ["problem_id", "prompt", "solution", "description", "correct"]
    return [
        {**row, "read": read_by_verifier(row["solution"], row["description"])}
        for part in store.each("verifier", columns)
        for row in part.to_pylist()
    ]


def _verifier_pairs(store: Store, seed: int) -> "Dataset":
    from datasets import Dataset

    pairs = [
        {"prompt": right["prompt"], "chosen": right["read"], "rejected": wrong["read"]}
        for right, wrong in right_and_wrong(_verifier_rows(store), seed)
    ]
    if not pairs:
        raise CtmError(
            f"{store.folder} has no problem with a right and a wrong solution to pair", usage=True
        )
    return Dataset.from_list(pairs)


def _steps(store: Store, hard: bool) -> "Dataset":
    """Rolled-out solutions with the values of their steps, and a right solution of the same problem for
    each: 1 at its end and, if labels are hard, at every step, since it went on well from there."""
    from datasets import Dataset

    rows, wanted = [], set()
    for part in store.each(
        "rollouts", ["problem_id", "prompt_ids", "token_ids", "pieces", "value"]
    ):
        for row in part.to_pylist():
            targets = step_targets(row["pieces"], row["value"], hard)
            rows.append(_example(row["prompt_ids"], row["token_ids"], targets))
            wanted.add(row["problem_id"])
    if not rows:
        raise CtmError(
            f"{store.folder} has no values: run its `ctm build-dataset` with --stages rollouts",
            usage=True,
        )
    tokenizer = load_tokenizer(str(store.manifest["recipe"]["model"]))
    for part in store.each("solutions", ["problem_id", "prompt_ids", "token_ids", "correct"]):
        for row in part.to_pylist():
            if row["correct"] and row["problem_id"] in wanted:
                wanted.remove(row["problem_id"])
                ids = row["token_ids"]
                value = [1.0 if hard or i == len(ids) - 1 else None for i in range(len(ids))]
                targets = step_targets([decode(tokenizer, [i]) for i in ids], value)
                rows.append(_example(row["prompt_ids"], ids, targets))
    return Dataset.from_list(rows)


def _example(
    prompt_ids: list[int], token_ids: list[int], targets: list[float | None]
) -> dict[str, Any]:
    return {"prompt_ids": prompt_ids, "completion_ids": token_ids, "targets": targets}


def _of_file(data: str | Path) -> "Dataset":
    from datasets import Dataset, load_dataset

    if Path(data).exists():
        return Dataset.from_list([row for _, row in read_rows(data)])
    name, _, config = str(data).partition(":")
    if name.count("/") > 1 or name.startswith((".", "/", "~")) or Path(name).suffix:
        raise CtmError(f"there is no file or folder {data}", usage=True)
    try:
        return load_dataset(name, config or None, split="train")
    except (OSError, ValueError) as error:
        raise CtmError(
            f"cannot load {data}: it is neither a run folder, a file, nor a dataset on the Hub that can "
            f"be reached ({str(error).strip().splitlines()[0]})",
            usage=True,
        ) from error
