"""The sandbox: programs that a model wrote, run apart from everything.

>>> from ctm_eval.sandbox import Program, Sandbox
>>> with Sandbox() as sandbox:
...     sandbox.run([Program("def add(a, b): return a + b", ("assert add(1, 2) == 3",))])[0].status
'passed'

A warm server process is put into namespaces of its own (no network, no file but the standard library,
no process but its programs) and forks for every program a child without rights, with limits of time,
memory and size and an empty folder that is gone with it. `docs/eval.md` says what holds it.
"""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Literal, cast, get_args

from ctm_eval.errors import CtmError
from ctm_eval.grading.workers import WorkerLost, WorkerPool

Status = Literal["passed", "failed", "timeout", "refused", "unparsed"]
MARGIN = 10.0  # seconds beyond a program's own limit before its server is given up


@dataclass(frozen=True)
class Limits:
    """What one program may use. CPU time decides on a time-out; the wall clock is for those that wait."""

    cpu_seconds: int = 10  # twice what the slowest reference of MBPP (mbpp-test-00123) took: 5.2 s
    wall_seconds: float = 60.0  # six programs may share a processor before it cuts CPU time short
    memory: int = 512 << 20  # bytes of address space
    file_bytes: int = 16 << 20  # of a file, and of the working folder
    output_bytes: int = 64 << 10
    threads: int = 16


@dataclass(frozen=True)
class Program:
    """A program and the statements that must run after it in the same module."""

    code: str
    tests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of a program.

    `passed`: it ran to its end and every test held. `failed`: an error, a failed test, or an early
    exit. `timeout`: a limit of time. `refused`: it wanted more than it is given (memory, disk, output,
    processes, the network). `unparsed`: not Python. `detail` says more; `stdout` is what it printed.
    `suspicious` says what an honest program would not have done, whatever the status (`SECURITY.md`).
    """

    status: Status
    detail: str = ""
    stdout: str = ""
    suspicious: str = ""


class Sandbox:
    """Warm servers that run programs, started when first asked. Use it in a `with`.

    `isolate=False` accepts the risk: limits and an empty folder, but the machine's files can be read.
    """

    def __init__(
        self, processes: int | None = None, *, isolate: bool = True, limits: Limits | None = None
    ) -> None:
        self.processes = processes or os.cpu_count() or 1
        self.limits = limits or Limits()
        # Nothing of our environment (tokens!) is passed on; a fixed hash seed makes the order of sets,
        # and so the verdict, the same every time.
        environment = {
            "PYTHONHASHSEED": "0",
            "LC_ALL": "C.UTF-8",
            "CTM_ISOLATE": str(int(isolate)),
            "CTM_LIMITS": json.dumps(asdict(self.limits)),
        }
        self._pool = WorkerPool("ctm_eval.sandbox.server", self.processes, environment)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.close()

    def run(
        self, programs: Sequence[Program], progress: Callable[[int], None] | None = None
    ) -> list[Outcome]:
        """The outcome of every program, in order. Raises CtmError if this machine cannot isolate them."""
        outcomes = []
        with ThreadPoolExecutor(self.processes, thread_name_prefix="sandbox") as threads:
            for outcome in threads.map(self._run, programs):
                outcomes.append(outcome)
                if progress:
                    progress(1)
        return outcomes

    def _run(self, program: Program) -> Outcome:
        request = {"code": program.code, "tests": program.tests}
        try:
            reply = self._pool.ask(request, self.limits.wall_seconds + MARGIN)
        except WorkerLost:
            return Outcome("refused", "it took the sandbox's server down")
        if isinstance(reply, dict) and isinstance(why := reply.get("cannot_isolate"), str):
            raise CtmError(
                f"this machine cannot isolate programs ({why}), and a model's "
                "programs are not run without; --allow-unisolated accepts the risk (limits hold, but "
                "files and the network of this machine are within their reach)"
            )
        return _outcome(reply)


def _outcome(reply: Any) -> Outcome:
    """A known status and texts, or `refused`."""
    match reply:
        case {
            "status": str(status),
            "detail": str(detail),
            "stdout": str(stdout),
            "suspicious": str(suspicious),
        } if status in get_args(Status):
            return Outcome(cast(Status, status), detail, stdout, suspicious)
    return Outcome("refused", "the sandbox's server gave no known answer")
