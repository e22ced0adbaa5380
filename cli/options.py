"""Options that recur, spelled once."""

from pathlib import Path
from typing import Annotated

import typer


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
        help="A YAML recipe with these options by name; flags win over it.",
    ),
]
Model = Annotated[str, typer.Option(help="A Hub id, a local folder, or the built-in pocket.")]
Run = Annotated[Path, typer.Argument(help="A run folder.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same rows.")]
Revision = Annotated[
    str | None, typer.Option(help="A branch, tag or commit on the Hub. [default: main]")
]
