"""Options that recur, spelled once; and the options of a configuration, made from its fields."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from ctm_data.config import Config as Configuration
from ctm_data.config import Option, options


def _from_file(ctx: typer.Context, path: Path | None) -> Path | None:
    """Takes defaults from a recipe file; options on the command line win over it."""
    if path is None:
        return None
    import yaml

    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise typer.BadParameter(f"cannot read {path}: {str(error).splitlines()[0]}") from error
    if not isinstance(recipe, dict):
        raise typer.BadParameter(f"{path} is not a list of `option: value` lines")
    known = {parameter.name for parameter in ctx.command.params}
    recipe = {str(name).replace("-", "_"): value for name, value in recipe.items()}
    if unknown := sorted(set(recipe) - known):
        raise typer.BadParameter(f"{path} names unknown options: {', '.join(unknown)}")
    ctx.default_map = {**(ctx.default_map or {}), **recipe}
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        callback=_from_file,
        is_eager=True,
        help="YAML file with any of these options by name; options given here win over it.",
    ),
]
Run = Annotated[Path, typer.Argument(help="Run folder.", show_default=False)]
RunOrRepo = Annotated[
    str, typer.Argument(help="Run folder, or user/name on the Hub.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value to stdout.")]
Seed = Annotated[int, typer.Option(help="Random seed. The same seed gives the same rows.")]
Revision = Annotated[
    str | None, typer.Option(help="Branch, tag or commit on the Hub. [default: main]")
]
Device = Annotated[
    str | None,
    typer.Option(help="Torch device: cpu, cuda, … [default: cuda where there is one]"),
]
Unisolated = Annotated[
    bool,
    typer.Option("--allow-unisolated", help="Run programs even where they cannot be isolated."),
]


def with_options_of(kind: type[Configuration]) -> Callable[[Callable[..., None]], Any]:
    """Gives a command the options of a configuration: it is called with one made from what was typed.

    The command's first parameter is the configuration; its others stay options of their own.
    """

    def decorate(command: Callable[..., None]) -> Any:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
        hints = get_type_hints(kind, include_extras=True)
        made = [(name, *_parameter(name, hints[name], option, kind))
                for name, option in options(kind) if option.panel]  # fmt: skip

        def called(**given: Any) -> None:
            typed = {name: given.pop(parameter.name) for name, parameter, _ in made}
            fields = {
                name: convert(typed[name]) for name, _, convert in made if typed[name] is not None
            }
            command(kind(**fields), **given)

        every = [*(parameter for _, parameter, _ in made), *own]
        called.__doc__ = command.__doc__
        called.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in every}
        return called

    return decorate


def _parameter(
    name: str, annotation: Any, option: Option, kind: type[Configuration]
) -> tuple[inspect.Parameter, Callable[[Any], Any]]:
    """An option of typer for a field, and how what is typed becomes the field's value."""
    of = get_args(annotation)[0]
    default = getattr(kind, name)
    convert: Callable[[Any], Any] = _same
    flags = [] if option.short is None else [f"--{name.replace('_', '-')}", f"--{option.short}"]
    if option.negated:
        name, default, convert = str(option.flag).replace("-", "_"), not default, _opposite
        flags = [f"--{option.flag}"]
    elif of == bool | None:
        flags = [f"--{name}/--no-{name}"]
    elif name == "few_shot":
        flags = ["--few-shot", "--n-shot"]
    elif of is bool:
        flags = [f"--{name.replace('_', '-')}"]
    elif of == str | tuple[str, ...]:
        of, default, convert = list[str] | None, None, tuple
    elif name == "stages":
        of, default, convert = str, ",".join(default), _split
    elif name == "shard":
        of, convert = str | None, _shard
    made = typer.Option(
        *flags,
        help=option.help.replace("[", r"\["),
        rich_help_panel=option.panel,
        metavar=option.metavar,
    )
    parameter = inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=default,
        annotation=Annotated[of, made],
    )
    return parameter, convert


def _same(value: Any) -> Any:
    return value


def _opposite(value: bool) -> bool:
    return not value


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _shard(text: str) -> tuple[int, int]:
    first, _, second = text.partition("/")
    if not (first.isdigit() and second.isdigit()):
        raise typer.BadParameter(f"--shard takes I/N, such as 0/2, not {text!r}")
    return int(first), int(second)
