"""`ctm compare`: wires options to `ctm_data.compare`."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from ctm_cli._options import AsJson, Run, Seed
from ctm_cli._output import answer, say

if TYPE_CHECKING:
    from ctm_data.compare import Agreement

EXAMPLES = """Examples:

ctm compare runs/pocket

ctm compare runs/pocket --json
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("compare", epilog=EXAMPLES)(command)


def command(run: Run, seed: Seed = 0, as_json: AsJson = False) -> None:
    """Measure how well contrastive estimation finds the critical tokens that rollouts find."""
    from ctm_data.compare import compare

    rows = compare(str(run), seed=seed)
    answer([asdict(row) for row in rows], as_json=as_json, render=lambda: _show(rows))


def _show(rows: "list[Agreement]") -> None:
    from rich.table import Table

    rankings = list(dict.fromkeys(row.ranking for row in rows))
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for ranking in rankings:
        table.add_column(ranking, justify="right")
    for measure in dict.fromkeys(row.measure for row in rows):
        own = {row.ranking: row for row in rows if row.measure == measure}
        cells = [f"{own[r].mean:.3f} [{own[r].low:.3f}, {own[r].high:.3f}]" for r in rankings]
        table.add_row(measure, *cells)
    say(table)
    say(f"\nMeans over {rows[0].n} wrong trajectories, with 95% bootstrap intervals.")
