"""`ctm show`: wires options to `ctm_data.show`."""

from typing import Annotated

import typer

from ctm_cli._options import Run

EXAMPLES = """Examples:

ctm show runs/pocket

ctm show runs/pocket --id pocket-test-0-000003-017 --width 80
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("show", epilog=EXAMPLES)(command)


def command(
    run: Run,
    solution_id: Annotated[
        str | None,
        typer.Option(
            "--id", help="solution_id. [default: the one whose critical token costs most]"
        ),
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Width in columns. [default: the terminal's]")
    ] = None,
) -> None:
    """Show a wrong solution, each token coloured by the chance of still reaching the right answer."""
    from rich.console import Console

    from ctm_data.show import show

    console = Console(width=width)
    # Sixteen colours are too few for a scale, so digits are shown instead.
    colour = console.color_system in ("256", "truecolor") and not console.no_color
    console.print(show(run, solution_id, width=console.width, colour=colour), highlight=False)
