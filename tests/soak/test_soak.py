"""A quick form of `benchmarks/soak.py`, which a release is put through for an hour."""

import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


def test_kills_crashes_and_bad_disks_cost_nothing_but_time():
    done = subprocess.run(
        [sys.executable, SOAK, "--quick", "--rounds", "10"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "0 failures"
    assert done.stdout.count("finished") == 10
