"""Results on stdout: text for people, one JSON value for programs, and suggested next commands."""

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctm_data.run.store import Store


def answer(value: Any, *, as_json: bool, render: Callable[[], None]) -> None:
    """Prints `value` as JSON, or lets `render` print it for a person."""
    if as_json:
        print(json.dumps(value, default=str))
    else:
        render()


def say(text: Any = "", *, wrap: bool = True) -> None:
    """Prints a line, or anything that rich can draw. Text is printed as is, without markup or colours."""
    from rich.console import Console

    Console().print(text, highlight=False, markup=False, soft_wrap=not wrap)


def next_steps(*commands: str) -> None:
    """Prints the commands that a user is likely to want next."""
    say("\nNext:\n" + "\n".join(f"  {command}" for command in commands), wrap=False)


def tell_set_aside(store: "Store") -> None:
    """Lists on stderr the damaged parts that were set aside and computed again."""
    for name in store.set_aside:
        where = store.folder / "set-aside"
        print(f"{name} was damaged: moved to {where} and computed again", file=sys.stderr)
