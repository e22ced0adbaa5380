"""`ctm view`: wires options to `ctm_data.view`."""

import sys
from contextlib import suppress
from typing import Annotated

import typer

from ctm_cli._options import AsJson, Compare, Run
from ctm_cli._output import answer, say

EXAMPLES = """Examples:

ctm view runs/pocket

ctm view runs/pocket --port 8080

ctm view runs/eval-after --compare runs/eval-before
"""


def add_to(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("view", epilog=EXAMPLES)(command)


def command(
    run: Run,
    port: Annotated[
        int, typer.Option(help="Port on loopback. [default: a free one]", min=0, max=65535)
    ] = 0,
    compare: Compare = None,
    as_json: AsJson = False,
) -> None:
    """Serve the page of a run on this machine, for runs too large for one file; ctrl-C ends it.

    Nothing can be changed through it, and no other machine can reach it.
    """
    from threading import Event

    from ctm_data.view import view

    def say_where() -> None:
        say(f"{server.url}  (ctrl-C ends it)", wrap=False)

    with view(run, port=port, compare=compare) as server, suppress(KeyboardInterrupt):
        answer({"url": server.url}, as_json=as_json, render=say_where)
        sys.stdout.flush()
        Event().wait()
