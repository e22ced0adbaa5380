"""Results on stdout: text for people, one JSON value for programs, and suggested next commands."""

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

from ctm_eval.printable import printable_lines

if TYPE_CHECKING:
    from ctm_data.run.store import Store

TRUNCATED = 0.05  # a larger share of cut-off samples is told


def answer(value: Any, *, as_json: bool, render: Callable[[], None]) -> None:
    """Prints `value` as JSON, or lets `render` print it for a person."""
    if as_json:
        print(json.dumps(value, default=str))
    else:
        render()


def say(text: Any = "", *, wrap: bool = True) -> None:
    """Prints a line, or anything that rich can draw. Text is printed without markup or colours; what it
    holds cannot steer the terminal."""
    from rich.console import Console
    from rich.segment import Segment, Segments

    console = Console()
    if isinstance(text, str):
        text = printable_lines(text.expandtabs())
    else:
        drawn = console.render(text)
        text = Segments([Segment(printable_lines(one.text), one.style) for one in drawn])
    console.print(text, highlight=False, markup=False, soft_wrap=not wrap)


def next_steps(*commands: str) -> None:
    """Prints the commands that a user is likely to want next."""
    say("\nNext:\n" + "\n".join(f"  {command}" for command in commands), wrap=False)


def typed(name: str | PathLike[str]) -> str:
    """A name as it is typed in a shell, in quotes where it needs them."""
    return shlex.quote(str(name))


def tell_truncated(
    truncated: int, unfinished: int, samples: int, recipe: Mapping[str, Any]
) -> None:
    """Warns on stderr if so many samples were cut off, in their answer or in their thought, that the
    figures are about the limit."""
    cut = truncated + unfinished
    if not samples or cut / samples <= TRUNCATED:
        return
    thinks = recipe.get("max_thinking_tokens") is not None
    if thinks and unfinished:
        longer = [f"--max-thinking-tokens (now {recipe['max_thinking_tokens']})"]
    else:
        longer = []
    if truncated or not longer:
        longer.append(f"--max-new-tokens (now {recipe.get('max_new_tokens')})")
    print(
        f"ctm: {cut:,} of {samples:,} samples ({cut / samples:.0%}) were cut off before their answer: "
        f"raise {' and '.join(longer)}",
        file=sys.stderr,
    )


def tell_set_aside(store: "Store") -> None:
    """Lists on stderr the damaged parts that were set aside and computed again."""
    for name in store.set_aside:
        where = f"{store.name}/set-aside"
        print(f"{name} was damaged: moved to {where} and computed again", file=sys.stderr)
