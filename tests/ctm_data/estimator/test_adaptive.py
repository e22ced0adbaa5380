"""Rollouts where the label is unsure, and values that do not mind."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctm_data.estimator.adaptive import (
    allocate,
    ambiguity,
    further_counts,
    pilot_counts,
    second_counts,
    two_stages,
)
from ctm_data.estimator.posterior import draw_curves
from ctm_data.estimator.values import branch_counts

P, RUNS = 0.2, 200_000


def a_pilot_of_2_then_2_or_30():
    """Draws of one stratum whose second stage is large where the pilot was mixed."""
    rng = np.random.default_rng(0)
    pilot = np.full(RUNS, 2)
    pilot_won = rng.binomial(pilot, P)
    second = np.where(pilot_won == 1, 30, 2)
    return pilot, pilot_won, second, rng.binomial(second, P)


def test_pooled_draws_whose_number_depends_on_them_are_biased():
    """Why there are two stages. With p = 0.2 the pilot of 2 has 0, 1 or 2 successes with probability
    0.64, 0.32, 0.04; pooled with 2, 30 or 2 more, the mean is 0.64 * 0.4 / 4 + 0.32 * 7 / 32 +
    0.04 * 2.4 / 4 = 0.064 + 0.07 + 0.024 = 0.158."""
    pilot, pilot_won, second, second_won = a_pilot_of_2_then_2_or_30()
    pooled = (pilot_won + second_won) / (pilot + second)
    assert pooled.mean() == pytest.approx(0.158, abs=0.002)


def test_the_mean_of_two_stages_is_not():
    """4.5 standard errors of 200,000 runs."""
    rate, _ = two_stages(*a_pilot_of_2_then_2_or_30())
    assert abs(rate.mean() - P) < 4.5 * rate.std() / np.sqrt(RUNS)


def test_a_second_stage_alone_is_unbiased_though_its_size_depends_on_another_pilot():
    """Every outcome, by hand: the first token, of rate 1/4, has a pilot of one draw; the second, of rate
    1/5, has none, and gets one draw if that pilot lost and three if it won. On average 1/4 and 1/5."""
    mean = np.zeros(2)
    for won in (0, 1):
        second = np.array([1, 3 if won else 1])
        for first, other in itertools.product(*(range(n + 1) for n in second)):
            rate, draws = two_stages(
                np.array([1, 0]), np.array([won, 0]), second, np.array([first, other])
            )
            assert draws[1] == second[1]
            chance = (0.25 if won else 0.75) * binomial(second[0], first, 0.25)
            mean += chance * binomial(second[1], other, P) * rate
    assert mean == pytest.approx([0.25, P])


def binomial(n, won, p):
    return math.comb(n, won) * p**won * (1 - p) ** (n - won)


def test_two_equal_stages_are_worth_their_sum():
    rate, draws = two_stages(*(np.array([n]) for n in (8, 2, 8, 4)))
    assert rate.tolist() == [0.375]
    assert draws.tolist() == [16.0]


def test_a_second_stage_never_makes_the_value_worse_than_the_pilot_twice():
    _, draws = two_stages(np.array([8]), np.array([2]), np.array([800]), np.array([4]))
    assert draws[0] >= 16


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 20)), min_size=1, max_size=12),
    st.integers(0, 300),
    st.integers(0, 2**32),
)
def test_all_that_was_asked_for_is_given_out_or_nothing(tokens, size, seed):
    keep, n = (np.array(column) for column in zip(*tokens, strict=True))
    rng = np.random.default_rng(seed)
    curves = draw_curves(keep, n, rng.binomial(n, 0.3), False, rng, 20)
    counts = allocate(curves, keep, n, size, 0.0108)
    assert (counts >= 0).all()
    assert counts.sum() in (0, size)
    assert (counts[1 - keep <= 1e-6] == 0).all()


def test_rollouts_left_of_all_doubt_are_not_made():
    """The first five tokens have values of 40%, certain; what leaves there says nothing about later."""
    keep = np.full(20, 0.7)
    n, won = np.array([5000] * 5 + [4] * 15), np.array([2000] * 5 + [2] * 5 + [0] * 10)
    curves = draw_curves(keep, n, won, False, np.random.default_rng(0))
    assert allocate(curves, keep, n, 100, 0.0108)[:5].sum() == 0


def test_a_label_that_no_curve_disputes_is_not_ambiguous():
    value = np.tile([0.5, 0.4, 0.0, 0.0], (10, 1))
    assert ambiguity(value, 0.0108).tolist() == [0, 0, 0]


def test_a_spent_budget_buys_nothing():
    keep, n = np.full(6, 0.5), np.full(6, 10)
    curves = draw_curves(keep, n, n // 10, False, np.random.default_rng(0), 50)
    assert further_counts(curves, keep, n, 60, 0.0108).sum() == 0
    assert further_counts(curves, keep, n, 63, 0.0108).sum() == 3


def test_both_stages_take_a_quarter_of_the_budget_at_most_but_half_of_n():
    keep = np.full(10, 0.5)
    assert pilot_counts(keep, 64, 160).tolist() == [2] * 10  # 4 * (20 + 20) is 160
    assert pilot_counts(keep, 64, 159).tolist() == [1] * 10
    assert pilot_counts(keep, 64, 10**6).tolist() == branch_counts(keep, 32).tolist()


def test_a_token_that_hardly_leaves_has_no_pilot():
    """n0 = 4: pilots of 4 * 0.5 and none for 4 * 0.125 = 1/2, second stages of 2 and 1: 4 * 5 is 20."""
    assert pilot_counts(np.array([0.5, 0.875, 1.0]), 64, 20).tolist() == [2, 0, 0]


def test_no_budget_is_too_small_for_one_draw_where_something_leaves():
    keep = np.array([0.5, 0.25, 1.0])
    assert pilot_counts(keep, 64, 0).tolist() == [0, 1, 0]
    curves = draw_curves(keep, [0, 1, 0], [0, 0, 0], False, np.random.default_rng(0), 50)
    assert second_counts(curves, keep, np.array([0, 1, 0]), 0, 0.0108).tolist() == [1, 1, 0]


def test_the_second_stage_gets_a_twentieth_of_the_budget_more():
    keep, pilot = np.full(6, 0.5), np.full(6, 2)
    curves = draw_curves(keep, pilot, np.full(6, 1), False, np.random.default_rng(0), 50)
    second = second_counts(curves, keep, pilot, 200, 0.0108)
    assert second.sum() == 6 * 2 + 10
    assert (second >= pilot).all()
