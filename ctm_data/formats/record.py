"""What every format says, in one shape: a solution, and steps of its text with values or labels."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
NOISE = 1e-6  # by which a difference of two probabilities may be off


class Unfit(ValueError):
    """A row that cannot be taken; the message is the reason it is counted under."""


@dataclass(frozen=True)
class Step:
    """A step: characters `start` to `end` of a solution's text, and what is known of it.

    `value` is the probability of a right answer after it, `value_before` before it; `label` says whether
    the step is right, `rating` is a human's (-1 bad, 0 neutral, 1 good). `token_id` is set where the step
    is one token.
    """

    start: int
    end: int
    value_before: float | None = None
    value: float | None = None
    label: bool | None = None
    rating: int | None = None
    token_id: int | None = None


@dataclass(frozen=True)
class Stepped:
    """A solution with steps. `answer` is the problem's gold answer; None where a format does not say."""

    question: str
    text: str
    steps: tuple[Step, ...]
    answer: str | None = None
    correct: bool | None = None
    model: str | None = None

    def pieces(self) -> list[str]:
        """The texts of the steps."""
        return [self.text[step.start : step.end] for step in self.steps]


@dataclass(frozen=True)
class Format:
    """A format: what reads rows (a record, or the reason why one cannot be taken), and what writes them."""

    name: str
    read: Callable[[Iterable[Row]], Iterator[Stepped | Unfit]]
    write: Callable[[Iterable[Stepped]], Iterator[dict[str, Any] | Unfit]]


def each(take: Callable[[Any], Any]) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """Over many what `take` does with one, an Unfit that it raises in the place of its result."""

    def over(items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            try:
                yield take(item)
            except Unfit as reason:
                yield reason

    return over


def joined(pieces: Sequence[str], between: str = "\n") -> tuple[str, list[tuple[int, int]]]:
    """The text that pieces make, and where each of them is. Raises Unfit for none or a blank one."""
    if not pieces or not all(piece.strip() for piece in pieces):
        raise Unfit("a solution without steps, or with a blank one")
    spans, start = [], 0
    for piece in pieces:
        spans.append((start, start + len(piece)))
        start += len(piece) + len(between)
    return between.join(pieces), spans


def text(row: Any, *path: str) -> str:
    """The text at a path of keys. Raises Unfit."""
    found = at(row, *path)
    if not isinstance(found, str) or not found.strip():
        raise Unfit(f"no text in {'.'.join(path)}")
    if any("\ud800" <= c <= "\udfff" for c in found):
        raise Unfit("a text with halves of characters")
    return found


def entries(row: Any, *path: str) -> list[Any]:
    """The list at a path of keys. Raises Unfit."""
    found = at(row, *path)
    if not isinstance(found, list):
        raise Unfit(f"no list in {'.'.join(path)}")
    return found


def at(row: Any, *path: str) -> Any:
    """What is at a path of keys; None where there is nothing."""
    for key in path:
        row = row.get(key) if isinstance(row, Mapping) else None
    return row


def probability(row: Any, key: str) -> float:
    """The probability in a field. Raises Unfit."""
    found = at(row, key)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise Unfit(f"no probability in {key}")
    if not 0 <= found <= 1:  # nor is it a number, if it is NaN
        raise Unfit(f"a {key} outside of [0, 1]")
    return float(found)


def follows(row: Any, key: str, difference: float, *, absolute: bool = False) -> None:
    """Raises Unfit if a field says another difference than its probabilities make."""
    said = at(row, key)
    if said is None:
        return
    if isinstance(said, bool) or not isinstance(said, int | float):
        raise Unfit(f"a {key} that is no number")
    meant = abs(difference) if absolute and said >= 0 else difference
    if not (-1 <= said <= 1 and abs(said - meant) <= NOISE):
        raise Unfit(f"a {key} that does not follow from its probabilities")


def hard(step: Step) -> bool:
    """Whether a step is right: its label, or whether a right answer can follow (arXiv 2312.08935, eq. 3).
    Raises Unfit where neither is known."""
    if step.label is not None:
        return step.label
    if step.value is None:
        raise Unfit("a step with neither label nor value")
    return step.value > 0
