"""What a server's answers say. Nothing in them is taken on trust: ValueError says that one is no answer."""

from typing import Any

import numpy as np

from ctm_eval.engines.base import FinishReason

ENDED: dict[str, FinishReason] = {
    "length": "length",
    "stop": "stop",
    "eos_token": "stop",
    "content_filter": "stop",
}


def choice_of(answer: Any) -> Any:
    """The one choice that was asked for."""
    choices = getattr(answer, "choices", None)
    if not choices:
        raise ValueError("it holds no choice")
    return choices[0]


def ended(choice: Any) -> FinishReason:
    """Why a completion ended. Raises ValueError if the server broke it off."""
    reason = ENDED.get(choice.finish_reason)
    if reason is None:
        raise ValueError(f"it ended by {choice.finish_reason!r}")
    return reason


def token_ids(told: Any) -> tuple[int, ...]:
    """Token ids as told. Raises ValueError if they are none."""
    fits = isinstance(told, list) and all(type(i) is int and 0 <= i < 1 << 31 for i in told)
    if not fits:
        raise ValueError("it holds no token ids")
    return tuple(told)


def prompt_logprobs(
    answer: Any, start: int, count: int, top: int | None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The ids and log-probabilities of the `top` tokens, or all, at `count` positions from `start` on.

    Raises ValueError if the server did not give them.
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
        except (AttributeError, KeyError, TypeError):
            raise ValueError("its prompt_logprobs are of another form") from None
        if not near:
            raise ValueError("its prompt_logprobs are empty")
        ids, logprobs = zip(*near, strict=True)
        found.append((np.array(ids, dtype=np.int64), np.array(logprobs, dtype=np.float64)))
    return found
