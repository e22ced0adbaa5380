"""`ctm score`: wires options to `ctm_data.score`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ctm_cli import _completion
from ctm_cli._options import AsJson, Device, refuse_beside
from ctm_cli._output import answer
from ctm_eval.verifiers import Pool

EXAMPLES = """Examples:

ctm score runs/eval-pocket --verifier models/orm

ctm score solutions.jsonl --verifier models/simpo --out scores.jsonl
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("score", epilog=EXAMPLES)(command)


def command(
    ctx: typer.Context,
    data: Annotated[
        Path,
        typer.Argument(
            help="Run folder, or JSONL or Parquet file with `question` and `solution`.",
            autocompletion=_completion.run_folders,
        ),
    ],
    verifier: Annotated[Path, typer.Option(help="Verifier: a folder that `ctm train` wrote.")],
    pool: Annotated[
        Pool | None,
        typer.Option(help="How an orm or prm pools token scores. [default: last; prm: min]"),
    ] = None,
    device: Device = None,
    out: Annotated[
        Path | None, typer.Option(help="When scoring a file: write here. [default: stdout]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score solutions with a verifier; higher is better.

    The scores of a run are added to its `scores` table. The rows of a file are printed as JSON lines, each
    with its score.
    """
    from ctm_cli._progress import Progress
    from ctm_data.run.store import is_run_folder
    from ctm_data.score import score_file, score_run
    from ctm_eval.data_files import writable
    from ctm_eval.output_file import output_file

    if is_run_folder(data):
        refuse_beside(ctx, "a run, whose scores are a table of it,", unused=("out",))
        with Progress() as progress:
            store = score_run(data, verifier, pool=pool, device=device, progress=progress)
        count = sum(part.num_rows for part in store.each("scores", ["score"]))
        told = {"run": str(data), "scores": count}
        answer(
            told, as_json=as_json, render=lambda: print(f"{count:,} scores in {data / 'scores'}")
        )
        return
    if out is not None:
        writable(out)
    with Progress() as progress:
        lines = (
            json.dumps(row, ensure_ascii=False) + "\n"
            for row in score_file(data, verifier, pool=pool, device=device, progress=progress)
        )
        if out is None:
            sys.stdout.writelines(lines)
            return
        with output_file(out) as file:
            file.writelines(line.encode() for line in lines)
    answer({"file": str(out)}, as_json=as_json, render=lambda: None)
