"""Figures over graded samples."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctm_eval.metrics import pass_at_k


@given(
    st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))
)
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_sample(case):
    n, correct, k = case
    subsets = list(combinations([True] * correct + [False] * (n - correct), k))
    assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


@pytest.mark.parametrize("case", [(4, 5, 1), (4, 1, 5), (4, 1, 0), (4, -1, 1)])
def test_impossible_counts_are_refused(case):
    with pytest.raises(ValueError, match="pass@k wants"):
        pass_at_k(*case)
