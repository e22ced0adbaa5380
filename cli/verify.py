"""`ctm verify`: wires options to `ctm_data.verify`."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from ctm_cli._options import AsJson, Revision

EXAMPLES = """Examples:

ctm verify runs/pocket

ctm verify user/name --revision v1 --json
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("verify", epilog=EXAMPLES)(command)


def command(
    run: Annotated[
        str, typer.Argument(help="Run folder, or user/name on the Hub.", show_default=False)
    ],
    revision: Revision = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Tokenizer to decode ids. [default: that of the run's model]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a run against its manifest, and its tables for consistency. Exits with 1 if a check fails."""
    from ctm_data.verify import verify

    report = verify(run, revision=revision, tokenizer=tokenizer)
    if as_json:
        checks = [asdict(check) for check in report.checks]
        print(json.dumps({"run": report.run, "ok": report.ok, "checks": checks}))
    else:
        for check in report.checks:
            said = f"skipped: {check.skipped}" if check.skipped else f"{check.looked_at:,} checked"
            bad = f", {check.failed:,} wrong" if check.failed else ""
            print(f"{'FAIL' if check.failed else '  ok'}  {check.name} ({said}{bad})")
            for failure in check.failures:
                print(f"        {failure}")
    if not report.ok:
        raise typer.Exit(1)
