"""The branch estimator on trees whose values are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctm_data.estimator.values import (
    beta_interval,
    branch_counts,
    branch_curve,
    exhaustive_curve,
    systematic,
)

unit = st.floats(0, 1)
trees = st.lists(st.tuples(unit, unit), min_size=1, max_size=12)


def values_of(keep, leave_value, final):
    """The known values V_0..V_L from the recursion."""
    values = [float(final)]
    for k, w in zip(keep[::-1], leave_value[::-1], strict=True):
        values.append(k * values[-1] + (1 - k) * w)
    return np.array(values[::-1])


def variance_of(keep, leave_value, counts):
    """The exact variance of the branch estimator at t = 0..L, alternatives drawn independently."""
    variance = [0.0]
    for k, w, m in zip(keep[::-1], leave_value[::-1], counts[::-1], strict=True):
        own = (1 - k) ** 2 * w * (1 - w) / m if m else 0.0
        variance.append(k**2 * variance[-1] + own)
    return np.array(variance[::-1])


def test_three_tokens_by_hand():
    """k = 1, 0.5, 0.75 and N = 8 draw 0, 4 and 2 rollouts; 3 of 4 and 1 of 2 end well, the
    trajectory does not: V_3 = 0, V_2 = 0.25 * 0.5 = 0.125, V_1 = 0.5 * 0.125 + 0.5 * 0.75 = 0.4375."""
    assert branch_counts([1, 0.5, 0.75], 8).tolist() == [0, 4, 2]
    curve = branch_curve([1, 0.5, 0.75], [0, 4, 2], [0, 3, 1], final=False)
    assert curve.value.tolist() == [0.4375, 0.4375, 0.125, 0.0]


def test_a_token_outside_the_nucleus_makes_the_value_that_of_the_others():
    curve = branch_curve([0.0], [4], [1], final=True)
    assert curve.value.tolist() == [0.25, 1.0]


def test_whole_products_cost_no_extra_rollout():
    assert branch_counts([0.9, 0.3, 1 - 1e-9], 10).tolist() == [1, 7, 0]


@given(trees, st.booleans(), st.integers(1, 128))
def test_the_estimate_is_right_on_average(tree, final, n):
    """Every W_t replaced by its expectation gives the known values: the fold is linear in them."""
    keep, leave_value = zip(*tree, strict=True)
    counts = branch_counts(keep, n)
    expected = [m * w for m, w in zip(counts, leave_value, strict=True)]
    curve = branch_curve(keep, counts, expected, final)  # type: ignore[arg-type]
    assert curve.value == pytest.approx(values_of(keep, leave_value, final), abs=2e-5)


@given(trees, st.booleans(), st.integers(1, 128))
def test_the_variance_is_at_most_that_of_n_rollouts_from_every_token(tree, final, n):
    keep, leave_value = zip(*tree, strict=True)
    branch = variance_of(keep, leave_value, branch_counts(keep, n))
    value = values_of(keep, leave_value, final)
    assert (branch <= value * (1 - value) / n + 1e-6).all()


@given(trees, st.booleans(), st.integers(0, 2**32))
def test_value_and_interval_stay_in_order_and_in_range(tree, final, seed):
    keep, leave_value = zip(*tree, strict=True)
    counts = branch_counts(keep, 16)
    correct = np.random.default_rng(seed).binomial(counts, leave_value)
    curve = branch_curve(keep, counts, correct, final)
    assert (curve.low >= -1e-12).all()
    assert (curve.high <= 1 + 1e-12).all()
    assert (curve.low <= curve.value + 1e-9).all()
    assert (curve.value <= curve.high + 1e-9).all()


@given(trees, st.integers(0, 12))
def test_what_was_not_looked_at_is_unknown(tree, seen_from):
    keep, _ = zip(*tree, strict=True)
    seen_from = min(seen_from, len(keep))
    counts = branch_counts(keep, 8)
    whole = branch_curve(keep, counts, counts, False)
    part = branch_curve(keep, counts, counts, False, seen_from)
    assert np.isnan(part.value[:seen_from]).all()
    assert part.value[seen_from:].tolist() == whole.value[seen_from:].tolist()


def random_tree(rng, kind):
    """Trees like real ones: mostly sure tokens; a wrong trajectory that is lost at some token."""
    length = int(rng.integers(5, 60))
    keep = np.where(rng.random(length) < 0.7, 1.0, rng.random(length))
    if kind == "many small doubts":
        keep = 1 - 0.05 * rng.random(length)
    lost = np.arange(length) > rng.integers(0, length)
    leave_value = np.where(lost, 0.05 * rng.random(length), rng.beta(1, 2, length))
    if kind == "extremes":
        leave_value = rng.beta(0.5, 0.5, length)
    return keep, leave_value


@pytest.mark.parametrize("kind", ["lost", "many small doubts", "extremes"])
@pytest.mark.parametrize("n", [16, 64])
def test_branch_intervals_cover_the_true_value(kind, n):
    """At least 93% of 95% intervals hold the known value, over 400 trees and all their tokens."""
    rng = np.random.default_rng(5)
    covered = []
    for _ in range(400):
        keep, leave_value = random_tree(rng, kind)
        counts = branch_counts(keep, n)
        curve = branch_curve(keep, counts, rng.binomial(counts, leave_value), False)
        true = values_of(keep, leave_value, False)[:-1]
        covered.append(((curve.low[:-1] <= true + 1e-9) & (true <= curve.high[:-1] + 1e-9)).mean())
    assert np.mean(covered) >= 0.93


@pytest.mark.parametrize("n", [16, 64])
def test_exhaustive_intervals_cover_the_true_value(n):
    rng = np.random.default_rng(6)
    true = rng.beta(0.5, 0.5, 20_000)
    curve = exhaustive_curve(n, rng.binomial(n, true), False)
    covered = (curve.low[:-1] <= true) & (true <= curve.high[:-1])
    assert covered.mean() >= 0.93


def test_none_of_64_has_a_width_and_keeps_zero():
    """The upper end of Beta(1/2, 64 + 1/2) at 97.5% is 3.8%."""
    low, high = beta_interval(np.array([0.0]), np.array([64.0]))
    assert low[0] == 0
    assert high[0] == pytest.approx(0.038, abs=0.001)


@given(
    st.lists(st.floats(0.01, 1), min_size=1, max_size=8), st.integers(1, 50), st.floats(0, 0.999)
)
def test_systematic_draws_are_proportional_but_for_rounding(weights, count, offset):
    probs = np.array(weights) / sum(weights)
    drawn = np.bincount(systematic(probs, count, offset), minlength=len(probs))
    assert drawn.sum() == count
    assert (np.abs(drawn - count * probs) < 1 + 1e-6).all()


@settings(max_examples=20)
@given(st.lists(st.floats(0.05, 1), min_size=2, max_size=5), st.integers(1, 7))
def test_systematic_draws_are_unbiased(weights, count):
    probs = np.array(weights) / sum(weights)
    offsets = (np.arange(4000) + 0.5) / 4000
    mean = np.mean(
        [np.bincount(systematic(probs, count, u), minlength=len(probs)) for u in offsets], 0
    )
    assert mean == pytest.approx(count * probs, abs=5e-3)
