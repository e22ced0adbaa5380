"""`ctm runs`: wires options to `ctm_data.runs`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctm_cli._options import AsJson
from ctm_cli._output import answer, next_steps, say, typed

if TYPE_CHECKING:
    from ctm_data.runs import RunListing

EXAMPLES = """Examples:

ctm runs

ctm runs /data/experiments --json
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("runs", epilog=EXAMPLES)(command)


def command(
    folder: Annotated[Path, typer.Argument(help="Folder that holds runs.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List the run folders in a folder, with what each holds."""
    from ctm_data.runs import list_runs

    runs = list_runs(folder)
    answer([asdict(run) for run in runs], as_json=as_json, render=lambda: _show(folder, runs))


def _show(folder: Path, runs: "list[RunListing]") -> None:
    from rich.table import Table

    from ctm_eval.printable import printable

    if not runs:
        say(f"There is no run in {folder}.")
        next_steps(f"ctm build-dataset --output-dir {typed(folder / 'pocket')}")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("run", "what", "model", "benchmark", "rows", "MB"):
        table.add_column(name, justify="right" if name == "MB" else "left", overflow="fold")
    for run in runs:
        held = ", ".join(f"{count:,} {table}" for table, count in run.rows.items())
        if run.fault is not None:
            held = run.fault
        elif not run.finished:
            held = f"{held or 'nothing yet'}; not finished"
        cells = (run.run, run.kind, run.model, run.benchmark, held)
        table.add_row(*map(printable, cells), f"{run.size / 1e6:.1f}")
    say(table)
