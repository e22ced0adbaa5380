"""The data that the paper's authors released, read into our tables.

    selections    {"config": …, "pos": {qid: {question, response, answer}}, "neg": {"qid_k": {…}}}
    pairs         {"prompt": […], "chosen": […], "rejected": […], "answer": […]}
    scored pairs  the same with "prob_result": [{"pos" | "neg": {ce_prob, response_start_idx, text}}]

`ce_prob` has a score for every token of `text` after the first. Selections become `problems` and
`solutions`, pairs become `contrast`. A row whose scores do not line up with the tokens of the given
tokenizer, or that lacks something, is set aside and counted: nothing is lined up by luck.
Source: the files of arXiv 2411.19943.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctm_eval.errors import CtmError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Row = dict[str, Any]
LONGEST = 1 << 30  # bytes of one file
SAMPLED: Row = {"temperature": None, "top_p": None, "seed": None}  # not said in the files


@dataclass
class Released:
    """What was read: rows by table, and why others were set aside, how often."""

    problems: list[Row] = field(default_factory=list)
    solutions: list[Row] = field(default_factory=list)
    contrast: list[Row] = field(default_factory=list)
    set_aside: Counter[str] = field(default_factory=Counter)


class Unfit(ValueError):
    """A row that cannot be taken; the message is the reason it is counted under."""


def import_released(
    files: Mapping[str, Path], output_dir: str | Path, recipe: Row, *, tokenizer: str | None = None
) -> Released:
    """Writes a run folder from released files (by name), and counts in its manifest what was set aside.

    `recipe` says where they are from. Without a tokenizer there are no token ids, and scored pairs are
    set aside. Raises CtmError if no row can be taken.
    """
    from ctm_data.pages.card import finish
    from ctm_data.run.files import read_bounded
    from ctm_data.run.store import Store
    from ctm_eval.models import load_tokenizer

    loaded = load_tokenizer(tokenizer) if tokenizer is not None else None
    read = [
        read_released(name, read_bounded(path, LONGEST), loaded)
        for name, path in sorted(files.items())
    ]
    total = sum((one.set_aside for one in read), Counter[str]())
    if not any(one.solutions or one.contrast for one in read):
        reasons = "; ".join(f"{reason}: {count}" for reason, count in total.most_common(5))
        raise CtmError(f"no row can be taken ({reasons or 'the files are empty'})")
    with Store.open(output_dir, {**recipe, "set_aside": dict(sorted(total.items()))}) as store:
        for chunk, one in enumerate(read):
            for table in ("problems", "solutions", "contrast"):
                if getattr(one, table):
                    store.write(table, chunk, getattr(one, table))
        finish(store)
    return sum_of(read)


def sum_of(read: Sequence[Released]) -> Released:
    """All of it as one."""
    whole = Released()
    for one in read:
        whole.problems += one.problems
        whole.solutions += one.solutions
        whole.contrast += one.contrast
        whole.set_aside += one.set_aside
    return whole


def read_released(
    name: str, content: bytes, tokenizer: "PreTrainedTokenizerBase | None" = None
) -> Released:
    """The rows of one file, whichever of the three shapes it has. Never raises for what a file holds."""
    found, stem = Released(), Path(name).stem
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        found.set_aside[f"{name} is not JSON"] += 1
        return found
    if (
        isinstance(data, dict)
        and isinstance(data.get("pos"), dict)
        and isinstance(data.get("neg"), dict)
    ):
        _selection(data, stem, tokenizer, found)
    elif isinstance(data, dict) and all(
        isinstance(data.get(column), list) for column in ("prompt", "chosen", "rejected")
    ):
        _pairs(data, name, stem, tokenizer, found)
    else:
        found.set_aside[f"{name} has none of the known shapes"] += 1
    return found


def _selection(
    data: Row, stem: str, tokenizer: "PreTrainedTokenizerBase | None", found: Released
) -> None:
    answers: dict[str, Any] = {}

    def take(problem: str, index: int, entry: Any, correct: bool) -> None:
        question, response, answer = (
            _text(entry, key) for key in ("question", "response", "answer")
        )
        problem_id = f"{stem}-{problem}"
        if problem_id not in answers or correct:
            answers[problem_id] = (question, answer if correct else None)
        ids = _ids(tokenizer, question, response)
        found.solutions.append(
            {
                "solution_id": f"{problem_id}-{index:03d}",
                "problem_id": problem_id,
                "sample_index": index,
                "model": None,
                "prompt_ids": ids and ids[0],
                "token_ids": ids and ids[1],
                "text": response,
                "answer": answer,
                "correct": correct,
                "verdict": "correct" if correct else "wrong",
                "finish_reason": None,
                **SAMPLED,
            }
        )

    for qid, entry in data["pos"].items():
        if not _encodable(qid):
            found.set_aside["a text with halves of characters"] += 1
            continue
        _or_aside(found, lambda: take(qid, 0, entry, True))  # noqa: B023
    for key, entry in data["neg"].items():
        qid, _, index = key.rpartition("_")
        if not qid or not _encodable(qid) or re.fullmatch("[0-9]{1,9}", index) is None:
            found.set_aside["a key of neg that is not qid_k"] += 1
            continue
        _or_aside(found, lambda: take(qid, int(index) + 1, entry, False))  # noqa: B023
    for problem_id, (question, answer) in answers.items():
        found.problems.append(
            {
                "problem_id": problem_id,
                "benchmark": None,
                "split": "train",
                "question": question,
                "answer": answer,
                "subject": None,
                "level": None,
                "tests": [],
            }
        )


def _pairs(
    data: Row, name: str, stem: str, tokenizer: "PreTrainedTokenizerBase | None", found: Released
) -> None:
    columns = [
        column
        for column in ("prompt", "chosen", "rejected", "answer", "prob_result")
        if column in data
    ]
    lengths = {len(data[column]) if isinstance(data[column], list) else -1 for column in columns}
    if len(lengths) > 1:
        found.set_aside[f"{name}: its parallel lists differ in length"] += 1
        return
    problems: dict[str, str] = {}

    def take(i: int) -> None:
        prompt, chosen, rejected = (_text(data, key, i) for key in ("prompt", "chosen", "rejected"))
        scores = data["prob_result"][i] if "prob_result" in data else {}
        sides = {"chosen": _side(tokenizer, prompt, chosen, scores, "pos"),
                 "rejected": _side(tokenizer, prompt, rejected, scores, "neg")}  # fmt: skip
        if "prob_result" in data and not any(scored for *_, scored in sides.values()):
            raise Unfit("a scored pair without scores")
        prompts = {ids for ids, *_ in sides.values() if ids is not None}
        if len(prompts) > 1:
            raise Unfit("a pair whose two sides have different prompt tokens")
        problem_id = problems.setdefault(prompt, f"{stem}-{len(problems):05d}")
        found.contrast.append(
            {
                "pair_id": f"{stem}-{i:06d}",
                "problem_id": problem_id,
                "chosen_id": None,
                "rejected_id": None,
                "prompt": prompt,
                "chosen": chosen,
                "rejected": rejected,
                "prompt_ids": next(iter(prompts), None),
                **{f"{side}_ids": ids for side, (_, ids, _) in sides.items()},
                **{f"{side}_ce": ce for side, (_, _, ce) in sides.items()},
                "positive_model": None,
                "negative_model": None,
                "ce_beta": None,
                "ce_plausibility": None,
                "seed": None,
            }
        )

    for i in range(len(data["prompt"])):
        _or_aside(found, lambda: take(i))  # noqa: B023


Side = tuple[
    tuple[int, ...] | None, list[int] | None, list[float] | None
]  # prompt, response, scores


def _side(
    tokenizer: "PreTrainedTokenizerBase | None", prompt: str, response: str, scores: Any, name: str
) -> Side:
    """Token ids of a side of a pair, and its scores if it has any and they line up."""
    if not isinstance(scores, dict):
        raise Unfit("a row of prob_result that is no object")
    scored = scores.get(name)
    if scored is None:
        ids = _ids(tokenizer, prompt, response)
        return (tuple(ids[0]), ids[1], None) if ids else (None, None, None)
    if tokenizer is None:
        raise Unfit("a scored pair, and no --tokenizer to line its scores up")
    if not isinstance(scored, dict):
        raise Unfit("scores that are no object")
    ce, start = scored.get("ce_prob"), scored.get("response_start_idx")
    tokens = [int(i) for i in tokenizer(_text(scored, "text")).input_ids]
    if not isinstance(ce, list) or not all(
        isinstance(score, int | float) and 0 <= score <= 1 for score in ce
    ):
        raise Unfit("scores outside of [0, 1]")
    if len(ce) != len(tokens) - 1:
        raise Unfit("scores for another number of tokens than the tokenizer makes")
    if not isinstance(start, int) or not 0 < start < len(tokens):
        raise Unfit("a response that starts outside of its text")
    for first in (start, start + 1):  # counted among the tokens, or among the scores
        if _decoded(tokenizer, tokens[first:]) == response.strip():
            return (
                tuple(tokens[:first]),
                tokens[first:],
                [float(score) for score in ce[first - 1 :]],
            )
    raise Unfit("scores whose tokens are not those of the response")


def _ids(
    tokenizer: "PreTrainedTokenizerBase | None", prompt: str, response: str
) -> tuple[list[int], list[int]] | None:
    """Prompt and response in token ids, the response tokenised where it stands."""
    if tokenizer is None:
        return None
    before = [int(i) for i in tokenizer(prompt).input_ids]
    whole = [int(i) for i in tokenizer(prompt + response).input_ids]
    if (
        whole[: len(before)] == before
        and _decoded(tokenizer, whole[len(before) :]) == response.strip()
    ):
        return before, whole[len(before) :]
    return before, [int(i) for i in tokenizer(response, add_special_tokens=False).input_ids]


def _decoded(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int]) -> str:
    from ctm_eval.models import decode

    return decode(tokenizer, ids).strip()


def _text(entry: Any, key: str, index: int | None = None) -> str:
    value = entry.get(key) if isinstance(entry, dict) else None
    value = value[index] if index is not None and isinstance(value, list) else value
    if not isinstance(value, str):
        raise Unfit(f"a row without a text {key!r}")
    if not _encodable(value):
        raise Unfit("a text with halves of characters")
    return value


def _encodable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def _or_aside(found: Released, take: Callable[[], None]) -> None:
    try:
        take()
    except Unfit as reason:
        found.set_aside[str(reason)] += 1
