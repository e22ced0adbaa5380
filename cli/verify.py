"""`ctm verify`: wires options to `ctm_data.verify`."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ctm_cli._options import AsJson, Revision, RunOrRepo
from ctm_cli._output import answer

if TYPE_CHECKING:
    from ctm_data.verify import Check

EXAMPLES = """Examples:

ctm verify runs/pocket

ctm verify user/name --revision v1 --json
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("verify", epilog=EXAMPLES)(command)


def command(
    run: RunOrRepo,
    revision: Revision = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Tokenizer to decode ids. [default: that of the run's model]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a run against its manifest, and its tables for consistency. Exits with 1 if a check fails."""
    from ctm_data.verify import verify

    verified = verify(run, revision=revision, tokenizer=tokenizer)
    answer(
        {"run": verified.run, "ok": verified.ok, "checks": [asdict(c) for c in verified.checks]},
        as_json=as_json,
        render=lambda: _show(verified.checks),
    )
    if not verified.ok:
        raise typer.Exit(1)


def _show(checks: "list[Check]") -> None:
    for check in checks:
        said = f"skipped: {check.skipped}" if check.skipped else f"{check.looked_at:,} checked"
        bad = f", {check.failed:,} wrong" if check.failed else ""
        print(f"{'FAIL' if check.failed else '  ok'}  {check.name} ({said}{bad})")
        for failure in check.failures:
            print(f"        {failure}")
