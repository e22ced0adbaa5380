"""A quick form of `benchmarks/fuzz.py`, which a release is put through with 100,000 inputs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from fuzz import fuzz


def test_hostile_files_get_one_line_and_write_nothing_outside():
    assert fuzz(2000, seed=1) == []
