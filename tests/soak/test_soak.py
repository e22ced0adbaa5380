"""A quick form of `benchmarks/soak.py`, which a release is put through for an hour."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from soak import soak


def test_kills_crashes_and_full_disks_cost_nothing_but_time():
    counts, failures = soak(("store",), seconds=30, seed=3, rounds=9)
    assert failures == []
    assert "raw-errors" not in counts
    assert sum(counts.values()) >= 3
