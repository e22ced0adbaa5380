"""`ctm show`: wires options to `ctm_data.show`."""

from pathlib import Path
from typing import Annotated

import typer

from ctm_cli._options import AsJson, Run, refuse_beside
from ctm_cli._output import answer

EXAMPLES = """Examples:

ctm show runs/pocket

ctm show runs/pocket --id pocket-test-0-000003-017 --at 12

ctm show runs/pocket --svg critical-token.svg --width 80
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("show", epilog=EXAMPLES)(command)


def command(
    run: Run,
    ctx: typer.Context,
    solution_id: Annotated[
        str | None,
        typer.Option(
            "--id", help="solution_id. [default: the one whose critical token costs most]"
        ),
    ] = None,
    at: Annotated[
        int | None,
        typer.Option(help="Show this token, by its position from 0. [default: the critical one]"),
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Width in columns. [default: the terminal's]")
    ] = None,
    svg: Annotated[Path | None, typer.Option(help="Write the picture to this SVG file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a wrong solution, each token coloured by the chance of still reaching the right answer.

    The curve of these chances is drawn below it.
    """
    from rich.console import Console

    from ctm_data.pages.heat_map import NARROWEST
    from ctm_data.show import show, shown, write_svg

    if svg is not None:
        write_svg(run, svg, solution_id, at=at, width=96 if width is None else width)
        answer({"svg": str(svg)}, as_json=as_json, render=lambda: print(svg))
        return
    if as_json:
        refuse_beside(ctx, "--json", unused=("at", "width"))
    console = Console(width=max(Console().width, NARROWEST) if width is None else width)
    # Sixteen colours are too few for a scale, so digits are shown instead.
    colour = console.color_system in ("256", "truecolor") and not console.no_color

    def render() -> None:
        picture = show(run, solution_id, at=at, width=console.width, colour=colour)
        console.print(picture, highlight=False)

    answer(shown(run, solution_id) if as_json else None, as_json=as_json, render=render)
