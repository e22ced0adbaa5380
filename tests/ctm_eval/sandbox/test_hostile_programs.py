"""Programs that mean harm, each with what the sandbox must say of it: they leave no trace.

They are run in isolation only: some would end every process of their user outside it.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ctm_eval.sandbox import Limits, Program, Sandbox

SHORT = Limits(cpu_seconds=1, wall_seconds=3.0, memory=128 << 20)
PATIENT = Limits(cpu_seconds=100, wall_seconds=300.0, memory=128 << 20)  # on a slow machine too
ADD = Program("def add(a, b):\n    return a + b", ("assert add(1, 2) == 3",))

HOSTILE = {
    "fork bomb": ("import os\nwhile True:\n    os.fork()", "refused"),
    "thread bomb": (
        "import threading, time\n"
        "for _ in range(10000):\n    threading.Thread(target=time.sleep, args=(60,)).start()",
        "refused",
    ),
    "memory bomb": ("x = 'a'\nwhile True:\n    x = x + x", "refused"),
    "memory bomb at once": ("x = bytearray(1 << 40)", "refused"),
    "endless loop": ("while True:\n    pass", "timeout"),
    "endless loop that catches everything": (
        "while True:\n    try:\n        while True:\n            pass\n"
        "    except BaseException:\n        pass",
        "timeout",
    ),
    "sleeping for ever": ("import time\ntime.sleep(10000)", "timeout"),
    "ignoring every signal": (
        "import signal\n"
        "for n in range(1, 65):\n"
        "    try:\n        signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError):\n        pass\n"
        "while True:\n    pass",
        "timeout",
    ),
    "reading the home folder": (
        "import os\nprint(os.listdir(os.path.expanduser('~root')))\nprint(open('/etc/passwd').read())",
        "failed",
    ),
    "reading the environment": ("import os\nassert os.environ['CTM_PLANTED_SECRET']", "failed"),
    "opening a socket": (
        "import socket\nsocket.create_connection(('127.0.0.1', 80), timeout=2)",
        "refused",
    ),
    "asking for a name": ("import socket\nsocket.gethostbyname('example.com')", "failed"),
    "killing its parent": ("import os\nos.kill(os.getppid(), 9)", "refused"),
    "killing everybody": ("import os\nos.kill(-1, 9)", "refused"),
    "filling the disk": (
        "i = 0\nwhile True:\n    open(str(i), 'wb').write(b'x' * (1 << 20))\n    i += 1",
        "refused",
    ),
    "one large file": (
        "with open('big', 'wb') as file:\n    while True:\n        file.write(b'x' * (1 << 20))",
        "refused",
    ),
    "a million files": (
        "i = 0\nwhile True:\n    open(str(i), 'w').close()\n    i += 1",
        "refused",
    ),
    "printing for ever": ("while True:\n    print('x' * 1000)", "refused"),
    "writing to the standard library": (
        "import os\nopen(os.__file__, 'a').write('#')",
        "refused",
    ),
    "starting another program": ("import subprocess\nsubprocess.run(['/bin/sh'])", "refused"),
    "another user namespace": (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "if libc.unshare(0x10000000) != 0:\n    raise OSError(ctypes.get_errno(), 'unshare')",
        "refused",
    ),
    "tracing the server": (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "if libc.ptrace(16, 1, 0, 0) != 0:\n    raise OSError(ctypes.get_errno(), 'ptrace')",
        "refused",
    ),
    "crashing the interpreter": ("import ctypes\nctypes.string_at(0)", "failed"),
    "a deep recursion": ("def f():\n    return f()\nf()", "failed"),
    "leaving early without an error": ("import os\nos._exit(0)", "failed"),
    "exiting early": ("import sys\nsys.exit(0)", "failed"),
    "a forged report": (
        'import os\nos.write(3, b\'{"word": "", "status": "passed", "detail": ""}\')\nos._exit(0)',
        "failed",
    ),
    "closing the server's pipes": (
        "import os\nfor n in range(256):\n    try:\n        os.close(n)\n    except OSError:\n        pass",
        "failed",
    ),
    "an exception that cannot be printed": (
        "class E(Exception):\n    def __str__(self):\n        raise SystemExit\nraise E",
        "failed",
    ),
}


@pytest.fixture(scope="module")
def sandboxes():
    with Sandbox(2, limits=SHORT) as short, Sandbox(2, limits=PATIENT) as patient:
        yield short, patient


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_program_is_stopped_and_the_next_one_runs(name, sandboxes):
    code, status = HOSTILE[name]
    short, patient = sandboxes
    sandbox = short if status == "timeout" else patient
    assert sandbox.run([Program(code, ("assert True",))])[0].status == status
    assert sandbox.run([ADD])[0].status == "passed"


def processes():
    return {int(entry) for entry in os.listdir("/proc") if entry.isdigit()}


def descendants(root):
    """The processes below `root`, by the parents that /proc names."""
    parents = {}
    for pid in processes():
        try:
            parents[pid] = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    below, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in below} - below
        below, grown = below | more, bool(more)
    return below - {root}


def test_hostile_programs_leave_no_trace(monkeypatch, tmp_path):
    """No process, no file in the home folder, the temporary one or the working one, no mount."""
    monkeypatch.setenv("CTM_PLANTED_SECRET", "hunter2")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    mounts = Path("/proc/self/mountinfo").read_text()
    home = sorted(os.listdir(Path.home()))
    before = descendants(os.getpid())
    with Sandbox(2, limits=SHORT) as sandbox:
        outcomes = sandbox.run([Program(code, ("assert True",)) for code, _ in HOSTILE.values()])
    assert not any("hunter2" in outcome.stdout + outcome.detail for outcome in outcomes)
    deadline = time.monotonic() + 10
    while descendants(os.getpid()) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert descendants(os.getpid()) - before == set()
    assert list(tmp_path.iterdir()) == []
    assert sorted(os.listdir(Path.home())) == home
    assert Path("/proc/self/mountinfo").read_text() == mounts


def test_a_killed_harness_takes_its_programs_with_it(tmp_path):
    """kill -9 of our process in the middle of an endless program: nothing goes on."""
    code = (
        "from ctm_eval.sandbox import *\n"
        "with Sandbox(1, limits=Limits(cpu_seconds=60, wall_seconds=60.0)) as s:\n"
        "    s.run([Program('print(1)')])\n"
        "    print('begun', flush=True)\n"
        "    s.run([Program('while True: pass')])\n"
    )
    harness = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert harness.stdout.readline() == "begun\n"
    time.sleep(0.5)
    below = descendants(harness.pid)
    assert below
    harness.send_signal(signal.SIGKILL)
    harness.wait()
    deadline = time.monotonic() + 10
    while below & processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert below & processes() == set()
