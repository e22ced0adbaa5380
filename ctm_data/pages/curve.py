"""The value curve of a rolled-out solution, drawn with the block characters of a terminal."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.text import Text

BLOCKS = " ▁▂▃▄▅▆▇█"
ROWS = 4  # lines of the picture, eight steps each
AXIS = 5  # columns before it: "100% "


def curve(row: Mapping[str, Any], width: int) -> Iterator["Text"]:
    """The value after every token as bars from 0% to 100%, in at most `width` columns.

    Where there are more tokens than columns, a column shows the lowest value of its tokens. Under the
    bars, `▲` is the critical token and `-` the run of tokens that holds it with 90% probability.
    """
    from rich.text import Text

    values, at = row["value"], row["critical_index"]
    run = range(0)
    if row.get("critical_low") is not None and row.get("critical_high") is not None:
        run = range(row["critical_low"], row["critical_high"] + 1)
    per = -(-len(values) // max(1, width - AXIS))  # tokens in a column
    columns = [range(i, min(i + per, len(values))) for i in range(0, len(values), per)]
    heights = [_height([values[i] for i in column]) for column in columns]
    for line in reversed(range(ROWS)):
        label = {ROWS - 1: "100%", 0: "0%"}.get(line, "")
        bars = "".join("?" if h is None and not line else _block(h, line) for h in heights)
        yield Text(f"{label:>{AXIS - 1}} {bars}".rstrip())
    marks = "".join(
        "▲" if at in column else "-" if any(i in run for i in column) else " " for column in columns
    )
    if marks.strip():
        yield Text(" " * AXIS + marks.rstrip(), style="bold")
    said = "a column is a token" if per == 1 else f"a column is {per} tokens, the lowest value"
    yield Text(f"{'':{AXIS}}value after each token, 0 to {len(values) - 1}; {said}", style="dim")


def _height(values: list[float | None]) -> int | None:
    """The lowest known value, in eighths of a line; None where nobody looked."""
    known = [value for value in values if value is not None]
    return round(min(known) * ROWS * (len(BLOCKS) - 1)) if known else None


def _block(height: int | None, line: int) -> str:
    steps = len(BLOCKS) - 1
    return BLOCKS[max(0, min(steps, (height or 0) - line * steps))]
