"""A rolled-out solution as a heat map: each token coloured by the chance that it still ends well."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ctm_data.pages.curve import curve
from ctm_data.pages.palette import INK, STEPS, UNSEEN, step
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError
from ctm_eval.printable import printable

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

NARROWEST = 20  # columns


def heat_map(
    store: Store,
    solution_id: str | None = None,
    *,
    at: int | None = None,
    width: int = 100,
    colour: bool = True,
) -> "Group":
    """The heat map of a rolled-out solution of a run, for rich to print in `width` columns.

    Without `solution_id`, the one whose critical token costs most. Without `colour`, a row of digits under
    each line says the same: tenths of the value, `^` under the critical token. `at` is the position of a
    token, from 0, to tell of instead of the critical one. Raises CtmError if the run has no such solution
    or token.
    """
    from rich.console import Group
    from rich.text import Text

    if width < NARROWEST:
        raise CtmError(f"--width must be {NARROWEST} or more, not {width}", usage=True)
    row = trajectory(store, solution_id)
    if at is not None and not 0 <= at < len(row["pieces"]):
        raise CtmError(
            f"--at must be 0 to {len(row['pieces']) - 1}, the position of a token of "
            f"{row['solution_id']}, not {at}",
            usage=True,
        )
    problem = _find(store, "problems", "problem_id", row["problem_id"])
    solution = _find(store, "solutions", "solution_id", row["solution_id"])
    heading = Text(printable(problem["question"]), style="bold")
    answers = Text(
        f"right answer {printable(problem['answer'])} · this solution says "
        f"{printable(str(solution['answer']))} · {row['solution_id']}",
        style="dim",
    )
    return Group(
        heading,
        answers,
        Text(),
        *_lines(row, width, colour, at, solution["thought_end"]),
        Text(),
        _legend(colour, "the critical token" if at is None else f"token at {at}"),
        *_place(solution["thought_end"], row["critical_index"] if at is None else at),
        *(_explanation(row) if at is None else _token(row, at)),
        Text(),
        *curve(row, width),
    )


def picture(
    store: Store, solution_id: str | None = None, *, at: int | None = None, width: int = 96
) -> str:
    """The heat map as an SVG, which loads nothing from the network. Arguments and errors as above."""
    from io import StringIO

    from rich.console import Console
    from rich.terminal_theme import MONOKAI

    console = Console(
        record=True, width=width, file=StringIO(), force_terminal=True, color_system="truecolor",
        legacy_windows=False,
    )  # fmt: skip
    console.print(heat_map(store, solution_id, at=at, width=width), highlight=False)
    svg = console.export_svg(title="ctm show", theme=MONOKAI, unique_id="ctm")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def trajectory(store: Store, solution_id: str | None = None) -> dict[str, Any]:
    """A row of `rollouts`: that of a solution, or the one whose critical token costs most.

    Raises CtmError if there is none, saying why.
    """
    if not store.parts("rollouts"):
        raise CtmError(f"{store.name} has no rolled-out solutions: {_why_none(store)}")
    columns = ["solution_id", "prompt_value", "value", "critical_index"]
    each = (row for part in store.each("rollouts", columns) for row in part.to_pylist())
    if solution_id is None:
        solution_id = max(each, key=_drop)["solution_id"]
    elif all(row["solution_id"] != solution_id for row in each):
        names = [
            name for part in store.each("rollouts", columns[:1]) for name in part[0].to_pylist()
        ]
        raise CtmError(
            f"{store.name} has no rolled-out solution {solution_id!r}; it has {len(names)}, such as "
            f"{', '.join(names[:5])}",
            usage=True,
        )
    return _find(store, "rollouts", "solution_id", solution_id)


def _why_none(store: Store) -> str:
    """Why a run has no values, and how to get some."""
    import pyarrow.compute as pc

    right = wrong = 0
    for part in store.each("solutions", ["correct"]):
        right += pc.sum(part["correct"]).as_py() or 0
        wrong += len(part)
    wrong -= right
    if store.manifest["recipe"].get("command") == "eval":
        return (
            f"it is an evaluation ({right:,} right, {wrong:,} wrong), and `ctm build-dataset` makes them; "
            f"`ctm eval --summary {store.name}` prints its figures"
        )
    if not right + wrong:
        return "nothing is sampled yet; run the command that made it again"
    if not wrong:
        return "every sampled one was correct; sample more, or at a higher --temperature"
    return (
        f"its {wrong:,} wrong ones are still to be rolled out, or have no answer that can be rolled out; "
        "run its `ctm build-dataset` again with --stages rollouts"
    )


def _find(store: Store, table: str, key: str, value: str) -> dict[str, Any]:
    import pyarrow.compute as pc

    for part in store.each(table):
        rows = part.filter(pc.field(key) == value).to_pylist()
        if rows:
            return dict(rows[0])
    raise CtmError(f"{store.name} has no {table} row {value!r}: parts of it are missing")


def _drop(row: dict[str, Any]) -> float:
    """By how much the critical token lowers the value; -1 where there is none."""
    index = row["critical_index"]
    if index is None:
        return -1.0
    return (_before(row, index) or 0.0) - (row["value"][index] or 0.0)


def _lines(
    row: dict[str, Any],
    width: int,
    colour: bool,
    at: int | None = None,
    thought_end: int | None = None,
) -> Iterator["Text"]:
    """The solution's lines, wrapped between tokens; under each its digits if there is no colour.

    A thought, of `thought_end` tokens, and the answer behind it each stand under a line of their own.
    """
    from rich.cells import cell_len
    from rich.text import Text

    line, below = Text(), ""
    if thought_end:
        yield _rule("thought", width)
    for index, (piece, value) in enumerate(zip(row["pieces"], row["value"], strict=True)):
        critical = index == (row["critical_index"] if at is None else at)
        text = printable(piece.strip("\n"))
        if index == thought_end:
            yield from _line(line, below, colour)
            line, below = Text(), ""
            yield _rule("answer", width)
        if line.cell_len + cell_len(text) > width:
            yield from _line(line, below, colour)
            line, below, text = Text(), "", text.lstrip(" ")
        line.append(text, style=_style(value, critical))
        size = cell_len(text)
        mark = "^" * size if critical else _digit(value).rjust(min(size, 2)).ljust(size)
        below += mark if size else ""
        if "\n" in piece:
            yield from _line(line, below, colour)
            line, below = Text(), ""
    yield from _line(line, below, colour)


def _rule(name: str, width: int) -> "Text":
    """A line across the picture with the name of what stands under it."""
    from rich.text import Text

    return Text(f"── {name} ".ljust(width, "─"), style="dim")


def _legend(colour: bool, marked: str) -> "Text":
    from rich.text import Text

    legend = Text("probability that it still ends well: ", style="dim")
    if not colour:
        legend.append(f"0 to 9 tenths, # certain, ? not looked at, ^ {marked}")
        return legend
    legend.append("0% ")
    for ground in STEPS:
        legend.append("  ", style=f"on {ground}")
    legend.append(" 100%   ")
    legend.append(marked, style="bold underline")
    return legend


def _explanation(row: dict[str, Any]) -> Iterator["Text"]:
    """What the critical token does, and what replacing it does."""
    from rich.text import Text

    index = row["critical_index"]
    if index is None:
        yield Text(f"No token is marked under the rule {row['rule']!r}.")
        return
    yield _told("Critical token", row, index)
    passes = row["replacement_pass_at_k"]
    if not passes:
        yield Text("The policy can draw no other token in its place.")
        return
    shown = ", ".join(f"pass@{1 << i} {_percent(p)}" for i, p in enumerate(passes) if i % 2 == 0)
    yield Text(f"With another token drawn in its place: {shown}.")
    for replacement in row["replacements"][:5]:
        yield Text(
            f"  {printable(replacement['piece'])!r:>12} instead: right in "
            f"{replacement['n_correct']} of {replacement['n_rollouts']}",
            style="dim",
        )


def _place(thought_end: int | None, index: int | None) -> Iterator["Text"]:
    """Whether the token at `index` is part of a thought, if there is one."""
    from rich.text import Text

    if thought_end and index is not None:
        yield Text(f"The token is part of the {'thought' if index < thought_end else 'answer'}.")


def _told(what: str, row: dict[str, Any], index: int) -> "Text":
    """A token, and the chance of a right answer before and after it."""
    from rich.text import Text

    piece, before, after = row["pieces"][index], _before(row, index), row["value"][index]
    return Text(
        f"{what}: {printable(piece)!r}, at position {index} (of 0 to {len(row['pieces']) - 1}). The chance "
        f"of a right answer is {_percent(before)} before it and {_percent(after)} after it "
        f"({_interval(row['value_low'][index], row['value_high'][index])})."
    )


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "nobody looked"
    if low == high:
        return "exact: nothing else can be drawn from here on"
    return f"95% interval {_percent(low)} to {_percent(high)}"


def _token(row: dict[str, Any], index: int) -> Iterator["Text"]:
    """What was measured at one token."""
    from rich.text import Text

    yield _told("Token", row, index)
    yield Text(
        f"The policy draws exactly this token with probability {row['keep_prob'][index]:.1%}."
    )
    if row["critical_prob"] is not None:
        prob = row["critical_prob"][index]
        yield Text(f"It is the critical token with probability {_percent(prob)}.")
    where = "that drew another token here" if row["estimator"].startswith("branch") else "after it"
    rollouts, right = row["n_rollouts"][index] or 0, row["n_correct"][index] or 0
    yield Text(f"{rollouts} rollouts {where}; {right} of them ended right.")
    if index == row["critical_index"]:
        yield from _explanation(row)


def _before(row: dict[str, Any], index: int) -> float | None:
    return row["value"][index - 1] if index else row["prompt_value"]


def _line(line: "Text", below: str, colour: bool) -> Iterator["Text"]:
    from rich.text import Text

    if line.cell_len:
        yield line
        if not colour:
            yield Text(below.rstrip())


def _style(value: float | None, critical: bool) -> str:
    ground = UNSEEN if value is None else STEPS[step(value)]
    return f"{'bold underline ' if critical else ''}{INK} on {ground}"


def _digit(value: float | None) -> str:
    """Tenths of the value, rounded down: 0 to 9, and # for a value of 1; ? if nobody looked."""
    if value is None:
        return "?"
    return "#" if value >= 1 else str(int(value * 10))


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"
