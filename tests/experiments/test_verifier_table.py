"""The comparison of verifiers in its quick form, and its statistics."""

import sys
from pathlib import Path

import numpy as np
import pytest
from typed import python

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "experiments"))

from grid import bootstrap  # noqa: E402

PROGRAM = (
    f"import sys; sys.path.insert(0, {sys.path[0]!r}); from verifier_table import main; main()"
)


def test_problems_are_resampled():
    """400 problems, half of them right: sd = sqrt(0.25 / 400) = 0.025."""
    assert bootstrap((np.arange(400) % 2)[None]).std() == pytest.approx(0.025, rel=0.06)


def test_choices_are_compared_on_the_same_problems():
    """One answers all that the other does and two more of 100: each round is at least even."""
    one, two = ((np.arange(100) < right)[None] for right in (60, 62))
    assert (bootstrap(two) - bootstrap(one) >= 0).all()


def test_the_quick_form_writes_tables_and_pictures_and_goes_on_where_it_was(tmp_path):
    words = ("--quick", "--jobs", 0, "--output-dir", tmp_path)
    first = python(PROGRAM, *words)
    assert first.returncode == 0, first.stderr
    text = (tmp_path / "table.md").read_text()
    for name in ("ORM", "PRM", "DPO", "SimPO"):
        assert f"| {name}, best-of-N |" in text
        assert f"| {name}, weighted vote + CoTnPoT |" in text
    assert "| majority + CoTnPoT |" in text
    assert (tmp_path / "pocket.png").exists() and (tmp_path / "pocket-code.png").exists()
    cells = {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()}
    assert python(PROGRAM, *words).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()} == cells
