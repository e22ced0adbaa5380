"""Where a stop string ends a completion, whatever part of the completion was given as a prefix."""

from collections.abc import Callable, Sequence

STOP_TAIL = 32  # tokens decoded to look for a stop string
UNKNOWN = "\ufffd"  # what a part of a character reads as


class StopStrings:
    """Looks for stop strings. Only a token that may be the end of one costs more than a look-up."""

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str]) -> None:
        self.decode, self.stop = decode, stop
        self._ends = {mark[-1:] for mark in stop}
        self._near: dict[int, bool] = {}

    def near(self, token: int) -> bool:
        """Whether a stop string may be complete with this token: whether it holds the last character of
        one, or a part of a character."""
        known = self._near.get(token)
        if known is None:
            text = self.decode([token])
            # White space may be lost where a token stands alone.
            known = any(end in text or not end.strip() for end in self._ends) or UNKNOWN in text
            self._near[token] = known
        return known

    def has_stop(self, token_ids: Sequence[int]) -> bool:
        """Whether the last `STOP_TAIL` tokens of a completion hold a stop string."""
        return has_stop(self.decode, token_ids, self.stop)


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
