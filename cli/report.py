"""`ctm report`: wires options to `ctm_data.report`."""

from pathlib import Path
from typing import Annotated

import typer

from ctm_cli._options import AsJson, Run
from ctm_cli._output import answer, say

EXAMPLES = """Examples:

ctm report runs/pocket

ctm report runs/pocket --output pocket.html --limit 200
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("report", epilog=EXAMPLES)(command)


def command(
    run: Run,
    output: Annotated[Path, typer.Option(help="HTML file.")] = Path("report.html"),
    limit: Annotated[
        int, typer.Option(help="Use only the N trajectories whose critical tokens cost most.")
    ] = 5000,
    as_json: AsJson = False,
) -> None:
    """Write a run as one HTML page to look at, which opens offline."""
    from ctm_data.report import report

    size = report(run, output, limit=limit)
    answer(
        {"report": str(output), "bytes": size},
        as_json=as_json,
        render=lambda: say(f"{output}: {size / 1e6:.1f} MB. Open it in a browser."),
    )
