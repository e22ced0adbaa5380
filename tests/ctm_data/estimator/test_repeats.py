"""Runs simulated on known success rates: what each way of spending rollouts would see."""

import numpy as np
import pytest

from ctm_data.estimator.repeats import adaptive_rounds, agree, simulate
from ctm_data.estimator.settings import RolloutSettings
from ctm_eval.engines import Sampling

HALF = np.full(4, 0.5)


def settings(**ways):
    return RolloutSettings(Sampling(), **ways)


def test_exhaustive_rollouts_leave_where_their_prefixes_say():
    """64 from each of two prefixes: half of the 64 leave at the first token; the 32 that follow it and
    64 more reach the second, where half of 96 leave. 4.5 standard errors of 400 runs."""
    rng, chosen = np.random.default_rng(0), settings(estimator="exhaustive")
    left = [simulate(HALF[:2], np.zeros(2), False, chosen, rng)[0] for _ in range(400)]
    error = 4.5 * np.sqrt(np.array([16, 32]) / 400)
    assert (np.abs(np.mean(left, axis=0) - [32, 48]) < error).all()


def test_label_only_looks_no_further_than_a_value_of_5_percent():
    """From the right: nothing wins at the last token; all win at the third, whose value of 1/2 ends it."""
    won = simulate(HALF, np.array([1.0, 1, 1, 0]), False, settings(label_only=True),
                   np.random.default_rng(0))  # fmt: skip
    assert [list(own) for own in won] == [[0, 0, 32, 32], [0, 0, 32, 0]]


def test_branch_makes_n_times_the_leaving_mass():
    n, won = simulate(HALF, np.ones(4), False, settings(n_rollouts=9), np.random.default_rng(0))
    assert [list(n), list(won)] == [[5] * 4, [5] * 4]


@pytest.mark.parametrize(
    "ways", [{}, {"estimator": "exhaustive"}, {"label_only": True}, {"adaptive": True}]
)
def test_two_runs_agree_on_a_cliff(ways):
    """Everything wins up to the second token and nothing after it."""
    rng = np.random.default_rng(0)
    assert all(
        agree(HALF, np.array([1.0, 1, 0, 0]), False, settings(n_rollouts=400, **ways), rng)
        for _ in range(5)
    )


def test_two_runs_of_few_rollouts_do_not_always_agree_on_a_creep():
    rng, keep, rate = np.random.default_rng(0), np.full(40, 0.8), np.linspace(0.2, 0.0, 40)
    found = [agree(keep, rate, False, settings(n_rollouts=4), rng) for _ in range(12)]
    assert sum(found) < 12


def test_adaptive_rounds_stop_at_the_budget():
    """A quarter of 64 rollouts a token, 40 tokens: 640."""
    chosen = settings(adaptive=True, confidence=1.0, budget=0.25)
    rate = np.linspace(0.2, 0.0, 40)
    rounds = adaptive_rounds(np.full(40, 0.8), rate, False, chosen, np.random.default_rng(0))
    assert sum(n.sum() for n, _ in rounds) == 640
    assert (rounds[1][0] >= rounds[0][0]).all()
