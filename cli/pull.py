"""`ctm pull`: wires options to `ctm_data.pull`."""

from pathlib import Path
from typing import Annotated

import typer

from ctm_cli._options import AsJson, Revision
from ctm_cli._output import answer, next_steps, typed

EXAMPLES = """Examples:

ctm pull user/name

ctm pull s3://bucket/run --output-dir runs/here

ctm pull user/name --revision v1 --output-dir runs/v1

ctm pull Lin1557/Critical-Tokens-Matter-Train-Data --tokenizer meta-llama/Meta-Llama-3-8B
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("pull", epilog=EXAMPLES)(command)


def command(
    repo: Annotated[
        str,
        typer.Argument(help="user/name on the Hub, or s3://bucket/run.", show_default=False),
    ],
    output_dir: Annotated[
        Path | None, typer.Option(help="Run folder. [default: runs/NAME]")
    ] = None,
    revision: Revision = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(help="Tokenizer for data in the authors' format, which has no token ids."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Download a run from the Hub or a bucket and check every part against its manifest.

    This also reads the data that the authors of Critical Tokens Matter released.
    """
    from ctm_data.pull import pull
    from ctm_data.run.store import Store
    from ctm_eval.printable import printable

    folder = pull(repo, output_dir, revision=revision, tokenizer=tokenizer)
    store = Store(folder)
    parts, aside = store.manifest["parts"], store.manifest["recipe"].get("set_aside", {})
    solutions = any(part.startswith("solutions/") for part in parts)

    def render() -> None:
        print(f"{len(parts)} {'part' if len(parts) == 1 else 'parts'} in {folder}")
        for reason, count in aside.items():
            print(f"set aside {count:,}: {printable(reason)}")
        asked = (
            "--name accuracy" if solutions else '"select chosen, rejected from contrast limit 3"'
        )
        next_steps(f"ctm verify {typed(folder)}", f"ctm query --run {typed(folder)} {asked}")

    told = {"run": str(folder), "parts": len(parts), "set_aside": aside}
    answer(told, as_json=as_json, render=render)
