"""`ctm sandbox`: wires options to `ctm_eval.sandbox`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctm_cli._options import AsJson, Unisolated
from ctm_cli._output import answer, say

if TYPE_CHECKING:
    from ctm_eval.sandbox.self_check import SelfCheck

EXAMPLES = """Examples:

ctm sandbox --self-check

ctm sandbox program.py
"""
LONGEST = 1 << 20  # bytes of a program


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("sandbox", epilog=EXAMPLES)(command)


def command(
    program: Annotated[
        Path | None, typer.Argument(help="Python file to run.", show_default=False)
    ] = None,
    self_check: Annotated[
        bool, typer.Option("--self-check", help="Say what the sandbox holds on this machine.")
    ] = False,
    allow_unisolated: Unisolated = False,
    as_json: AsJson = False,
) -> None:
    """Run a program in the sandbox, or check on this machine what the sandbox promises.

    The check runs programs that mean harm, one for each promise. The exit code is 1 if one does not hold.
    """
    from ctm_cli._progress import Progress
    from ctm_data.run.files import read_bounded
    from ctm_eval.errors import CtmError
    from ctm_eval.sandbox import Program, Sandbox
    from ctm_eval.sandbox.self_check import CHECKS
    from ctm_eval.sandbox.self_check import self_check as check

    if self_check == (program is not None):
        raise CtmError("give a program to run, or --self-check", usage=True)
    if program is not None:
        code = read_bounded(program, LONGEST).decode("utf-8", "replace")
        with Sandbox(1, isolate=not allow_unisolated) as sandbox:
            outcome = sandbox.run([Program(code)])[0]

        def render() -> None:
            say(outcome.stdout, wrap=False)
            say(f"{outcome.status} {outcome.detail}".strip(), wrap=False)

        answer(asdict(outcome), as_json=as_json, render=render)
        raise typer.Exit(0 if outcome.status == "passed" else 1)
    with Progress("programs/s") as progress:
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress("checking", done, len(CHECKS), done)

        found = check(advance)
    answer({**asdict(found), "ok": found.ok}, as_json=as_json, render=lambda: _show(found))
    raise typer.Exit(0 if found.ok else 1)


def _show(found: "SelfCheck") -> None:
    words = {True: "  ok", False: "FAIL", None: "   –"}
    for verdict in found.verdicts:
        detail = f": {verdict.detail}" if verdict.detail else ""
        say(f"{words[verdict.holds]}  {verdict.attacks}: {verdict.name}{detail}", wrap=False)
    held = sum(bool(verdict.holds) for verdict in found.verdicts)
    say(f"\n{held} of {len(found.verdicts)} hold on this machine", wrap=False)
    if found.not_isolated is not None:
        say(found.not_isolated, wrap=False)
