"""What `experiments/heads.py` measures of a verifier's scores, by hand."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "experiments"))

from heads import measure

from ctm_eval.types import Solution


def sample(name, correct):
    answer, verdict = ("5", "correct") if correct else ("6", "wrong")
    return Solution(
        name, name[0], int(name[1]), "m", (), (), answer, answer, correct, verdict, "stop", 1.0, 1.0, 0
    )  # fmt: skip


def test_the_choice_the_pairs_and_the_calibration_of_two_problems():
    """The head is right about the first problem and wrong about the second. Its four scores lie in bins of
    their own, 0.1, 0.1, 0.8 and 0.6 off: 0.4 on average."""
    problems = [
        [sample("a1", True), sample("a2", False)],
        [sample("b1", True), sample("b2", False)],
    ]
    found = measure(problems, {"a1": 0.9, "a2": 0.1, "b1": 0.2, "b2": 0.6}, 2)
    assert found["best16"] == found["best"] == [1.0, 0.0]
    assert found["vote16"] == [1.0, 0.0]
    assert found["pairs"] == [1.0, 0.0]
    assert found["off"] == pytest.approx([0.4])
