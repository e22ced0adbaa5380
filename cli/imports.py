"""`ctm import`: wires options to `ctm_data.imports`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ctm_cli._options import AsJson
from ctm_cli._output import answer, next_steps, typed

FORMATS = "trl-stepwise, prm800k, math-shepherd, pts, thought-anchors, forking-fast or tokenhd"
EXAMPLES = """Examples:

ctm import phase2_train.jsonl --from prm800k --output-dir runs/prm800k

ctm import codelion/Qwen3-0.6B-pts --from pts

ctm import tokenhd_math_train.jsonl --from tokenhd --tokenizer Qwen/Qwen3-1.7B
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("import", epilog=EXAMPLES)(command)


def command(
    data_file: Annotated[
        str,
        typer.Argument(
            help="JSONL or Parquet file, a folder of Parquet files, or a dataset on the Hub (USER/NAME).",
            show_default=False,
        ),
    ],
    kind: Annotated[str, typer.Option("--from", help=f"Format: {FORMATS}.", show_default=False)],
    output_dir: Annotated[
        Path | None, typer.Option(help="Run folder. [default: runs/FORMAT]")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="tokenhd: the tokenizer whose tokens have the scores.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read solutions with steps, pivotal tokens or thought anchors, checking every row.

    What does not fit is set aside and counted by reason.
    """
    from ctm_data.imports import import_steps
    from ctm_eval.printable import printable

    folder = output_dir or Path("runs") / kind
    found = import_steps(data_file, kind, folder, tokenizer=tokenizer)

    def render() -> None:
        print(
            f"{found.steps:,} steps in {found.solutions:,} solutions of {found.problems:,} problems; "
            f"the value rises after {found.rises:,} and falls after {found.falls:,}"
        )
        for reason, count in found.set_aside.items():
            print(f"set aside {count:,}: {printable(reason)}")
        next_steps(f"ctm verify {typed(folder)}", f"ctm export {typed(folder)} --to trl-stepwise")

    answer({**asdict(found), "folder": str(folder)}, as_json=as_json, render=render)
