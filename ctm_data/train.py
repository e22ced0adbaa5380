"""`train`: a run folder's pairs, or rows of one's own, to a trained model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ctm_data.run.bucket import is_url, plain
from ctm_data.run.schema import SCHEMAS
from ctm_data.run.store import Store, is_run_folder
from ctm_data.stages.contrast import value_drops
from ctm_data.stages.verifier import read_by_verifier, right_and_wrong
from ctm_data.step_targets import PRM_LABELS, step_rows
from ctm_eval.data_files import read_rows
from ctm_eval.errors import CtmError
from ctm_eval.hub import is_hub_name, notice_offline
from ctm_eval.models import model_path
from ctm_eval.pocket.builtin import MODELS
from ctm_eval.progress import Progress
from ctm_train.data import WEIGHTS
from ctm_train.settings import PrmLabels, Weights

if TYPE_CHECKING:
    from datasets import Dataset

    from ctm_train.train import TrainingSummary

NEEDS = {"contrast": "rejected_ce", "value": "rejected_value_drop", "critical": "rejected_critical",
         "uniform": "rejected_ids"}  # fmt: skip


def train(
    method: str,
    data: str | Path,
    output_dir: str | Path,
    *,
    model: str | None = None,
    weights: Weights | None = None,
    chosen_weights: bool = False,
    prm_labels: PrmLabels | None = None,
    preset: str | None = None,
    merge: bool = False,
    save_steps: float = 0.1,
    report_to: Sequence[str] = (),
    progress: Progress | None = None,
    **settings: Any,
) -> "TrainingSummary":
    """Trains `model` by `method` on `data`: a run folder, a JSONL or Parquet file, or a Hub dataset.

    Without `model`, `start_model` chooses one. What comes of a run folder, `training_rows` says;
    `prm_labels` are prm's (hard). `weights` says what the rejected tokens weigh for cdpo, see `weigh`: by
    default what the rows' own `rejected_weights` say, or else `contrast`. `chosen_weights` weighs the
    chosen side too, by s_t. A run and its `contrast` table as a file or a dataset train alike; rows of
    one's own are described in `ctm_train.data`. `settings` are those of `ctm_train.settings.Settings`;
    the preset `pocket` goes with the built-in models. Raises CtmError or TrainError.
    """
    from ctm_train.settings import settings_for
    from ctm_train.train import train as train_rows

    refuse_bucket(output_dir)
    if weights not in (None, *get_args(Weights)):
        known = ", ".join(get_args(Weights))
        raise CtmError(f"unknown weights {weights!r}; there are: {known}", usage=True)
    model = model or start_model(data, preset)
    preset = preset or ("pocket" if model in MODELS else None)
    chosen = settings_for(method, preset, **settings)
    _check_options(method, weights, chosen_weights, prm_labels, data)
    described: dict[str, Any] = {"data": str(data)}
    dropped = 0
    if method == "cdpo":
        own = _contrast_rows(Store(data), weights) if is_run_folder(data) else _of_file(data)
        rows, dropped = weighted(own, weights, chosen_weights, str(data))
        named = weights or ("rejected_weights" if _has_own(own) else "contrast")
        described |= {"weights": named, "chosen_weights": chosen_weights}
        described |= {"pairs_without_weights": dropped}
    elif method == "tis-dpo":
        own = _contrast_rows(Store(data), None) if is_run_folder(data) else _of_file(data)
        rows, dropped = importance_weighted(own, str(data))
        described |= {"pairs_without_weights": dropped}
    elif is_run_folder(data):
        rows = training_rows(
            Store(data), method, prm_labels=prm_labels or PRM_LABELS, seed=chosen.seed
        )
    else:
        rows = _of_file(data)
    if is_run_folder(data) and Store(data).manifest["recipe"].get("describe"):
        described |= {"descriptions": True}
    if method == "prm" and is_run_folder(data):
        described |= {"prm_labels": prm_labels or PRM_LABELS}
    outcome = train_rows(
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
    return replace(outcome, dropped=dropped)


def start_model(data: str | Path, preset: str | None = None) -> str:
    """What trains where no model is named: the preset's, the (first) one that wrote the run, or pocket."""
    from ctm_train.settings import preset_model

    if preset:
        return preset_model(preset)
    if not is_run_folder(data):
        return "pocket"
    store = Store(data)
    recipe = store.manifest["recipe"]
    if recipe.get("engine") == "openai" and not store.parts("contrast"):
        return "pocket"  # what a server calls its model need not be the name of weights
    wrote = recipe.get("model")
    return str((wrote[0] if isinstance(wrote, list) else wrote) or "pocket")


def refuse_bucket(output_dir: str | Path) -> None:
    """Raises CtmError for a URL: a model is written to a folder."""
    if is_url(output_dir):
        raise CtmError(
            f"a model is written to a folder here, and {plain(output_dir)} is none: give a folder as "
            "--output-dir, and `ctm publish` it or copy it from there",
            usage=True,
        )


def weigh(row: Mapping[str, Any], weights: Weights) -> list[float] | None:
    """What the rejected tokens of a row of `contrast` weigh, one entry a token; None where unknown.

    `contrast`: 1 - s_t, as in the paper. `value`: by how much the value drops with the token, 0 where
    it rises. `critical`: 1 at the critical token, else 0. `uniform`: 1, which makes cDPO DPO.
    """
    if weights == "uniform":
        return [1.0] * len(row["rejected_ids"])
    if weights == "contrast":
        scores = row.get("rejected_ce")
        return None if scores is None else [1.0 - score for score in scores]
    if weights == "critical":
        at = row.get("rejected_critical")
        return None if at is None else [float(i == at) for i in range(len(row["rejected_ids"]))]
    drops = row.get("rejected_value_drop")
    if drops is None or None in drops:
        return None  # a label-only run looks at part of the curve
    return [max(0.0, drop) for drop in drops]


def weighted(
    rows: "Dataset | Sequence[Mapping[str, Any]]",
    weights: Weights | None = None,
    chosen_weights: bool = False,
    where: str = "the data",
) -> tuple["Dataset", int]:
    """Pairs with the weights of their tokens, from any source, and how many had none and were dropped.

    Without `weights` they are the rows' own `rejected_weights`, or else `contrast`. Raises CtmError if
    no row has weights: `where` names the data in it.
    """
    from datasets import Dataset

    own = weights is None and _has_own(rows)
    kind: Weights = weights or "contrast"
    kept, dropped = [], 0
    for row in rows:
        if "rejected_ids" in row:
            pair = {name: row[name] for name in ("prompt_ids", "chosen_ids", "rejected_ids")}
        elif own:
            pair = {name: row[name] for name in ("prompt", "chosen", "rejected") if name in row}
        else:
            raise CtmError(
                f"{where} has no token ids for the weights to belong to: it needs the columns "
                "prompt_ids, chosen_ids and rejected_ids; or train dpo",
                usage=True,
            )
        weighed = row.get("rejected_weights") if own else weigh(row, kind)
        scores = row.get("chosen_weights") if own else None
        if chosen_weights:
            scores = row.get("chosen_ce")
        lacks = weighed is None and not (own and "rejected_weights" not in row)
        if lacks or (chosen_weights and scores is None):
            dropped += 1
            continue
        if weighed is not None:
            pair["rejected_weights"] = weighed
        kept.append(pair if scores is None else {**pair, "chosen_weights": scores})
    if not kept:
        column = "rejected_weights" if own else NEEDS[kind]
        stage = "rollouts" if kind in ("value", "critical") else "contrast"
        columns = f"{column} and chosen_ce" if chosen_weights else column
        raise CtmError(
            f"{where} has no pairs with weights {kind!r}: they need {columns}, which `ctm "
            f"build-dataset` writes with its {stage} stage; or train dpo, which needs no weights",
            usage=True,
        )
    return Dataset.from_list(kept), dropped


def training_rows(
    store: Store,
    method: str,
    weights: Weights = "contrast",
    chosen_weights: bool = False,
    prm_labels: PrmLabels = PRM_LABELS,
    seed: int = 0,
) -> "Dataset":
    """What `method` trains on, from a run. Raises CtmError.

    Preference methods take the `contrast` table, as token ids (cdpo with weights), or, where there is
    none, pairs of right and wrong rows of the `verifier` table, as text; `sft` takes their chosen side.
    `tis-dpo` takes the pairs with the weights of `importance_weighted`.
    `cliff-dpo` takes the critical tokens of `rollouts` and their best replacements.
    `orm` takes the `verifier` table, `prm` the values of `rollouts` (see `ctm_data.step_targets`).
    """
    if method == "orm":
        return _labelled(store)
    if method == "prm":
        return step_rows(store, prm_labels)
    if method == "cliff-dpo":
        return _critical_pairs(store)
    if method == "tis-dpo":
        return importance_weighted(_contrast_rows(store, None), str(store.folder))[0]
    if method == "cdpo":
        return weighted(_contrast_rows(store, weights), weights, chosen_weights, str(store.folder))[
            0
        ]
    if not store.parts("contrast") and store.parts("verifier"):
        rows = _verifier_pairs(store, seed)
        if method == "sft":
            rows = rows.rename_column("chosen", "completion").remove_columns("rejected")
        return rows
    pairs, _ = weighted(_contrast_rows(store, "uniform"), "uniform", where=str(store.folder))
    rows = pairs.remove_columns("rejected_weights")
    if method == "sft":
        rows = rows.rename_column("chosen_ids", "completion_ids").remove_columns("rejected_ids")
    return rows


def importance_weighted(
    rows: "Dataset | Sequence[Mapping[str, Any]]", where: str = "the data"
) -> tuple["Dataset", int]:
    """Pairs with TIS-DPO's weights on both sides, and how many had none and were dropped.

    They are the rows' own `chosen_weights` and `rejected_weights`, or come from `chosen_log_ratio` and
    `rejected_log_ratio` (see `ctm_train.losses.importance_weights`). Raises CtmError if no row has either:
    `where` names the data in it.
    """
    import torch
    from datasets import Dataset

    from ctm_train.losses import importance_weights

    kept, dropped = [], 0
    for row in rows:
        weights = {name: row.get(name) for name in WEIGHTS}
        for side, mu in (("chosen", 1.0), ("rejected", -1.0)):
            ratio = row.get(f"{side}_log_ratio")
            if ratio is not None and weights[f"{side}_weights"] is None:
                weights[f"{side}_weights"] = importance_weights(torch.tensor(ratio), mu).tolist()
        if None in weights.values():
            dropped += 1
            continue
        names = ("prompt_ids", "chosen_ids", "rejected_ids")
        if "rejected_ids" not in row:
            names = ("prompt", "chosen", "rejected")
        kept.append({**{name: row[name] for name in names if name in row}, **weights})
    if not kept:
        raise CtmError(
            f"{where} has no pairs with weights for tis-dpo: they need chosen_log_ratio and "
            "rejected_log_ratio, which `ctm build-dataset` writes with its contrast stage; or train dpo, "
            "which needs no weights",
            usage=True,
        )
    return Dataset.from_list(kept), dropped


def _contrast_rows(store: Store, weights: Weights | None) -> list[dict[str, Any]]:
    """The `contrast` table of a run; what older runs have of values in `rollouts` alone is put in."""
    rows = [row for part in store.each("contrast") for row in part.to_pylist()]
    if weights not in ("value", "critical"):
        return rows
    rollouts: dict[str, dict[str, Any]] = {}
    for part in store.each(
        "rollouts", ["solution_id", "token_ids", "prompt_value", "value", "critical_index"]
    ):
        rollouts |= {row["solution_id"]: row for row in part.to_pylist()}
    for row in rows:
        if row.get("rejected_value_drop") is None:
            row |= value_drops(rollouts.get(row["rejected_id"]), row["rejected_ids"])
    return rows


def _has_own(rows: "Dataset | Sequence[Mapping[str, Any]]") -> bool:
    return bool(len(rows)) and any(name in rows[0] for name in WEIGHTS)


def _check_options(
    method: str,
    weights: str | None,
    chosen_weights: bool,
    prm_labels: str | None,
    data: str | Path,
) -> None:
    """Raises CtmError for an option that the method or the data have no use for."""
    if prm_labels not in (None, *get_args(PrmLabels)):
        known = ", ".join(get_args(PrmLabels))
        raise CtmError(f"unknown labels {prm_labels!r}; there are: {known}", usage=True)
    given = {"--weights": weights, "--chosen-weights": chosen_weights, "--prm-labels": prm_labels}
    for option, value in given.items():
        user = "prm" if option == "--prm-labels" else "cdpo"
        if value and method != user:
            raise CtmError(
                f"{option} goes with {user}; {method} has no use for it: leave it out", usage=True
            )
    if prm_labels and not is_run_folder(data):
        raise CtmError(
            f"--prm-labels makes labels from a run's rollouts, and {data} is no run folder: give its "
            "rows their own targets",
            usage=True,
        )


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


def _critical_pairs(store: Store) -> "Dataset":
    """The critical token of each rolled-out solution against the replacement that went well most often,
    after the tokens before it; of equally good ones, the one that was drawn most. Raises CtmError."""
    from datasets import Dataset

    columns = ["prompt_ids", "token_ids", "critical_index", "replacements"]
    rows = []
    for part in store.each("rollouts", columns):
        for row in part.to_pylist():
            at = row["critical_index"]
            good = [one for one in row["replacements"] or () if one["n_correct"]]
            if at is None or not good:
                continue
            best = max(
                good, key=lambda one: (one["n_correct"] / one["n_rollouts"], one["n_rollouts"])
            )
            rows.append(
                {
                    "prompt_ids": [*row["prompt_ids"], *row["token_ids"][:at]],
                    "chosen_ids": [best["token_id"]],
                    "rejected_ids": [row["token_ids"][at]],
                }
            )
    if not rows:
        raise CtmError(
            f"{store.folder} has no critical token with a replacement that went well: run its `ctm "
            "build-dataset` with --stages rollouts",
            usage=True,
        )
    return Dataset.from_list(rows)


def _of_file(data: str | Path) -> "Dataset":
    """The rows of a file, or of a dataset (NAME or NAME:CONFIG) on the Hub or in a folder."""
    if Path(data).exists():
        from datasets import Dataset

        return Dataset.from_list([row for _, row in read_rows(data)])
    name, _, config = str(data).partition(":")
    is_name = is_hub_name(name) and not Path(name).suffix
    if not is_name and not (config and Path(name).is_dir()):
        raise CtmError(f"there is no file or folder {data}", usage=True)
    from datasets import Dataset, load_dataset

    if config and is_run_folder(
        name
    ):  # `datasets` may give the rows of another run that it has kept
        store = Store(name)
        if config not in SCHEMAS or not store.parts(config):
            raise CtmError(f"{name} has no table {config!r}", usage=True)
        return Dataset(store.read(config))
    if is_name:
        notice_offline()
    try:
        return load_dataset(name, config or None, split="train")
    except (OSError, ValueError) as error:
        raise CtmError(
            f"cannot load {data}: it is neither a run folder, a file, nor a dataset on the Hub that can "
            f"be reached ({str(error).strip().splitlines()[0]})",
            usage=True,
        ) from error
