"""What a server's answers say. Nothing in them is taken on trust: ValueError says that one is no answer."""

from typing import Any

import numpy as np

from ctm_eval.engines.base import FinishReason

ROUNDING = 1e-3  # by which probabilities may miss a sum of 1: half precision
ENDED: dict[str, FinishReason] = {
    "length": "length",
    "stop": "stop",
    "eos_token": "stop",  # this and the next are those of text-generation-inference
    "stop_sequence": "stop",
    "content_filter": "stop",
}


def choice_of(answer: Any) -> Any:
    """The choice that was asked for, the first of several."""
    choices = getattr(answer, "choices", None)
    if not isinstance(choices, list) or not choices or not hasattr(choices[0], "finish_reason"):
        raise ValueError("it holds no choice")
    return choices[0]


def ended(choice: Any) -> FinishReason:
    """Why a completion ended. Raises ValueError if the server broke it off."""
    told = choice.finish_reason
    reason = ENDED.get(told) if isinstance(told, str) else None
    if reason is None:
        raise ValueError(f"it ended by {told!r}")
    return reason


def text_of(choice: Any, *, chat: bool) -> str:
    """The text of a completion; a turn of a chat may have none. Raises ValueError for anything else."""
    text = (
        getattr(getattr(choice, "message", None), "content", 0)
        if chat
        else getattr(choice, "text", 0)
    )
    if text is None and chat:
        return ""
    if not isinstance(text, str):
        raise ValueError("it holds no text")
    return text


def cached_of(answer: Any) -> int:
    """How many tokens of the prompt the server had from before, if it says so."""
    details = getattr(getattr(answer, "usage", None), "prompt_tokens_details", None)
    cached = getattr(details, "cached_tokens", None)
    return cached if type(cached) is int and cached > 0 else 0


def token_ids(told: Any, vocabulary: int) -> tuple[int, ...]:
    """Token ids as told. Raises ValueError if they are none of a vocabulary."""
    if not isinstance(told, list) or not all(type(i) is int for i in told):
        raise ValueError("it holds no token ids")
    if not all(0 <= i < vocabulary for i in told):
        raise ValueError(f"it holds token ids beyond the vocabulary of {vocabulary}")
    return tuple(told)


def prompt_logprobs(
    answer: Any, start: int, count: int, top: int | None, vocabulary: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The ids and log-probabilities of the `top` tokens, or all, at `count` positions from `start` on.

    Raises ValueError if the server did not give them, or they cannot be log-probabilities.
    """
    told = getattr(choice_of(answer), "prompt_logprobs", None)
    if not isinstance(told, list) or len(told) != start + count:
        raise ValueError("it holds no prompt_logprobs")
    found = []
    for entries in told[start:]:
        # The token of the prompt is among them, whatever its rank.
        try:
            near = [
                (int(token), float(one["logprob"]))
                for token, one in entries.items()
                if top is None or one["rank"] <= top
            ]
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            raise ValueError("its prompt_logprobs are of another form") from None
        if not near:
            raise ValueError("its prompt_logprobs are empty")
        ids, logprobs = (np.array(own) for own in zip(*near, strict=True))
        with np.errstate(over="ignore"):
            mass = np.exp(logprobs).sum()
        if not (ids.min() >= 0 and ids.max() < vocabulary and mass <= 1 + ROUNDING):
            raise ValueError("its prompt_logprobs are no log-probabilities of its tokens")
        if top is None and mass < 1 - ROUNDING:
            raise ValueError("its prompt_logprobs leave out tokens")
        found.append((ids, logprobs))
    return found
