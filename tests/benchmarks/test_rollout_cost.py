"""The statistics of `benchmarks/rollout_cost.py`, worked by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "benchmarks"))

from rollout_cost import Figures, lines


def row(values, tokens=100, critical=0):
    return {"value": values, "generated_tokens": tokens, "critical_index": critical}


TRUTH = [{"value": {"0": 0.5}}, {"value": {"1": 0.5}}]


def test_the_noise_of_the_truth_is_taken_off_the_error():
    """Off by 0.2 and by 0.1; the truth is of 26 rollouts: 0.25 / 25 = 0.01 of each square is its own."""
    figures = Figures([[row([0.7, 0]), row([0, 0.6])]], TRUTH, 26)
    assert figures.over(np.arange(2))["error"] == pytest.approx((0.03 + 0.0) / 2)


def test_values_that_were_not_looked_at_have_no_error():
    figures = Figures([[row([0.7, 0]), row([0, None])]], TRUTH, 26)
    assert figures.over(np.arange(2))["error"] == pytest.approx(0.03)
    assert figures.looked_at == 0.75


def test_two_seeds_agree_where_they_mark_the_same_token():
    runs = [[row([0.7, 0]), row([0, 0.6])], [row([0.7, 0]), row([0, 0.6], critical=1)]]
    assert Figures(runs, TRUTH, 26).over(np.arange(2))["same"] == 0.5


def test_ratios_are_of_the_same_resampled_trajectories():
    """Half the tokens on each of two very different trajectories: 2.0, whichever are drawn."""
    every = Figures([[row([0.7, 0], 1000), row([0, 0.7], 10)]], TRUTH, 26)
    half = Figures([[row([0.7, 0], 500), row([0, 0.7], 5)]], TRUTH, 26)
    table = lines({"exhaustive": every, "branch": half}, {"exhaustive": 1, "branch": 1})
    cells = [cell.strip() for cell in table[1].split("|")]
    assert cells[2:4] == ["505", "2.0 [2.0, 2.0]"]
    assert cells[5] == "2.0 [2.0, 2.0]"
