"""Options that several commands share, and options generated from the fields of a configuration."""

import inspect
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from ctm_cli import _completion
from ctm_data.config import Config as Configuration
from ctm_data.options import Option, options
from ctm_eval.errors import CtmError
from ctm_eval.printable import printable

LONGEST = 1 << 20  # bytes of a recipe file
NESTED = (dict, list, set, tuple)


def _from_file(ctx: typer.Context, path: Path | None) -> Path | None:
    """Takes defaults from a recipe file; options on the command line override it."""
    if path is None:
        return None
    import yaml

    from ctm_data.run.files import read_bounded

    try:
        recipe = yaml.safe_load(read_bounded(path, LONGEST).decode("utf-8")) or {}
    except CtmError as error:
        raise typer.BadParameter(printable(str(error))) from error
    except UnicodeError as error:
        raise typer.BadParameter(f"cannot read {path}: it is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        raise typer.BadParameter(
            f"cannot read {path}: {line}{printable(str(error.problem))}"
        ) from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise typer.BadParameter(f"cannot read {path}: {printable(reason)}") from error
    if not isinstance(recipe, dict):
        raise typer.BadParameter(f"{path} is not a list of `option: value` lines")
    known = {parameter.name: parameter for parameter in ctx.command.params}
    recipe = {str(name).replace("-", "_"): value for name, value in recipe.items()}
    if unknown := sorted(recipe.keys() - known.keys()):
        raise typer.BadParameter(f"{path} names unknown options: {printable(', '.join(unknown))}")
    for name, value in recipe.items():
        if name == "template_args" and isinstance(value, dict):
            inside = list(value.values())
        else:
            inside = value if isinstance(value, list) else [value]
        if any(isinstance(one, NESTED) for one in inside):  # by aliases, lists without end
            raise typer.BadParameter(f"{path}: {name} must be one value, or a list of values")
        if isinstance(value, dict):
            recipe[name] = json.dumps(value, default=str)
        elif getattr(known[name], "multiple", False) and value is not None:
            recipe[name] = inside
    ctx.default_map = {**(ctx.default_map or {}), **recipe}
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        callback=_from_file,
        is_eager=True,
        help="YAML file that sets any of these options by name; options on the command line win.",
    ),
]
Run = Annotated[
    Path,
    typer.Argument(help="Run folder.", show_default=False, autocompletion=_completion.run_folders),
]
RunOrRepo = Annotated[
    str,
    typer.Argument(
        help="Run folder, or user/name on the Hub.",
        show_default=False,
        autocompletion=_completion.run_folders,
    ),
]
Compare = Annotated[
    Path | None,
    typer.Option(
        help="Another run: show the changes from it to RUN, on the problems of both.",
        autocompletion=_completion.run_folders,
    ),
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
Merge = Annotated[
    list[Path] | None,
    typer.Option(
        help="Merge finished shards instead; repeat the option for each shard's folder.",
        rich_help_panel="Running",
    ),
]


Metrics = Annotated[
    Path | None,
    typer.Option(
        help="Add a JSON line to this file every second: units done, tokens a second, tokens from a cache, "
        "seconds left; with a server, requests in flight and retries.",
        rich_help_panel="Running",
    ),
]
ReportTo = Annotated[
    list[str] | None,
    typer.Option(
        help="Send the figures of --metrics to this experiment tracker, such as trackio or wandb. May be "
        "repeated.",
        rich_help_panel="Running",
    ),
]


def refuse_beside(
    ctx: typer.Context, option: str, *, unused: Collection[str] = (), used: Collection[str] = ()
) -> None:
    """Refuses what was typed beside `option` and would be ignored: these parameters, or all but `used`."""
    for parameter in ctx.command.params:
        name = str(parameter.name)
        ignored = name in unused if unused else name not in used
        source = ctx.get_parameter_source(name)
        if ignored and source is not None and source.name == "COMMANDLINE":
            typed = parameter.opts[0] if parameter.opts[0].startswith("-") else name.upper()
            raise CtmError(f"{option} does not use {typed}: leave it out", usage=True)


PANELS = ("Model", "Benchmark", "Prompt", "Sampling", "Rollouts", "Contrast", "Verifier", "Choosing",
          "Running")  # fmt: skip


def with_options_of(kind: type[Configuration]) -> Callable[[Callable[..., None]], Any]:
    """Gives a command one option for each field of a configuration.

    The decorated command receives the configuration, made from the options that the user typed, as its
    first parameter. Its other parameters remain options of their own.
    """

    def decorate(command: Callable[..., None]) -> Any:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
        hints = get_type_hints(kind, include_extras=True)
        shown = [(name, option) for name, option in options(kind) if option.panel]
        shown.sort(key=lambda pair: PANELS.index(pair[1].panel))
        made = [(name, *_parameter(name, hints[name], option, kind)) for name, option in shown]

        def called(**given: Any) -> None:
            typed = {name: given.pop(parameter.name) for name, parameter, _ in made}
            fields = {
                name: convert(typed[name]) for name, _, convert in made if typed[name] is not None
            }
            command(kind(**fields), **given)

        every = [*(parameter for _, parameter, _ in made), *own]
        every.sort(key=lambda parameter: parameter.default is not inspect.Parameter.empty)
        called.__doc__ = command.__doc__
        called.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in every}
        return called

    return decorate


def _parameter(
    name: str, annotation: Any, option: Option, kind: type[Configuration]
) -> tuple[inspect.Parameter, Callable[[Any], Any]]:
    """The typer option of a field, and the function that converts what is typed to the field's value."""
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
    elif name == "pass_rate":
        of, convert = str | None, _pass_rate
    elif name == "think_tags":
        of, convert = str | None, _think_tags
    elif name == "template_args":
        of, convert = str | None, _json_object
    made = typer.Option(
        *flags,
        help=option.help,
        autocompletion=_completed(name),
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


def _completed(name: str) -> Callable[[str], list[str]] | None:
    """What the shell completes the values of an option with, beside those of a choice."""
    if name == "benchmark":
        return _completion.of(_completion.benchmark_names)
    return _completion.run_folders if name in ("output_dir", "compare", "verifier") else None


def _same(value: Any) -> Any:
    return value


def _opposite(value: bool) -> bool:
    return not value


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _pass_rate(text: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(":"))
    except ValueError:
        raise typer.BadParameter(
            f"--pass-rate takes LOW:HIGH, such as 0.05:0.95, not {text!r}"
        ) from None
    return low, high


def _think_tags(text: str) -> tuple[str, str]:
    tags = text.split(",")
    if len(tags) != 2 or not all(tags):
        raise typer.BadParameter(
            f"--think-tags takes OPEN,CLOSE, such as '<think>,</think>', not {text!r}"
        )
    return tags[0], tags[1]


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise typer.BadParameter(
            f"--template-args takes a JSON object, such as '{{\"enable_thinking\": false}}', not {text!r}"
        )
    return value


def _shard(text: str) -> tuple[int, int]:
    first, _, second = text.partition("/")
    if not (first.isdigit() and second.isdigit()):
        raise typer.BadParameter(f"--shard takes I/N, such as 0/2, not {text!r}")
    return int(first), int(second)
