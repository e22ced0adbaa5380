"""The entry point of `ctm`: collects the commands, and turns errors into one line and an exit code."""

import os
import sys
from typing import Annotated

import typer

from ctm_cli import (
    build_dataset,
    compare,
    eval,
    export,
    grade,
    imports,
    publish,
    pull,
    query,
    score,
    show,
    train,
    verify,
)

INTERRUPTED = 130

app = typer.Typer(
    name="ctm",
    help="Find critical tokens in wrong solutions; label them, publish them, and train on them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    build_dataset,
    show,
    grade,
    compare,
    train,
    eval,
    score,
    query,
    publish,
    pull,
    imports,
    export,
    verify,
):
    module.add_to(app)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("ctm"))
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    if debug:
        os.environ["CTM_DEBUG"] = "1"


def run() -> None:
    """Runs `ctm`. Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted."""
    # The Hub client's progress bars would mix with ours. Spinning idle threads would take a core from
    # other processes.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:
            print("ctm: interrupted; run the same command again to resume", file=sys.stderr)
        sys.exit(code)
    except Exception as error:
        from ctm_eval.errors import EXTRAS, CtmError, missing
        from ctm_train.errors import TrainError

        if os.environ.get("CTM_DEBUG"):
            raise
        if isinstance(error, CtmError | TrainError):
            print(f"ctm: {error}", file=sys.stderr)
            sys.exit(2 if error.usage else 1)
        if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
            print(f"ctm: {missing(error.name)}", file=sys.stderr)
            sys.exit(1)
        wrong_call = getattr(error, "format_message", None)  # what typer's own errors have
        if wrong_call is not None:
            print(f"ctm: {wrong_call().replace('Value error, ', '')}", file=sys.stderr)
            sys.exit(2)
        advice = "run `ctm --debug ...` to see the traceback"
        print(f"ctm: {type(error).__name__}: {error} ({advice})", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run()
