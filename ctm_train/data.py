"""Training data: token ids as they are, or text that becomes token ids once."""

from typing import TYPE_CHECKING, Any

from ctm_train.errors import TrainError

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase


ROWS = "rows"  # the folder of the data, in the model's, while several processes train


def completions(rows: "Dataset", tokenizer: "PreTrainedTokenizerBase") -> "Dataset":
    """`prompt_ids` and `completion_ids` of every row.

    Rows have these columns, which are taken as they are (a sampled solution ends as it ended, with its
    end-of-sequence token if it drew one), or text in `prompt` and `completion`, which gets an
    end-of-sequence token: a model that never sees one never learns to stop. Raises TrainError.
    """
    return _ids(rows, tokenizer, ("completion",), ())


def labelled(rows: "Dataset", tokenizer: "PreTrainedTokenizerBase") -> "Dataset":
    """`prompt_ids`, `completion_ids` and `targets` of every row, from ids or text as `completions` does.

    Rows have `targets`, one in [0, 1] or None for every completion token, or one label `correct`,
    which becomes the target of them all. Raises TrainError.
    """
    if not {"targets", "correct"} & set(rows.column_names):
        raise TrainError(
            "the data has neither a label `correct` nor `targets`, one a token; it has: "
            f"{', '.join(rows.column_names)}",
            usage=True,
        )
    ids = _ids(rows, tokenizer, ("completion",), ("targets", "correct"))
    if "targets" in ids.column_names:
        return ids
    return ids.map(
        lambda row: {"targets": [float(row["correct"])] * len(row["completion_ids"])},
        remove_columns=["correct"],
    )


def pairs(rows: "Dataset", tokenizer: "PreTrainedTokenizerBase") -> "Dataset":
    """`prompt_ids`, `chosen_ids`, `rejected_ids` of every row, from ids or text as `completions` does.

    `chosen_weights` and `rejected_weights`, one entry a token, are kept where there are any.
    """
    return _ids(rows, tokenizer, ("chosen", "rejected"), ("chosen_weights", "rejected_weights"))


def _ids(
    rows: "Dataset",
    tokenizer: "PreTrainedTokenizerBase",
    sides: tuple[str, ...],
    extras: tuple[str, ...],
) -> "Dataset":
    wanted = ["prompt", *sides]
    kept = [name for name in extras if name in rows.column_names]
    ids = [f"{name}_ids" for name in wanted]
    if not len(rows):
        raise TrainError("there are no rows to train on", usage=True)
    if set(ids) <= set(rows.column_names):
        return rows.select_columns([*ids, *kept])
    if missing := [name for name in wanted if name not in rows.column_names]:
        raise TrainError(
            f"the data has no {', '.join(missing)}; it needs the columns {', '.join(wanted)} (text) or "
            f"{', '.join(ids)} (token ids), and has: {', '.join(rows.column_names)}",
            usage=True,
        )
    eos = tokenizer.eos_token_id

    def encode(row: dict[str, Any]) -> dict[str, Any]:
        prompt = list(tokenizer(row["prompt"]).input_ids)
        encoded = {"prompt_ids": prompt[:-1] if prompt and prompt[-1] == eos else prompt}
        for side in sides:
            text = list(tokenizer(row[side], add_special_tokens=False).input_ids)
            encoded[f"{side}_ids"] = text if text and text[-1] == eos else [*text, eos]
        return encoded

    return rows.map(encode).select_columns([*ids, *kept])
