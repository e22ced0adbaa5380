"""What a model should have written where a stop string ended its solution: the solution, then EOS.

A base model ends a solution by going on to the next exercise, and a stop string (`prompts.STOP`) cuts it
there. Sampled token ids and text keep the stop string; whoever learns from the solution or judges it
takes it without the stop string and what follows, and with an end-of-sequence token instead.
"""

from collections.abc import Sequence
from typing import Any

from ctm_eval import prompts
from ctm_eval.models import decode
from ctm_eval.types import Solution

LAST_TOKEN = 16  # characters that the token which completes a stop string may bring along


def target_text(solution: Solution, stop: Sequence[str] | None = None) -> str:
    """The text of a solution without the stop string that ended it; any other text as it is.

    `stop` are the strings that end a solution, by default `prompts.STOP`.
    """
    text = solution.text
    if solution.finish_reason != "stop":
        return text
    found = [
        at
        for mark in (prompts.STOP if stop is None else stop)
        if (at := text.find(mark)) >= 0 and len(text) - at - len(mark) <= LAST_TOKEN
    ]
    return text[: min(found)] if found else text


def target(
    solution: Solution, tokenizer: Any, stop: Sequence[str] | None = None
) -> tuple[list[int], str]:
    """The token ids and the text that a model learns from a solution.

    Where a stop string ended it, its tokens are kept as far as they spell the text before the stop
    string; what a token holds of that text and of the stop string alike is encoded anew, and EOS ends
    it. Any other solution is what was sampled: it ends with EOS if it drew one.
    """
    ids, text = list(solution.token_ids), target_text(solution, stop)
    if text == solution.text:
        return ids, text
    kept = len(ids)
    while not text.startswith(decode(tokenizer, ids[:kept])):
        kept -= 1
    rest = text[len(decode(tokenizer, ids[:kept])) :]
    new = list(tokenizer(rest, add_special_tokens=False).input_ids) if rest.strip() else []
    if decode(tokenizer, [*ids[:kept], *new]) != text:
        new = []  # a tokenizer that puts a blank before whatever it encodes
    ids = [*ids[:kept], *new]
    return [*ids, tokenizer.eos_token_id], decode(tokenizer, ids)


def aligned(
    values: Sequence[float], token_ids: Sequence[int], target_ids: Sequence[int]
) -> list[float]:
    """One value a token of `target_ids`, from one a token of the sampled `token_ids`.

    Tokens that both begin with keep theirs. EOS stands for all that was cut off and has the sum of its
    values; tokens that were encoded anew have 0.
    """
    same = (a == b for a, b in zip(token_ids, target_ids, strict=False))
    shared = next(
        (i for i, equal in enumerate(same) if not equal), min(len(token_ids), len(target_ids))
    )
    if shared == len(token_ids) == len(target_ids):
        return list(values)
    return [*values[:shared], *[0.0] * (len(target_ids) - shared - 1), sum(values[shared:])]
