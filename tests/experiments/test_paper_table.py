"""The statistics of the paper's table, and the whole of it in its quick form."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from typed import python

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "experiments"))

from grid import bootstrap  # noqa: E402
from paper_table import Plan, picture, table  # noqa: E402

PROGRAM = f"import sys; sys.path.insert(0, {sys.path[0]!r}); from paper_table import main; main()"


def results(**correct):
    return {name: [{"correct": row} for row in rows] for name, rows in correct.items()}


def test_the_bootstrap_of_one_sure_answer_has_no_width():
    assert set(bootstrap(np.ones((5, 20)), rounds=50)) == {1.0}


def test_the_bootstraps_spread_is_the_binomial_one():
    """400 problems, half of them right in every seed: sd = sqrt(0.25 / 400) = 0.025."""
    correct = np.tile(np.arange(400) % 2, (3, 1))
    assert bootstrap(correct, rounds=4000).std() == pytest.approx(0.025, rel=0.06)


def test_seeds_are_resampled_too():
    """Two seeds, one all right and one all wrong: a quarter of the rounds draws each twice."""
    means = bootstrap(np.array([[1] * 30, [0] * 30]), rounds=4000)
    assert (means == 0).mean() == pytest.approx(0.25, abs=0.03)


def test_methods_are_compared_on_the_same_problems():
    """One answers all that the other does and two more of 100: each round is at least even."""
    one = np.arange(100) < 60
    two = np.arange(100) < 62
    gap = bootstrap(two[None], rounds=500) - bootstrap(one[None], rounds=500)
    assert gap.min() >= 0
    assert gap.mean() == pytest.approx(0.02, abs=0.005)


def test_the_table_says_by_how_much_a_rival_differs():
    base, ours = [1, 0] * 50, [1] * 75 + [0] * 25
    lines = table(results(base=[base], cDPO=[ours, ours]), Plan(held_out=100)).splitlines()
    row = next(line for line in lines if line.startswith("| base")).split("|")
    assert [cell.strip() for cell in row[2:5:2]] == ["50.0%", "-25.0"]


def ink_at_the_edge(path):
    """Whether anything is drawn in the outermost pixels, as what is cut off would be."""
    from matplotlib.image import imread

    pixels = imread(path)[..., :3]
    edge = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    return any(side.min() < 1 for side in edge)


def test_nothing_of_the_picture_is_cut_off(tmp_path):
    names = ("base", "cDPO", "DPO on critical tokens (cliff-dpo)")
    drawn = results(**{name: [[1, 0, 1, 1], [1, 0, 0, 1]] for name in names})
    picture(drawn, tmp_path / "table.png")
    assert not ink_at_the_edge(tmp_path / "table.png")


@pytest.mark.parametrize("name", ["paper-table", "verifier-table"])
def test_nothing_of_the_docs_pictures_is_cut_off(name):
    assert not ink_at_the_edge(ROOT / "docs" / f"{name}.png")


def test_the_quick_form_runs_and_goes_on_where_it_was(tmp_path):
    words = ("--quick", "--output-dir", tmp_path, "--jobs")
    assert python(PROGRAM, *words, 0).returncode == 0
    text = (tmp_path / "table.md").read_text()
    rows = ("base", "SFT", "DPO", "SFT → DPO", "SFT → TDPO", "RPO", "cDPO")
    assert all(f"\n| {name} |" in text for name in rows)
    assert (tmp_path / "table.png").stat().st_size > 10_000
    cells = {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()}
    gone = next(path for path in cells if path.name.startswith("cdpo") and "test" in path.name)
    before = gone.read_text()
    gone.unlink()
    again = python(PROGRAM, *words, 1)  # in a process of its own
    assert again.returncode == 0, again.stderr
    assert all(path.stat().st_mtime_ns == at for path, at in cells.items() if path != gone)
    assert answers(gone.read_text()) == answers(before)


def test_the_quick_form_on_a_real_model_starts_from_the_taught_one(tmp_path):
    words = ("--quick", "--real", "--row", "DPO", "--jobs", 0, "--output-dir", tmp_path)
    outcome = python(PROGRAM, *words)
    assert outcome.returncode == 0, outcome.stderr
    text = (tmp_path / "table.md").read_text()
    assert all(f"\n| {name} |" in text for name in ("base", "DPO", "cDPO"))
    card = (tmp_path / "run" / "README.md").read_text()
    assert str(tmp_path / "model") in card


def answers(text):
    return json.loads(text)["correct"]
