"""Commands as typed, each in a process of its own that has the heavy packages imported already.

Python needs up to eight seconds to import torch, transformers and trl, and the tests type some hundred
commands. So the processes here are forks of one that has only imported packages of others, never ours.
Each has its own arguments, environment, folder and output, and can be killed. Variables that packages read
while they are imported (`HF_HOME`, `HF_ENDPOINT`) come too late for them: commands that need those want
`subprocess`.
"""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CTM = "from ctm_cli.main import run; run()"

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "transformers.models.llama.modeling_llama",
        "transformers.trainer",
        "trl.trainer.dpo_trainer",
        "trl.trainer.sft_trainer",
        "peft",
        "scipy.stats",
        "sympy",
    ]
)


class Typed:
    """A started command or program."""

    def __init__(self, code: str, *words: Any, cwd: Any = None, **environment: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._output = [Path(self._folder.name) / name for name in ("stdout", "stderr")]
        for path in self._output:
            path.touch()
        arguments = (code, list(map(str, words)), str(cwd or Path.cwd()), environment, self._output)
        self._process = _context.Process(target=_run, args=arguments)
        self._process.start()
        self.pid = self._process.pid

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return self._output[0].read_text()

    @property
    def stderr(self) -> str:
        """What it has said on stderr so far."""
        return self._output[1].read_text()

    @property
    def returncode(self) -> int | None:
        """The exit code, minus the signal if one ended it, None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int | None:
        """Waits for its end, at most so many seconds; returns the exit code, None if it still runs."""
        self._process.join(timeout)
        return self.returncode

    def interrupt(self) -> None:
        """Sends what Ctrl-C sends."""
        os.kill(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """Ends it as `kill -9` does, and waits until it is gone."""
        self._process.kill()
        self._process.join()


def ctm(
    *words: Any, cwd: Any = None, timeout: float = 300, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Types `ctm` with these words: its output, errors and exit code."""
    return python(CTM, *words, cwd=cwd, timeout=timeout, COLUMNS="100", NO_COLOR="1", **environment)


def python(
    code: str, *words: Any, cwd: Any = None, timeout: float = 300, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end: its output, errors and exit code."""
    typed = Typed(code, *words, cwd=cwd, **environment)
    code_ = typed.wait(timeout)
    if code_ is None:
        typed.kill()
        raise subprocess.TimeoutExpired(list(map(str, words)), timeout, typed.stdout, typed.stderr)
    return subprocess.CompletedProcess(list(map(str, words)), code_, typed.stdout, typed.stderr)


def _run(
    code: str, words: list[str], cwd: str, environment: dict[str, str], output: list[Path]
) -> None:
    for number, path in enumerate(output, 1):
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in the background
    os.chdir(cwd)
    os.environ.update(environment)
    sys.argv = ["-c", *words]
    try:
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    finally:
        atexit._run_exitfuncs()  # such a process ends without
