"""The figures of an evaluation, from the samples of one problem after the other."""

import json
import weakref

import pytest

from ctm_eval.cotnpot import filter_counts
from ctm_eval.report import Sampled, UnevenSamples, measure
from ctm_eval.types import Solution


def sampled(name, marks):
    """A problem's samples, right where `marks` has a 1; each wrong one says something else."""
    own = [
        Solution(
            f"{name}-{i}", name, i, "m", (), (), "", "7" if mark == "1" else str(10 + i), mark == "1",
            "correct" if mark == "1" else "wrong", "stop", 1.0, 1.0, 0,
        )
        for i, mark in enumerate(marks)
    ]  # fmt: skip
    return Sampled(own)


def test_the_figures_by_hand():
    """p: two of three right; q: one of three. pass@2 is 1 and 1 - C(2,2)/C(3,2) = 2/3. Three votes of p
    give 7; the three answers of q are a tie, of which one is right."""
    results = measure([sampled("p", "110"), sampled("q", "100")])
    assert (results.problems, results.samples, results.accuracy.value) == (2, 3, 0.5)
    assert results.pass_at[2].value == pytest.approx((1 + 2 / 3) / 2)
    assert results.maj_at[3].value == pytest.approx((1 + 1 / 3) / 2)
    assert results.reasons == {"correct": 3, "wrong": 3}


def test_of_a_problem_only_its_numbers_are_held():
    """The figures of a large run need a few numbers a problem: held samples took 3.5 KB each."""
    held = []

    def problems():
        for i in range(4):
            one = sampled(f"p{i}", "10")
            held.append(weakref.ref(one.samples[0]))
            yield one
            del one
            assert all(sample() is None for sample in held[:-1])

    assert measure(problems()).problems == 4


def test_problems_of_different_numbers_of_samples_have_no_figures():
    with pytest.raises(UnevenSamples, match="there are 1 to 3 samples a problem"):
        measure([sampled("p", "110"), sampled("q", "1"), sampled("r", "10")])


def test_nothing_has_no_figures():
    with pytest.raises(UnevenSamples, match="there are no samples"):
        measure([])


def test_what_the_filter_counts_is_a_number_in_json():
    """A sum of conditions would stand in `results_ctm.json` as `false`."""
    assert "false" not in json.dumps(filter_counts([(True, True)]))
