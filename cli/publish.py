"""`ctm publish`: wires options to `ctm_data.publish`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ctm_cli._options import AsJson

EXAMPLES = """Examples:

ctm publish runs/pocket user/name --dry-run

ctm publish runs/pocket user/name --private

ctm publish runs/pocket user/name --revision v2

ctm publish models/cdpo user/name
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("publish", epilog=EXAMPLES)(command)


def command(
    run: Annotated[
        Path,
        typer.Argument(help="Folder of a run, or of a trained model.", show_default=False),
    ],
    repo: Annotated[str, typer.Argument(help="user/name on the Hub.", show_default=False)],
    private: Annotated[
        bool, typer.Option("--private", help="For you alone, if the repository is new.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(help="The branch to publish to. [default: main]")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the files and the card; ask the Hub nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Publish a finished run, or a trained model, on the Hugging Face Hub with its card, in one commit.

    What others wrote in a dataset's card that is there stays. Log in with `hf auth login`, or set HF_TOKEN.
    """
    from ctm_cli._progress import Progress
    from ctm_data.publish import publish
    from ctm_eval.printable import printable, printable_lines

    with Progress(unit="bytes/s") as progress:
        done = publish(
            run, repo, private=private, revision=revision, dry_run=dry_run, progress=progress
        )
    if as_json:
        said = {"repo": done.repo, "revision": done.revision, "url": done.url, "files": done.files}
        print(json.dumps({**said, "card": done.card} if dry_run else said))
        return
    if dry_run:
        for name, size in done.files.items():
            print(f"{size:>12,}  {printable(name)}")
        print(f"\n{printable_lines(done.card)}")
        return
    print(f"{len(done.files)} files, {sum(done.files.values()):,} bytes: {done.url}")
    if "manifest.json" in done.files:
        print(f"\nNext:\n  ctm query --name top-critical-tokens --repo {done.repo}")
