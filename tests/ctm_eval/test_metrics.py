"""Figures over graded samples."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctm_eval.metrics import clustered, maj_at_k, paired, pass_at_k, sign_flip


@given(
    st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))
)
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_sample(case):
    n, correct, k = case
    subsets = list(combinations([True] * correct + [False] * (n - correct), k))
    assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


@pytest.mark.parametrize("case", [(4, 5, 1), (4, 1, 5), (4, 1, 0), (4, -1, 1)])
def test_impossible_counts_are_refused(case):
    with pytest.raises(ValueError, match="pass@k needs"):
        pass_at_k(*case)


def majority(answers, right, k):
    """The chance that the vote of k samples is right, by trying every subset; ties are drawn by lot."""
    chances = []
    for subset in combinations(range(len(answers)), k):
        votes = {}
        for i in subset:
            if answers[i] is not None:
                votes.setdefault(answers[i], []).append(right[i])
        most = max(map(len, votes.values()), default=0)
        winners = [sum(group) / most for group in votes.values() if len(group) == most]
        chances.append(sum(winners) / len(winners) if winners else 0)
    return sum(chances) / len(chances)


@given(
    st.lists(
        st.tuples(st.sampled_from([None, "a", "b", "c", "d"]), st.booleans()),
        min_size=1,
        max_size=8,
    )
)
def test_maj_at_k_is_the_share_of_subsets_whose_vote_is_right(samples):
    answers = [answer for answer, _ in samples]
    right = [answer == "a" or (answer == "b" and lucky) for answer, lucky in samples]
    groups = {
        answer: [r for a, r in zip(answers, right, strict=True) if a == answer]
        for answer in answers
    }
    silent = len(groups.pop(None, []))
    votes = maj_at_k([(len(group), sum(group) / len(group)) for group in groups.values()], silent)
    for k in range(1, len(samples) + 1):
        assert votes[k - 1] == pytest.approx(majority(answers, right, k))


def test_maj_at_k_by_hand():
    """Right twice, wrong once. k = 1: 2/3. k = 2: one pair of three agrees, two tie. k = 3: certain."""
    assert maj_at_k([(2, 1.0), (1, 0.0)]) == pytest.approx([2 / 3, 1 / 3 + 2 / 3 * 1 / 2, 1])


@pytest.mark.skipif(np.finfo(np.longdouble).maxexp < 2048, reason="numpy has no long doubles here")
def test_maj_at_k_has_no_number_of_samples_at_which_it_overflows():
    """One sample of 1,100 has an answer, a right one: the vote of k is right where it is among them."""
    assert maj_at_k([(1, 1.0)], 1099) == pytest.approx([k / 1100 for k in range(1, 1101)])


def test_maj_at_k_stays_exact_for_many_samples():
    """40 right against 24 wrong of one answer: at k = 64 the vote is certain, at k = 1 it is a draw."""
    votes = maj_at_k([(40, 1.0), (24, 0.0)])
    assert (votes[0], votes[-1]) == (pytest.approx(40 / 64), pytest.approx(1))
    assert all(0 <= vote <= 1 + 1e-12 for vote in votes)


def test_samples_without_an_answer_do_not_vote():
    assert maj_at_k([(1, 1.0)], silent=2) == pytest.approx([1 / 3, 2 / 3, 1])


COVERAGE = {  # problems, samples, k, the Beta distribution of their success rates
    "greedy, hard": (100, 1, 1, (1, 9)),
    "greedy, few problems": (20, 1, 1, (2, 2)),
    "greedy, nearly solved": (50, 1, 1, (30, 1)),
    "samples of extreme problems": (30, 8, 1, (0.5, 0.5)),
    "pass@4 of 8": (30, 8, 4, (0.5, 0.5)),
    "pass@8 of 16": (200, 16, 8, (1, 1)),
}


@pytest.mark.parametrize("case", COVERAGE)
def test_intervals_cover_the_truth_as_often_as_they_say(case):
    """2,000 simulated benchmarks whose truth is known: 95% within four standard errors of simulation."""
    problems, n, k, shape = COVERAGE[case]
    rng = np.random.default_rng(0)
    truth = np.mean(1 - (1 - rng.beta(*shape, 400_000)) ** k)
    covered = 0
    for _ in range(2000):
        correct = rng.binomial(n, rng.beta(*shape, problems))
        estimate = clustered([pass_at_k(n, int(c), k) for c in correct], n // k)
        covered += estimate.low <= truth <= estimate.high
    assert covered / 2000 > 0.95 - 4 * (0.95 * 0.05 / 2000) ** 0.5


def test_samples_of_one_problem_are_not_independent_trials():
    """Ten problems always right, ten never: 64 samples of each know no more than one."""
    many, one = clustered([1.0] * 10 + [0.0] * 10, 64), clustered([1.0] * 10 + [0.0] * 10, 1)
    assert (many.low, many.high) == pytest.approx((one.low, one.high))


def test_an_interval_has_a_width_at_zero_and_at_one():
    zero, one = clustered([0.0] * 20, 1), clustered([1.0] * 20, 1)
    assert (zero.low, one.high) == (0, 1)
    assert zero.high == pytest.approx(1 - one.low)
    assert 0.1 < zero.high < 0.25


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(1, 64))
def test_an_interval_contains_its_estimate_and_stays_in_bounds(values, samples):
    estimate = clustered(values, samples)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


@given(st.lists(st.integers(-4, 4), max_size=8))
def test_the_sign_flip_test_is_the_share_of_all_signs(steps):
    moved = [step for step in steps if step]
    sums = [
        sum(s * abs(m) for s, m in zip(signs, moved, strict=True))
        for signs in product((1, -1), repeat=len(moved))
    ]
    expected = np.mean([abs(total) >= abs(sum(moved)) for total in sums])
    assert sign_flip(moved) == pytest.approx(expected)


def test_with_one_sample_the_paired_test_is_mcnemars():
    """5 won, 2 lost of 30: 2 * (C(7,5) + C(7,6) + C(7,7)) / 2^7 = 58/128."""
    first = [(0, 1)] * 5 + [(1, 1)] * 2 + [(1, 1)] * 23
    second = [(1, 1)] * 5 + [(0, 1)] * 2 + [(1, 1)] * 23
    comparison = paired(first, second)
    assert comparison.p == pytest.approx(58 / 128)
    assert (comparison.better, comparison.worse) == (5, 2)
    assert comparison.difference == pytest.approx(3 / 30)


def test_runs_with_different_numbers_of_samples_are_compared_by_their_means():
    comparison = paired([(1, 1), (0, 1)], [(2, 4), (1, 4)])
    assert comparison.difference == pytest.approx((-0.5 + 0.25) / 2)
    assert comparison.p == 1
