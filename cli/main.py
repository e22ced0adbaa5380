"""The entry point of `ctm`: collects the commands, and turns errors into one line and an exit code."""

import os
import sys
import time
import warnings
from errno import EDQUOT, ENOSPC, EPIPE
from io import TextIOWrapper
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
    report,
    runs,
    sandbox,
    score,
    show,
    train,
    verify,
    view,
)

INTERRUPTED = 130
PATIENCE = 10  # seconds, in which a launcher ends the processes of a call that one of them refused

app = typer.Typer(
    name="ctm",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    build_dataset,
    show,
    report,
    view,
    runs,
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
    sandbox,
):
    module.add_to(app)


EVERYWHERE = ("--quiet", "--verbose", "--debug")


def _ours_first(arguments: list[str]) -> list[str]:
    """The options that hold for every command, in front, wherever they stand."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    ours = [argument for argument in arguments[:end] if argument in EVERYWHERE]
    rest = [argument for argument in arguments[:end] if argument not in EVERYWHERE]
    return [*ours, *rest, *arguments[end:]]


TEXTS = ("--system", "--explain")  # options whose value may be an empty text


def _refuse_empty(arguments: list[str]) -> None:
    """Refuses an empty word, as of a shell variable that is not set; as a path it would be this folder."""
    for number, word in enumerate(arguments):
        name = word.removesuffix("=")
        before = arguments[max(0, number - 2) : number]
        if word == "" and not {*before} & {*TEXTS}:
            told = f"after {before[-1]}" if before else "where a command belongs"
        elif word != name and word.startswith("--") and name not in TEXTS:
            told = f"for {name}"
        else:
            continue
        from ctm_eval.errors import CtmError

        raise CtmError(f"there is an empty word {told}; give a value, or leave it out", usage=True)


def _stdout_is_gone(error: OSError) -> bool:
    """Whether stdout takes no more. Python is then kept from trying it again at its end."""
    if sys.stdout is None:
        return False
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    # A stream that holds nothing back has nothing to try again.
    return error.errno in (ENOSPC, EDQUOT, EPIPE) and error.filename is None


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
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show what the libraries say and their progress bars.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Find critical tokens in wrong solutions; label them, publish them, and train on them.

    The options below may also stand after a command's name.
    """
    if debug:
        os.environ["CTM_DEBUG"] = "1"
    if quiet:
        os.environ["CTM_QUIET"] = "1"
    _libraries(verbose)


def _libraries(verbose: bool) -> None:
    """Keeps the libraries' bars and notes away from ours, or asks for all of them."""
    if verbose:
        import logging

        logging.basicConfig(level=logging.INFO)
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "info")
        os.environ.setdefault("DATASETS_VERBOSITY", "info")
        return
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore", "Cannot enable progress bars")
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers|peft|trl")


def run() -> None:
    """Runs `ctm`. Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted."""
    # Spinning idle threads would take a core from other processes.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, TextIOWrapper
        ):  # a terminal of Latin-1 has no blocks to draw a curve with
            stream.reconfigure(errors="replace")
    try:
        os.getcwd()
    except FileNotFoundError:
        print("ctm: the current folder has been deleted; go to another one", file=sys.stderr)
        sys.exit(1)
    try:
        _refuse_empty(sys.argv[1:])
        code = app(_ours_first(sys.argv[1:]), prog_name="ctm", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()  # a full disk is told below, not by Python at its end
        if code == INTERRUPTED:
            print("ctm: interrupted; run the same command again to resume", file=sys.stderr)
        sys.exit(code)
    except Exception as error:
        from ctm_eval.errors import EXTRAS, CtmError, missing
        from ctm_eval.printable import printable_lines
        from ctm_train.errors import TrainError

        if os.environ.get("CTM_DEBUG"):
            raise
        if os.environ.get("LOCAL_RANK", "0") != "0":
            time.sleep(PATIENCE)  # of many processes, the first says it
        if isinstance(error, OSError) and _stdout_is_gone(error):
            if isinstance(error, BrokenPipeError):  # who reads has enough
                sys.exit(1)
            print(
                f"ctm: cannot write the output: {error.strerror or error}; free some space there, or send "
                "it elsewhere",
                file=sys.stderr,
            )
            sys.exit(1)
        if isinstance(error, OSError) and error.filename is not None and error.strerror:
            told = printable_lines(str(error.filename))
            print(
                f"ctm: cannot use {told}: {error.strerror}; mend that or name another",
                file=sys.stderr,
            )
            sys.exit(1)
        if isinstance(error, CtmError | TrainError):
            print(f"ctm: {printable_lines(str(error))}", file=sys.stderr)
            sys.exit(2 if error.usage else 1)
        if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
            print(f"ctm: {missing(error.name)}", file=sys.stderr)
            sys.exit(1)
        wrong_call = getattr(error, "format_message", None)  # what typer's own errors have
        if wrong_call is not None:
            said = printable_lines(" ".join(wrong_call().replace("Value error, ", "").split()))
            advised = (
                type(error) is typer.BadParameter or "Did you mean" in said or "(Possible" in said
            )
            if not advised and getattr(error, "ctx", None):
                said = f"{said.rstrip('.')}; see `{error.ctx.command_path} -h`"  # type: ignore[attr-defined]
            print(f"ctm: {said}", file=sys.stderr)
            sys.exit(2)
        advice = "run `ctm --debug ...` to see the traceback"
        said = printable_lines(str(error))
        print(f"ctm: {type(error).__name__}: {said} ({advice})", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run()
