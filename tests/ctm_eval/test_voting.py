"""Best-of-k and weighted votes: worked examples, brute force, and what must be equal."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctm_eval.metrics import maj_at_k, pass_at_k
from ctm_eval.voting import best_of_k, weighted_at_k, weighted_vote

samples = st.lists(
    st.tuples(st.sampled_from([None, 0, 1, 2]), st.booleans(), st.integers(0, 3)),
    min_size=1,
    max_size=7,
)


def test_the_best_of_two_by_hand():
    """Scores 3, 2, 1 with only the middle one right: the pairs are won by ranks 0, 0 and 1, so 1/3;
    alone each is as likely; of three the wrong first wins."""
    assert best_of_k([0, 1, 0], [3, 2, 1]) == pytest.approx([1 / 3, 1 / 3, 0])


def test_scores_are_summed_over_equal_answers():
    """7 has 0.4 + 0.4, 5 has 0.7."""
    assert weighted_vote([7, 7, 5], [1, 1, 0], [0.4, 0.4, 0.7]) == 1
    assert weighted_vote([7, 7, 5], [1, 1, 0], [0.3, 0.3, 0.7]) == 0


def test_a_tie_is_broken_at_random():
    assert weighted_vote([7, 5], [1, 0], [0.5, 0.5]) == 0.5


def test_without_any_answer_the_vote_is_wrong():
    assert weighted_vote([None, None], [0, 0], [1.0, 2.0]) == 0


@given(samples)
def test_best_of_k_is_the_mean_over_all_subsets(rows):
    """Equal scores are kept apart here: ties have a test of their own."""
    correct = [float(right) for _, right, _ in rows]
    scores = [score + i / 100 for i, (_, _, score) in enumerate(rows)]
    for k, got in enumerate(best_of_k(correct, scores), 1):
        subsets = list(combinations(range(len(rows)), k))
        won = [correct[max(subset, key=lambda i: scores[i])] for subset in subsets]
        assert got == pytest.approx(sum(won) / len(won))


@given(samples)
def test_best_of_one_is_a_sample(rows):
    correct = [float(right) for _, right, _ in rows]
    assert best_of_k(correct, [s for *_, s in rows])[0] == pytest.approx(sum(correct) / len(rows))


@given(samples)
def test_equal_scores_make_best_of_k_a_sample_for_every_k(rows):
    correct = [float(right) for _, right, _ in rows]
    mean = sum(correct) / len(rows)
    assert best_of_k(correct, [0.5] * len(rows)) == pytest.approx([mean] * len(rows))


@given(samples)
def test_a_perfect_verifier_is_the_oracle(rows):
    correct = [float(right) for _, right, _ in rows]
    n = len(rows)
    expected = [pass_at_k(n, int(sum(correct)), k) for k in range(1, n + 1)]
    assert best_of_k(correct, correct) == pytest.approx(expected)


@given(samples)
def test_equal_weights_are_the_majority_vote(rows):
    """Answers decide what is right, as in a benchmark."""
    answers = [answer for answer, *_ in rows]
    correct = [float(answer == 1) for answer in answers]
    groups = [(answers.count(a), float(a == 1)) for a in (0, 1, 2) if a in answers]
    majority = maj_at_k(groups, answers.count(None))[-1]
    assert weighted_vote(answers, correct, [0.7] * len(rows)) == pytest.approx(majority)


@given(samples)
def test_a_vote_of_one_is_a_sample_that_has_an_answer(rows):
    answers = [answer for answer, *_ in rows]
    correct = [float(answer == 1) for answer in answers]
    expected = sum(correct) / len(rows)
    assert weighted_at_k(answers, correct, [1.0] * len(rows), 1) == pytest.approx(expected)


def test_the_same_seed_draws_the_same_subsets():
    answers, correct, weights = [0, 1, 2, 1, 0], [0, 1, 0, 1, 0], [0.1, 0.9, 0.3, 0.2, 0.8]
    assert weighted_at_k(answers, correct, weights, 3, seed=4) == weighted_at_k(
        answers, correct, weights, 3, seed=4
    )
