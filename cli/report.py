"""`ctm report`: wires options to `ctm_data.report`."""

from pathlib import Path
from typing import Annotated

import typer

from ctm_cli._options import AsJson, Compare, Run, refuse_beside
from ctm_cli._output import answer, say

EXAMPLES = """Examples:

ctm report runs/pocket

ctm report runs/pocket --output pocket.html --limit 200

ctm report runs/eval-after --compare runs/eval-before

ctm report runs/pocket --figures figures
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("report", epilog=EXAMPLES)(command)


def command(
    run: Run,
    ctx: typer.Context,
    output: Annotated[Path, typer.Option(help="HTML file.")] = Path("report.html"),
    limit: Annotated[
        int,
        typer.Option(
            help="Use only the N trajectories whose critical tokens cost most, or the N problems of an "
            "evaluation with the fewest right samples."
        ),
    ] = 5000,
    compare: Compare = None,
    figures: Annotated[
        Path | None,
        typer.Option(
            help="Write the figures of the run into this folder instead, each as SVG and PNG, for a column "
            "and for a page, with its numbers as CSV.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a run or an evaluation as one HTML page to look at, which opens offline."""
    if figures is not None:
        refuse_beside(ctx, "--figures", unused=("output", "limit"))
        from ctm_data.report import write_figures

        names = write_figures(run, figures, compare=compare)
        answer(
            {"figures": [str(figures / name) for name in names]},
            as_json=as_json,
            render=lambda: say("\n".join(str(figures / name) for name in names), wrap=False),
        )
        return
    from ctm_data.report import report

    size = report(run, output, limit=limit, compare=compare)
    answer(
        {"report": str(output), "bytes": size},
        as_json=as_json,
        render=lambda: say(f"{output}: {max(size / 1e6, 0.1):.1f} MB. Open it in a browser."),
    )
