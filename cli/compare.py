"""`ctm compare`: wires options to `ctm_data.compare`."""

import json
from dataclasses import asdict

import typer

from ctm_cli._options import AsJson, Run, Seed

EXAMPLES = """Examples:

ctm compare runs/pocket

ctm compare runs/pocket --json
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("compare", epilog=EXAMPLES)(command)


def command(run: Run, seed: Seed = 0, as_json: AsJson = False) -> None:
    """Measure how well contrastive estimation finds the critical tokens that rollouts find."""
    from rich.console import Console
    from rich.table import Table

    from ctm_data.compare import compare

    rows = compare(str(run), seed=seed)
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    rankings = list(dict.fromkeys(row.ranking for row in rows))
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for ranking in rankings:
        table.add_column(ranking, justify="right")
    for measure in dict.fromkeys(row.measure for row in rows):
        own = {row.ranking: row for row in rows if row.measure == measure}
        cells = [f"{own[r].mean:.3f} [{own[r].low:.3f}, {own[r].high:.3f}]" for r in rankings]
        table.add_row(measure, *cells)
    console = Console()
    console.print(table)
    console.print(
        f"\nMeans over {rows[0].n} wrong trajectories, with 95% bootstrap intervals.",
        highlight=False,
    )
