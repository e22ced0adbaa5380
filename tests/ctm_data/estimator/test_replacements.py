"""Replacement pass@k is unbiased: its draws are independent."""

from types import SimpleNamespace

import numpy as np
import pytest

from ctm_data.estimator.estimators import Tally, Trajectory, replacements
from ctm_data.estimator.settings import RolloutSettings
from ctm_eval.engines import Completion, Nucleus, Sampling
from ctm_eval.metrics import pass_at_k
from ctm_eval.types import Problem

RIGHT, WRONG, OWN, N = 11, 12, 13, 8


class Certain:
    """An engine that ends at once; only the token RIGHT leads to the answer."""

    eos_ids = frozenset({2})

    def sample(self, requests, sampling, progress):
        return [Completion((2,), "stop") for _ in requests]

    def decode(self, ids):
        return "#### 1" if RIGHT in ids else "#### 2"


def trajectory(number):
    nucleus = Nucleus(np.array([OWN, WRONG, RIGHT]), np.array([0.2, 0.7, 0.1]))
    solution = SimpleNamespace(
        solution_id=f"s{number}", token_ids=(OWN, 2), prompt_ids=(1,), correct=False
    )
    problem = Problem("p", "gsm8k", "test", "?", "1")
    there = Tally([WRONG, RIGHT], [False, True])
    return Trajectory(solution, problem, [nucleus] * 2, [0.2, 1.0], [there, Tally()])


@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_pass_at_k_is_on_average_what_it_is_by_definition(k):
    """Another token is RIGHT with 0.1 / 0.8 = 1/8, so that pass@k is 1 - (7/8)^k. Systematic draws of
    8 hold RIGHT exactly once: pass@8 would be 1 instead of 0.656."""
    states = [trajectory(number) for number in range(2000)]
    settings = RolloutSettings(Sampling(), n_rollouts=N, max_new_tokens=8)
    tallies = replacements(Certain(), states, [0] * len(states), settings)
    estimates = np.array([pass_at_k(N, sum(tally.correct), k) for tally in tallies])
    error = estimates.std() / np.sqrt(len(estimates))
    assert abs(estimates.mean() - (1 - (7 / 8) ** k)) < 4 * error
    assert all(len(tally.correct) == N and OWN not in tally.alternatives for tally in tallies)


def test_nothing_is_replaced_where_nothing_is_marked_or_no_other_token_can_be_drawn():
    state = trajectory(0)
    state.nuclei = [Nucleus(np.array([OWN]), np.array([1.0]))] * 2
    settings = RolloutSettings(Sampling(), n_rollouts=N, max_new_tokens=8)
    tallies = replacements(Certain(), [state, trajectory(1)], [0, None], settings)
    assert [tally.correct for tally in tallies] == [[], []]
