"""`ctm publish`: wires options to `ctm_data.publish`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctm_cli._options import AsJson
from ctm_cli._output import answer, next_steps

if TYPE_CHECKING:
    from ctm_data.publish import Publication

EXAMPLES = """Examples:

ctm publish runs/pocket user/name --dry-run

ctm publish runs/pocket user/name --private

ctm publish runs/pocket user/name --revision v2 --no-report

ctm publish models/cdpo user/name
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("publish", epilog=EXAMPLES)(command)


def command(
    run: Annotated[
        Path,
        typer.Argument(help="Folder of a run or of a trained model.", show_default=False),
    ],
    repo: Annotated[str, typer.Argument(help="user/name on the Hub.", show_default=False)],
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(help="Branch to publish to. [default: main]")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show the files and the card without contacting the Hub."),
    ] = False,
    report: Annotated[
        bool,
        typer.Option(
            "--report/--no-report",
            help="Publish the page of `ctm report` with a run, if it is not too large.",
        ),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Publish a finished run or a trained model on the Hugging Face Hub, with its card, in one commit.

    Text that others added to a dataset card is kept. Log in with `hf auth login`, or set HF_TOKEN.
    """
    from ctm_cli._progress import Progress
    from ctm_data.publish import publish

    with Progress(unit="bytes/s") as progress:
        done = publish(
            run,
            repo,
            private=private,
            revision=revision,
            dry_run=dry_run,
            report=report,
            progress=progress,
        )
    value: dict[str, Any] = {
        "repo": done.repo,
        "revision": done.revision,
        "url": done.url,
        "files": done.files,
    }
    if dry_run:
        value["card"] = done.card
    answer(value, as_json=as_json, render=lambda: _show(done, dry_run))


def _show(done: "Publication", dry_run: bool) -> None:
    from ctm_eval.printable import printable, printable_lines

    if dry_run:
        for name, size in done.files.items():
            print(f"{size:>12,}  {printable(name)}")
        print(f"\n{printable_lines(done.card)}")
        return
    print(f"{len(done.files)} files, {sum(done.files.values()):,} bytes: {done.url}")
    if "manifest.json" in done.files:
        next_steps(f"ctm query --name top-critical-tokens --repo {done.repo}")
