"""The sandbox: what runs, what a program finds there, who may have one."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ctm_eval.sandbox import Limits, Outcome, Program, Sandbox

SHORT = Limits(cpu_seconds=1, wall_seconds=3.0, memory=128 << 20)
PATIENT = Limits(cpu_seconds=100, wall_seconds=300.0, memory=128 << 20)  # on a slow machine too
ADD = "def add(a, b):\n    return a + b"


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(2, limits=PATIENT) as sandbox:
        yield sandbox


def run(sandbox, code, *tests):
    return sandbox.run([Program(code, tests)])[0]


def test_a_program_that_passes_its_tests(sandbox):
    assert run(sandbox, ADD, "assert add(1, 2) == 3", "assert add(0, 0) == 0") == Outcome("passed")


def test_a_program_that_fails_one_of_its_tests(sandbox):
    outcome = run(sandbox, ADD, "assert add(1, 2) == 3", "assert add(1, 1) == 3")
    assert (outcome.status, outcome.detail) == ("failed", "AssertionError: ")


def test_what_is_no_python_is_unparsed(sandbox):
    assert run(sandbox, "def add(:", "assert True").status == "unparsed"


def test_the_output_is_kept(sandbox):
    assert run(sandbox, "print(6 * 7)") == Outcome("passed", "", "42\n")


def test_without_tests_an_exit_with_zero_is_an_end(sandbox):
    assert run(sandbox, "print(1)\nimport sys\nsys.exit()") == Outcome("passed", "", "1\n")


def test_the_standard_library_is_there(sandbox):
    modules = (
        "array ast base64 collections csv ctypes decimal hashlib json queue sqlite3 ssl unicodedata"
    )
    assert run(sandbox, f"import {', '.join(modules.split())}").status == "passed"


def test_threads_work(sandbox):
    code = (
        "from concurrent.futures import ThreadPoolExecutor as T\nr = list(T(4).map(abs, [-1, 2]))"
    )
    assert run(sandbox, code, "assert r == [1, 2]").status == "passed"


def test_the_working_folder_is_empty_and_writable(sandbox):
    code = "import os\nfound = os.listdir('.')\nopen('new', 'w').write('x')"
    assert [run(sandbox, code, "assert found == []").status for _ in range(3)] == ["passed"] * 3


def test_only_libraries_are_in_its_files(sandbox):
    outcome = run(
        sandbox,
        "import os\nfor f in ('/etc', '/proc/1', '/var', '/sys'):\n    print(os.path.exists(f))",
    )
    assert outcome.stdout.split() == ["False"] * 4


def test_it_is_alone_and_nobody(sandbox):
    outcome = run(sandbox, "import os\nprint(os.getpid(), os.getuid(), len(os.environ))")
    pid, uid, variables = outcome.stdout.split()
    assert (pid, variables) == ("1", "0")
    assert uid != "0"


def test_one_program_does_not_see_what_another_did(sandbox):
    spoil = "import builtins, math\nbuiltins.len = None\nmath.pi = 3"
    with Sandbox(1, limits=PATIENT) as one:
        assert run(one, spoil).status == "passed"
        assert run(one, "import math", "assert math.pi > 3.1 and len('ab') == 2").status == "passed"


def test_the_order_of_a_set_is_the_same_every_time():
    code = "print(list({str(i) for i in range(50)}), __import__('random').random())"
    printed = set()
    for _ in range(2):
        with Sandbox(1, limits=PATIENT) as fresh:
            printed.add(run(fresh, code).stdout)
    assert len(printed) == 1


def test_outcomes_come_in_the_order_of_the_programs(sandbox):
    outcomes = sandbox.run([Program(f"print({i})") for i in range(40)])
    assert [outcome.stdout for outcome in outcomes] == [f"{i}\n" for i in range(40)]


@pytest.fixture
def open_folder():
    """A folder that every user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_an_ordinary_user_has_a_sandbox_too(open_folder):
    """Where user namespaces are permitted; as root this runs the system's Python as another user."""
    python = "/usr/bin/python3"
    if os.getuid() != 0 or not Path(python).exists() or shutil.which("setpriv") is None:
        pytest.skip("wants to be root, a system Python and setpriv")
    if subprocess.run(
        [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    ).returncode:
        pytest.skip("the system's Python is older than 3.11")
    shutil.copytree(Path(__file__).parents[3] / "ctm_eval", open_folder / "ctm_eval")
    code = (
        "from ctm_eval.sandbox import *\n"
        "with Sandbox(1) as s:\n"
        "    r = s.run([Program('import os\\nprint(os.getuid(), os.path.exists(\"/etc\"))')])\n"
        "    print(r[0].status, r[0].stdout)\n"
    )
    done = subprocess.run(
        ["setpriv", "--reuid", "4321", "--regid", "4321", "--clear-groups", python, "-c", code],
        capture_output=True,
        text=True,
        cwd="/",
        env={"PYTHONPATH": str(open_folder), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.stdout.split() == ["passed", "4321", "False"], done.stderr


def test_a_machine_that_cannot_isolate_is_refused_and_the_option_is_named():
    """Inside a sandbox of its own, where a user namespace cannot be made: the filter denies it."""
    root = Path(__file__).parents[3]
    code = (
        "from ctm_eval.sandbox import *\nfrom ctm_eval.sandbox import isolation, seccomp\n"
        "from ctm_eval.errors import CtmError\n"
        "seccomp.DENIED = {'unshare': seccomp.DENIED['unshare']}\n"
        "seccomp.CLONE = (100000, 100000)\nseccomp.CLONE3 = (100000, 100000)\n"
        "isolation.no_new_privileges()\nseccomp.install()\n"
        "for isolate in (True, False):\n"
        "    with Sandbox(1, isolate=isolate) as s:\n"
        "        try:\n            print(s.run([Program('print(1)')])[0].status)\n"
        "        except CtmError as error:\n            print(error)\n"
        "from ctm_eval.sandbox.self_check import self_check\n"
        "found = self_check()\n"
        "print(found.ok, [v.name for v in found.verdicts if v.holds])\n"
        "print({v.detail for v in found.verdicts if not v.holds}, found.not_isolated)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    refusal, accepted, holds, misses = done.stdout.splitlines()
    assert "cannot isolate programs (unshare: Operation not permitted)" in refusal
    assert "--allow-unisolated accepts the risk" in refusal
    assert accepted == "passed"
    alone = [
        "memory bomb at once",
        "memory that no process maps",
        "memory held by a pipe",
        "endless loop",
        "opening a socket",
        "one large file",
        "a datagram from one of a pair",
    ]
    assert holds == f"False {alone}"
    assert misses.startswith("{'needs isolation'} this machine cannot isolate programs")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (ADD, "passed"),
        ("while True:\n    pass", "timeout"),
        ("x = bytearray(1 << 40)", "refused"),
        ("import os\nos.fork()", "refused"),
        ("import socket\nsocket.socket()", "refused"),
        ("open('big', 'wb').write(b'x' * (1 << 30))", "refused"),
    ],
)
def test_without_isolation_the_limits_still_hold(code, status):
    limits = SHORT if status == "timeout" else PATIENT
    with Sandbox(1, isolate=False, limits=limits) as accepted:
        assert run(accepted, code, "assert True").status == status
