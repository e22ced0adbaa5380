"""What an option is: a field of a configuration, its help and panel, and whether the rows depend on it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from ctm_eval.errors import CtmError

BOUNDED = ("n_samples", "n_rollouts")  # a seed is held for each, of every problem in a chunk
MOST = 1_000_000


@dataclass(frozen=True)
class Option:
    """How a field appears on the command line, and whether it belongs to a run's recipe.

    `flag` is the name of the option if it differs from the field's name. With `negated`, the option sets a
    boolean field to False.
    """

    help: str
    panel: str
    recipe: bool = True
    flag: str | None = None
    short: str | None = None
    negated: bool = False
    metavar: str | None = None


def options(kind: type[Any]) -> list[tuple[str, Option]]:
    """The fields of a configuration with their options, in the order of definition.

    A field without an option is a constant of the recipe.
    """
    hints = get_type_hints(kind, include_extras=True)
    found = []
    for one in fields(kind):
        marks = getattr(hints[one.name], "__metadata__", ())
        option = next((mark for mark in marks if isinstance(mark, Option)), Option("", ""))
        found.append((one.name, option))
    return found


def spelled(kind: type[Any], name: str) -> str:
    """The command line spelling of a field, such as `--max-new-tokens`."""
    flag = dict(options(kind))[name].flag or name
    return "--" + flag.replace("_", "-")


def choices(annotation: Any) -> tuple[str, ...]:
    """The values of a Literal, also inside Annotated, Optional and tuple; () for any other type."""
    if get_origin(annotation) is Literal:
        return tuple(get_args(annotation))
    inner = (
        get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
    )
    return tuple(value for part in inner for value in choices(part))


def check_choices(config: Any) -> None:
    hints = get_type_hints(type(config), include_extras=True)
    for name, _ in options(type(config)):
        known, value = choices(hints[name]), getattr(config, name)
        given = value if isinstance(value, tuple | list) else () if value is None else (value,)
        if known and (unknown := [one for one in given if one not in known]):
            raise CtmError(
                f"unknown {spelled(type(config), name)} {unknown[0]!r}; there are: {', '.join(known)}",
                usage=True,
            )


def check_counts(config: Any, names: Sequence[str]) -> None:
    for name in names:
        number = getattr(config, name)
        if number is not None and number < 1:
            raise CtmError(
                f"{spelled(type(config), name)} must be 1 or more, not {number}", usage=True
            )
        if name in BOUNDED and number is not None and number > MOST:
            raise CtmError(
                f"{spelled(type(config), name)} is at most {MOST:,}, not {number:,}", usage=True
            )
