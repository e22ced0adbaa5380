"""Curves drawn from the posterior, and the label that they amount to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ctm_data.estimator.critical import critical
from ctm_data.estimator.posterior import critical_of, draw_curves, label_of
from ctm_data.estimator.settings import RESOLUTION

curves = arrays(float, (3, 8), elements=st.sampled_from([0, 1e-5, 0.01, 0.02, 0.049, 0.05, 0.3]))


@given(curves, st.sampled_from([0.0, 0.0108, 0.04]))
def test_the_rule_on_many_curves_is_the_rule_on_each(value, resolution):
    one_by_one = [critical(curve, resolution) for curve in value]
    assert critical_of(value, resolution).tolist() == [-1 if t is None else t for t in one_by_one]


def test_one_lucky_branch_of_weight_1e_5_leaves_the_value_at_0():
    value = np.array([0.5, 1e-5, 0.0, 0.0])
    assert critical(value, RESOLUTION) == 0
    assert critical(value) == 1  # by the letter: the first value that is 0


def test_every_drawn_curve_keeps_the_recursion():
    keep = np.array([0.9, 1.0, 0.5, 0.2])
    drawn = draw_curves(keep, [3, 0, 8, 9], [1, 0, 2, 3], False, np.random.default_rng(0), 50)
    before, after = drawn.value[:, :-1], drawn.value[:, 1:]
    assert before == pytest.approx(keep * after + (1 - keep) * drawn.rate)
    assert (drawn.value[:, -1] == 0).all()


def test_a_hundred_true_zeros_do_not_throw_a_value_of_5_percent():
    """100 tokens, 1% leaves at each, one draw each, none right: with a Beta(1/2, 1/2) a token V_0 has a
    mean of 0.16; together the draws say more."""
    keep, n = np.full(100, 0.99), np.ones(100, dtype=int)
    value = draw_curves(keep, n, 0 * n, False, np.random.default_rng(0)).value
    assert np.mean(value.max(1) >= 0.05) < 0.1


def test_a_cliff_that_was_sampled_well_is_known():
    """20 tokens of k = 0.5: half of 64 are right at each of the first ten, none of 640 after."""
    keep = np.full(20, 0.5)
    n, won = np.array([64] * 10 + [640] * 10), np.array([32] * 10 + [0] * 10)
    value = draw_curves(keep, n, won, False, np.random.default_rng(0)).value
    label = label_of(critical_of(value, RESOLUTION), 20)
    assert (label.likeliest, label.low, label.high) == (9, 9, 9)
    assert label.prob[9] > 0.95


def test_the_smallest_run_by_hand():
    """Of ten draws four are token 1, five token 2, one token 5: 90% are tokens 1 and 2."""
    label = label_of(np.array([1] * 4 + [2] * 5 + [5]), 6)
    assert label.prob.tolist() == [0, 0.4, 0.5, 0, 0, 0.1]
    assert (label.likeliest, label.low, label.high) == (2, 1, 2)


def test_no_critical_token_is_an_outcome():
    label = label_of(np.array([-1] * 6 + [3] * 4), 5)
    assert (label.likeliest, label.low, label.high) == (None, None, None)
    assert label.prob.sum() == pytest.approx(0.4)


def test_a_right_solution_has_no_critical_token():
    value = draw_curves([0.5] * 3, [8] * 3, [0] * 3, True, np.random.default_rng(0)).value
    assert label_of(critical_of(value, RESOLUTION), 3).likeliest is None


def test_runs_with_90_percent_hold_the_true_token_in_90_percent():
    """60 trajectories whose success rates fall along their length, branch with N = 32."""
    rng, held = np.random.default_rng(3), []
    for _ in range(60):
        length = int(rng.integers(30, 80))
        keep = 1 - rng.beta(0.4, 3, length)
        place = np.arange(length) / length
        mean = 1 / (1 + np.exp(20 * (place - rng.uniform(0.2, 0.8)) + 1))
        rate = rng.beta(4 * mean + 1e-3, 4 * (1 - mean))
        true = [0.0]
        for k, w in zip(keep[::-1], rate[::-1], strict=True):
            true.append(k * true[-1] + (1 - k) * w)
        critical_token = critical(np.array(true[::-1]), RESOLUTION)
        n = np.ceil(32 * (1 - keep)).astype(int)
        value = draw_curves(keep, n, rng.binomial(n, rate), False, rng, 400).value
        label = label_of(critical_of(value, RESOLUTION), length)
        assert label.low is not None and label.high is not None and critical_token is not None
        held.append(label.low <= critical_token <= label.high)
    assert np.mean(held) >= 0.85  # 0.9 less 1.3 standard errors of 60
