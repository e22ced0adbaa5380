"""Which tokens are marked: curves written out, value before the first token first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ctm_data.estimator.critical import cliff, critical, pivotal

NAN = np.nan


@pytest.mark.parametrize(
    ("value", "token"),
    [
        ([0.5, 0.4, 0.0, 0.0], 1),
        ([0.5, 0.0, 0.1, 0.0, 0.0], 2),  # 10% later resets the candidate
        ([0.5, 0.0, 0.04, 0.0, 0.0], 0),  # 4% later does not
        ([0.5, 0.0, 0.05, 0.0, 0.0], 2),  # below 5% is meant strictly
        ([0.5, 0.04, 0.04, 0.0], 2),
        ([0.0, 0.0, 0.0], 0),  # hopeless from the start: the first token has score 0
        ([0.5, 0.5, 1.0], None),  # it ended well
        ([NAN, NAN, 0.3, 0.0], 2),
        ([NAN, NAN, NAN, 0.0], 2),
    ],
)
def test_the_first_zero_after_which_all_stays_below_five_percent(value, token):
    assert critical(np.array(value)) == token


def by_the_letter(value):
    """The definition read aloud: the first token with score 0 and every later score below 5%."""
    after = value[1:]
    for token, score in enumerate(after):
        if score == 0 and all(later < 0.05 for later in after[token + 1 :]):
            return token
    return None


scores = st.sampled_from([0.0, 1 / 64, 3 / 64, 4 / 64, 0.5, 1.0])


@given(arrays(float, st.integers(2, 12), elements=scores))
def test_the_rule_is_the_papers_definition(value):
    assert critical(value) == by_the_letter(value)


def test_pivotal_tokens_move_the_value_by_a_fifth_either_way():
    assert pivotal(np.array([0.5, 0.3, 0.35, 0.6, 0.6])) == [0, 2]


def test_a_cliff_is_a_drop_beyond_a_tenth_and_its_noise():
    """From 0.5 to 0.2 with N = 64: SE = sqrt((0.25 + 0.16) / 64) = 0.080, so the bar is 0.232 and
    0.3 passes; from 0.5 to 0.3 the bar is 0.240 and 0.2 does not."""
    assert cliff(np.array([0.5, 0.2]), 64) == [0]
    assert cliff(np.array([0.5, 0.3]), 64) == []
