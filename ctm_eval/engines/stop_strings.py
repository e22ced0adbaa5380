"""Where a stop string ends a completion, whatever part of the completion was given as a prefix."""

from collections.abc import Callable, Sequence

STOP_TAIL = 32  # tokens decoded to look for a stop string


def has_stop(
    decode: Callable[[Sequence[int]], str], token_ids: Sequence[int], stop: Sequence[str]
) -> bool:
    """Whether the last `STOP_TAIL` tokens of a completion hold a stop string."""
    if not stop or not token_ids:
        return False
    text = decode(list(token_ids[-STOP_TAIL:]))
    return any(mark in text for mark in stop)


def crossing(
    decode: Callable[[Sequence[int]], str],
    prefix: Sequence[int],
    drawn: Sequence[int],
    stop: Sequence[str],
) -> int | None:
    """After how many of the `drawn` tokens a stop string is complete that begins in the prefix.

    0 if the prefix holds it whole; None if there is none.
    """
    if not stop or not prefix:
        return None
    for count in range(min(STOP_TAIL, len(drawn) + 1)):
        if has_stop(decode, [*prefix[-STOP_TAIL:], *drawn[:count]], stop):
            return count
    return None
