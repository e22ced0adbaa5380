"""Training data: token ids as they are, or text and conversations that become token ids once."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ctm_train.errors import TrainError

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase


WORD = re.compile(r"\S+")
ROWS = "rows"  # the folder of the data, in the model's, while several processes train
IDS = ("prompt_ids", "chosen_ids", "rejected_ids", "completion_ids")
WEIGHTS = {"chosen_weights": "chosen_ids", "rejected_weights": "rejected_ids"}


def completions(rows: "Dataset", tokenizer: "PreTrainedTokenizerBase") -> "Dataset":
    """`prompt_ids` and `completion_ids` of every row.

    Rows have these columns, which are taken as they are, or `prompt` and `completion`: texts, or
    conversations (lists of messages with `role` and `content`), which the model's chat template renders.
    Text gets an end-of-sequence token: a model that never sees one never learns to stop. A rendered
    conversation ends with the last one that its template writes. Raises TrainError.
    """
    return _ids(rows, tokenizer, ("completion",), ())


def judged(rows: "Dataset", tokenizer: "PreTrainedTokenizerBase") -> "Dataset":
    """`prompt_ids`, `completion_ids` and `label` of every row, from ids, text or conversations.

    Rows have a completion with a `label` that says whether it is desirable; or they are pairs, each of
    which becomes two rows, the chosen one desirable. Raises TrainError.
    """
    from datasets import concatenate_datasets

    if "label" in rows.column_names:
        labels = set(rows["label"][:])
        if labels - {True, False}:
            raise TrainError("the column `label` has to be true or false in every row", usage=True)
        return _ids(rows, tokenizer, ("completion",), ("label",))
    names = set(rows.column_names)
    if not {"chosen", "chosen_ids"} & names and {"completion", "completion_ids"} & names:
        raise TrainError(
            "completions need a `label` that says whether each is desirable; the data has: "
            f"{', '.join(rows.column_names)}",
            usage=True,
        )
    ids = pairs(rows, tokenizer)
    return concatenate_datasets(
        [
            ids.select_columns(["prompt_ids", f"{side}_ids"])
            .rename_column(f"{side}_ids", "completion_ids")
            .add_column("label", [side == "chosen"] * len(ids))
            for side in ("chosen", "rejected")
        ]
    )


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
    """`prompt_ids`, `chosen_ids`, `rejected_ids` of every row, from ids, text or conversations.

    Conversations may lack a prompt: it is what the two sides begin with. `chosen_weights` and
    `rejected_weights` are kept where there are any: one entry a token or, for a text, one a word (what
    stands between blanks), which all tokens of the word get. Raises TrainError, also for weights of
    another length.
    """
    if "chosen" in rows.column_names and not {"prompt", "prompt_ids"} & set(rows.column_names):
        rows = rows.map(_with_prompt)
    rows = _words_to_tokens(rows, tokenizer)
    ids = _ids(rows, tokenizer, ("chosen", "rejected"), tuple(WEIGHTS))
    for weights, side in WEIGHTS.items():
        if weights not in ids.column_names:
            continue
        for number, row in enumerate(ids):
            if row[weights] is not None and len(row[weights]) != len(row[side]):
                raise TrainError(
                    f"{weights} of row {number} has {len(row[weights])} entries for "
                    f"{len(row[side])} tokens: it needs one for each of {side}, "
                    "or one for each word of a text",
                    usage=True,
                )
    return ids


def largest_id(rows: "Dataset") -> int:
    """The largest token id that the rows hold; -1 if they hold none, as rows of text."""
    import pyarrow.compute as pc

    names = [name for name in IDS if name in rows.column_names]
    if not names:
        return -1
    found = (
        pc.max(pc.list_flatten(part[name])).as_py()
        for part in rows.select_columns(names).with_format("arrow").iter(batch_size=1000)
        for name in names
    )
    return max((one for one in found if one is not None), default=-1)


def spread(text: str, weights: Sequence[float], offsets: Sequence[tuple[int, int]]) -> list[float]:
    """Weights of tokens, by their (start, end) in a text, from those of its words: a token has that of the
    word in which it says its first character, a blank one that of the word before it."""
    ends = [match.end() for match in WORD.finditer(text)]
    spread, word = [], 0
    for start, end in offsets:
        said = start + len(text[start:end]) - len(text[start:end].lstrip())
        while said < end and word < len(ends) - 1 and said >= ends[word]:
            word += 1
        spread.append(weights[word])
    return spread


def _words_to_tokens(rows: "Dataset", tokenizer: "PreTrainedTokenizerBase") -> "Dataset":
    """The rows, with weights of words of a text made weights of its tokens. EOS weighs 1."""
    names = [
        name
        for name, ids in WEIGHTS.items()
        if name in rows.column_names and ids not in rows.column_names
    ]

    def to_tokens(row: dict[str, Any]) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        for name in names:
            text, weights = row.get(name.removesuffix("_weights")), row[name]
            if not isinstance(text, str) or weights is None:
                continue
            if weights and len(weights) == len(WORD.findall(text)):
                # EOS makes a text's tokens more than its words, so that the two cannot be mistaken.
                encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
                ended = encoded.input_ids[-1] == tokenizer.eos_token_id
                changed[name] = spread(text, weights, encoded["offset_mapping"])
                changed[name] += [] if ended else [1.0]
        return changed

    return rows.map(to_tokens) if names else rows


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
            f"the data has no {', '.join(missing)}; it needs the columns {', '.join(wanted)} (text or "
            f"conversations) or {', '.join(ids)} (token ids), and has: {', '.join(rows.column_names)}",
            usage=True,
        )
    if isinstance(rows[0]["prompt"], list) and not getattr(tokenizer, "chat_template", None):
        raise TrainError(
            "the data are conversations, and the model has no chat template to render them: take a "
            "model that has one, or give prompt and completion as text",
            usage=True,
        )

    def encode(row: dict[str, Any]) -> dict[str, Any]:
        encoded = {}
        for side in sides:
            encoded["prompt_ids"], encoded[f"{side}_ids"] = _encoded(
                tokenizer, row["prompt"], row[side]
            )
        return encoded

    return rows.map(encode).select_columns([*ids, *kept])


def _encoded(
    tokenizer: "PreTrainedTokenizerBase", prompt: Any, completion: Any
) -> tuple[list[int], list[int]]:
    """The token ids of a prompt and of its completion, which ends with EOS."""
    eos = tokenizer.eos_token_id
    if isinstance(prompt, str) and isinstance(completion, str):
        before = list(tokenizer(prompt).input_ids)
        after = list(tokenizer(completion, add_special_tokens=False).input_ids)
        ended = after if after and after[-1] == eos else [*after, eos]
        return before[:-1] if before and before[-1] == eos else before, ended
    if not (_is_conversation(prompt) and _is_conversation(completion)):
        raise TrainError(
            "prompt and completion have to be both text, or both lists of messages with role and "
            "content",
            usage=True,
        )
    opened = str(tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True))
    whole = str(tokenizer.apply_chat_template([*prompt, *completion], tokenize=False))
    if not whole.startswith(opened):
        raise TrainError(
            "the model's chat template writes a prompt otherwise when an answer follows, so that it "
            "cannot be told where the answer begins: give prompt and completion as text",
            usage=True,
        )
    # Prompt and answer are encoded apart, as the prompt is when the model is asked.
    before = list(tokenizer(opened, add_special_tokens=False).input_ids)
    after = list(tokenizer(whole[len(opened) :], add_special_tokens=False).input_ids)
    if eos not in after:
        return before, [*after, eos]
    return before, after[: len(after) - after[::-1].index(eos)]


def _is_conversation(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(turn, dict) and {"role", "content"} <= set(turn) for turn in value
    )


def _with_prompt(row: dict[str, Any]) -> dict[str, Any]:
    """A pair of whole conversations as a prompt, their common beginning, and two completions."""
    chosen, rejected = row["chosen"], row["rejected"]
    if not (_is_conversation(chosen) and _is_conversation(rejected)):
        raise TrainError(
            "the data has no prompt; only conversations, lists of messages with role and content, "
            "can do without",
            usage=True,
        )
    shared = 0
    while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
        shared += 1
    return {"prompt": chosen[:shared], "chosen": chosen[shared:], "rejected": rejected[shared:]}
