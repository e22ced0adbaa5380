"""The sandbox's self-check: programs that mean harm, each with what has to come of it.

A user runs them (`ctm sandbox --self-check`) to know what their machine can promise. What a program does to
the machine must be nothing, so where programs cannot be isolated only the harmless ones are run, under the
limits that hold without isolation too.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ctm_eval.errors import CtmError
from ctm_eval.sandbox import Limits, Program, Sandbox, Status

SECRET, PLANTED = "CTM_PLANTED_SECRET", "hunter2"
# CPU time decides, and the time limits of the others are generous: a loaded machine changes no verdict.
SHORT = Limits(cpu_seconds=1, wall_seconds=3.0, memory=128 << 20)
PATIENT = Limits(cpu_seconds=100, wall_seconds=300.0, memory=128 << 20)
ADD = Program("def add(a, b):\n    return a + b", ("assert add(1, 2) == 3",))


@dataclass(frozen=True)
class Check:
    """A program, what it attacks, and the status that it must have. One that is `alone` can do no harm
    outside of isolation either."""

    name: str
    attacks: str
    code: str
    expected: Status
    alone: bool = False


@dataclass(frozen=True)
class Verdict:
    """Whether a check holds on this machine; None if it could not be run. `detail` says why not."""

    name: str
    attacks: str
    holds: bool | None
    detail: str = ""


@dataclass(frozen=True)
class SelfCheck:
    """The verdicts; `not_isolated` says why programs cannot be isolated, None where they can."""

    verdicts: list[Verdict]
    not_isolated: str | None

    @property
    def ok(self) -> bool:
        """Whether every check was run and holds."""
        return all(verdict.holds for verdict in self.verdicts)


def self_check(progress: Callable[[int], None] | None = None) -> SelfCheck:
    """Runs every check on this machine, each followed by a program that must pass."""
    reason = _cannot_isolate()
    with (
        _planted_secret(),
        Sandbox(1, isolate=reason is None, limits=SHORT) as short,
        Sandbox(1, isolate=reason is None, limits=PATIENT) as patient,
    ):
        verdicts = []
        for check in CHECKS:
            if reason is not None and not check.alone:
                verdict = Verdict(check.name, check.attacks, None, "needs isolation")
            else:
                verdict = _verdict(check, short if check.expected == "timeout" else patient)
            verdicts.append(verdict)
            if progress:
                progress(1)
    return SelfCheck(verdicts, reason)


def _verdict(check: Check, sandbox: Sandbox) -> Verdict:
    outcome, after = sandbox.run([Program(check.code, ("assert True",))])[0], sandbox.run([ADD])[0]
    wrong = []
    if outcome.status != check.expected:
        wrong.append(f"{outcome.status}, not {check.expected} ({outcome.detail})")
    if PLANTED in outcome.stdout + outcome.detail:
        wrong.append("a secret of the environment was read")
    if after.status != "passed":
        wrong.append(f"the program after it: {after.status}")
    return Verdict(check.name, check.attacks, not wrong, "; ".join(wrong))


def _cannot_isolate() -> str | None:
    try:
        with Sandbox(1, limits=PATIENT) as sandbox:
            sandbox.run([ADD])
    except CtmError as error:
        return str(error)
    return None


@contextmanager
def _planted_secret() -> Iterator[None]:
    before = os.environ.get(SECRET)
    os.environ[SECRET] = PLANTED
    try:
        yield
    finally:
        del os.environ[SECRET]
        if before is not None:
            os.environ[SECRET] = before


CHECKS = (
    Check(
        "fork bomb",
        "processes",
        "import os\nwhile True:\n    os.fork()",
        "refused",
    ),
    Check(
        "thread bomb",
        "processes",
        "import threading, time\n"
        "for _ in range(10000):\n"
        "    threading.Thread(target=time.sleep, args=(60,)).start()",
        "refused",
    ),
    Check(
        "memory bomb",
        "memory",
        "x = 'a'\nwhile True:\n    x = x + x",
        "refused",
    ),
    Check(
        "memory bomb at once",
        "memory",
        "x = bytearray(1 << 40)",
        "refused",
        alone=True,
    ),
    Check(
        "memory that no process maps",
        "memory",
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "if libc.syscall(447, 0) < 0:  # memfd_secret\n"
        "    raise OSError(ctypes.get_errno(), 'memfd_secret')",
        "refused",
        alone=True,
    ),
    Check(
        "memory held by a pipe",
        "memory",
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "if libc.vmsplice(os.pipe()[1], None, 0, 0) < 0:\n"
        "    raise OSError(ctypes.get_errno(), 'vmsplice')",
        "refused",
        alone=True,
    ),
    Check(
        "endless loop",
        "time",
        "while True:\n    pass",
        "timeout",
        alone=True,
    ),
    Check(
        "endless loop that catches everything",
        "time",
        "while True:\n"
        "    try:\n"
        "        while True:\n"
        "            pass\n"
        "    except BaseException:\n"
        "        pass",
        "timeout",
    ),
    Check(
        "sleeping for ever",
        "time",
        "import time\ntime.sleep(10000)",
        "timeout",
    ),
    Check(
        "ignoring every signal",
        "signals",
        "import signal\n"
        "for n in range(1, 65):\n"
        "    try:\n"
        "        signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError):\n"
        "        pass\n"
        "while True:\n"
        "    pass",
        "timeout",
    ),
    Check(
        "reading the home folder",
        "files",
        "import os\n"
        "print(os.listdir(os.path.expanduser('~root')))\n"
        "print(open('/etc/passwd').read())",
        "failed",
    ),
    Check(
        "reading the environment",
        "secrets",
        "import os\nassert os.environ['CTM_PLANTED_SECRET']",
        "failed",
    ),
    Check(
        "opening a socket",
        "network",
        "import socket\nsocket.create_connection(('127.0.0.1', 80), timeout=2)",
        "refused",
        alone=True,
    ),
    Check(
        "asking for a name",
        "network",
        "import socket\nsocket.gethostbyname('example.com')",
        "failed",
    ),
    Check(
        "killing its parent",
        "signals",
        "import os\nos.kill(os.getppid(), 9)",
        "refused",
    ),
    Check(
        "killing everybody",
        "signals",
        "import os\nos.kill(-1, 9)",
        "refused",
    ),
    Check(
        "filling the disk",
        "disk",
        "i = 0\nwhile True:\n    open(str(i), 'wb').write(b'x' * (1 << 20))\n    i += 1",
        "refused",
    ),
    Check(
        "one large file",
        "disk",
        "with open('big', 'wb') as file:\n    while True:\n        file.write(b'x' * (1 << 20))",
        "refused",
        alone=True,
    ),
    Check(
        "a million files",
        "disk",
        "i = 0\nwhile True:\n    open(str(i), 'w').close()\n    i += 1",
        "refused",
    ),
    Check(
        "printing for ever",
        "output",
        "while True:\n    print('x' * 1000)",
        "refused",
    ),
    Check(
        "writing to the standard library",
        "files",
        "import os\nopen(os.__file__, 'a').write('#')",
        "refused",
    ),
    Check(
        "starting another program",
        "processes",
        "import subprocess\nsubprocess.run(['/bin/sh'])",
        "refused",
    ),
    Check(
        "another user namespace",
        "ctypes",
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "if libc.unshare(0x10000000) != 0:\n"
        "    raise OSError(ctypes.get_errno(), 'unshare')",
        "refused",
    ),
    Check(
        "tracing the server",
        "ctypes",
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "if libc.ptrace(16, 1, 0, 0) != 0:\n"
        "    raise OSError(ctypes.get_errno(), 'ptrace')",
        "refused",
    ),
    Check(
        "crashing the interpreter",
        "ctypes",
        "import ctypes\nctypes.string_at(0)",
        "failed",
    ),
    Check(
        "a deep recursion",
        "memory",
        "def f():\n    return f()\nf()",
        "failed",
    ),
    Check(
        "leaving early without an error",
        "verdict",
        "import os\nos._exit(0)",
        "failed",
    ),
    Check(
        "exiting early",
        "verdict",
        "import sys\nsys.exit(0)",
        "failed",
    ),
    Check(
        "a forged report",
        "verdict",
        'import os\nos.write(3, b\'{"word": "", "status": "passed", "detail": ""}\')\nos._exit(0)',
        "failed",
    ),
    Check(
        "closing the server's pipes",
        "descriptors",
        "import os\n"
        "for n in range(256):\n"
        "    try:\n"
        "        os.close(n)\n"
        "    except OSError:\n"
        "        pass",
        "failed",
    ),
    Check(
        "an exception that cannot be printed",
        "verdict",
        "class E(Exception):\n    def __str__(self):\n        raise SystemExit\nraise E",
        "failed",
    ),
    Check(
        "opening descriptors without end",
        "descriptors",
        "import os\nwhile True:\n    os.dup(0)",
        "refused",
    ),
    Check(
        "a datagram from one of a pair",
        "network",
        "import socket\n"
        "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "a.sendto(b'x', chr(0) + 'somebody')",
        "refused",
        alone=True,
    ),
    Check(
        "a socket by hand",
        "network",
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "if libc.socket(2, 1, 0) < 0:\n"
        "    raise OSError(ctypes.get_errno(), 'socket')",
        "refused",
    ),
)
