"""`ctm export`: wires options to `ctm_data.export`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ctm_cli._options import AsJson, Run
from ctm_cli._output import answer
from ctm_eval.steps import StepRule

EXAMPLES = """Examples:

ctm export runs/pocket --to trl-stepwise

ctm export runs/pocket --to pts --output pivotal.jsonl
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("export", epilog=EXAMPLES)(command)


def command(
    run: Run,
    to: Annotated[
        str,
        typer.Option(
            help="Format: trl-stepwise, prm800k, math-shepherd, pts or thought-anchors; or dpo or lm-eval.",
            show_default=False,
        ),
    ],
    output: Annotated[Path | None, typer.Option(help="File. [default: FORMAT.jsonl]")] = None,
    steps: Annotated[
        StepRule, typer.Option(help="How to cut solutions that have no steps yet.")
    ] = "lines",
    as_json: AsJson = False,
) -> None:
    """Write a run's steps, pivotal tokens, pairs or samples as JSONL, in the format of another project."""
    from ctm_data.export import export
    from ctm_eval.printable import printable

    path = output or Path(f"{to}.jsonl")
    found = export(run, to, path, rule=steps)

    def render() -> None:
        print(f"{found.rows:,} rows in {path}")
        for reason, count in found.set_aside.items():
            print(f"set aside {count:,}: {printable(reason)}")

    answer({**asdict(found), "file": str(path)}, as_json=as_json, render=render)
