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

from ctm_eval.sandbox import Program, Sandbox
from ctm_eval.sandbox.self_check import CHECKS, SHORT, self_check


@pytest.fixture(scope="module")
def verdicts():
    return {verdict.name: verdict for verdict in self_check().verdicts}


@pytest.mark.parametrize("name", [check.name for check in CHECKS])
def test_a_hostile_program_is_stopped_and_the_next_one_runs(name, verdicts):
    assert verdicts[name].holds, verdicts[name].detail


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
        outcomes = sandbox.run([Program(check.code, ("assert True",)) for check in CHECKS])
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
