"""Best-of-k and weighted votes: worked examples, brute force, and what must be equal."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctm_eval.metrics import maj_at_k, pass_at_k
from ctm_eval.voting import best_of_k, weighted_at_k

samples = st.lists(
    st.tuples(st.sampled_from([None, 0, 1, 2]), st.booleans(), st.integers(0, 3)),
    min_size=1,
    max_size=7,
)


def test_the_best_of_two_by_hand():
    """Scores 3, 2, 1 with only the middle one right: the pairs are won by ranks 0, 0 and 1, so 1/3;
    alone each is as likely; of three the wrong first wins."""
    assert best_of_k([0, 1, 0], [3, 2, 1]) == pytest.approx([1 / 3, 1 / 3, 0])


def test_a_kept_sample_is_better_than_any_other():
    """Kept is only the last: it wins wherever it is drawn, in 2 of 3 pairs; the third pair is won by 9."""
    kept = [False, False, True]
    assert best_of_k([0, 1, 1], [9, 5, 1], kept) == pytest.approx([2 / 3, 2 / 3, 1])


def test_scores_are_summed_over_equal_answers():
    """Answer 0 has 0.4 + 0.4, answer 1 has 0.7; then 0.3 + 0.3."""
    assert weighted_at_k([0, 0, 1], [1, 1, 0], [0.4, 0.4, 0.7])[-1] == 1
    assert weighted_at_k([0, 0, 1], [1, 1, 0], [0.3, 0.3, 0.7])[-1] == 0


def test_only_kept_samples_vote_where_there_are_any():
    """Two votes for 0 against a kept one for 1; with nothing kept the two win."""
    assert weighted_at_k([0, 0, 1], [1, 1, 0], [1, 1, 1], [False, False, True])[-1] == 0
    assert weighted_at_k([0, 0, 1], [1, 1, 0], [1, 1, 1], [False] * 3)[-1] == 1


def test_a_tie_is_broken_at_random():
    assert weighted_at_k([0, 1], [1, 0], [0.5, 0.5])[-1] == 0.5


def test_without_any_answer_the_vote_is_wrong():
    assert weighted_at_k([None, None], [0, 0], [1.0, 2.0])[-1] == 0


def test_a_vote_of_negative_scores_is_won_by_the_least_negative():
    assert weighted_at_k([0, 1], [1, 0], [-1.0, -2.0])[-1] == 1


def test_votes_of_fewer_are_means_over_subsets():
    """One of three is right twice; two are {0, 0} or twice a tie of 0 and 1, so (1 + 0.5 + 0.5) / 3;
    rotations of three samples are all pairs."""
    assert weighted_at_k([0, 0, 1], [1, 1, 0], [1.0] * 3) == pytest.approx([2 / 3, 2 / 3, 1])


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
def test_keeping_all_or_none_changes_nothing(rows):
    correct, scores = [float(right) for _, right, _ in rows], [score for *_, score in rows]
    for kept in ([True] * len(rows), [False] * len(rows)):
        assert best_of_k(correct, scores, kept) == pytest.approx(best_of_k(correct, scores))


@given(samples)
def test_equal_weights_are_the_majority_vote(rows):
    """Answers decide what is right, as in a benchmark."""
    answers = [answer for answer, *_ in rows]
    correct = [float(answer == 1) for answer in answers]
    groups = [(answers.count(a), float(a == 1)) for a in (0, 1, 2) if a in answers]
    majority = maj_at_k(groups, answers.count(None))[-1]
    assert weighted_at_k(answers, correct, [0.7] * len(rows))[-1] == pytest.approx(majority)


@given(samples, st.integers(0, 99))
def test_equal_weights_are_the_majority_vote_for_every_k_up_to_sampling(rows, seed):
    answers = [answer for answer, *_ in rows]
    correct = [float(answer == 1) for answer in answers]
    groups = [(answers.count(a), float(a == 1)) for a in (0, 1, 2) if a in answers]
    exact = maj_at_k(groups, answers.count(None))
    drawn = weighted_at_k(answers, correct, [1.0] * len(rows), seed=seed)
    assert drawn == pytest.approx(exact, abs=0.3)  # six standard errors of 100 orders


def test_the_same_seed_draws_the_same_subsets():
    rows = [0, 1, 2, 1, 0], [0, 1, 0, 1, 0], [0.1, 0.9, 0.3, 0.2, 0.8]
    assert weighted_at_k(*rows, seed=4) == weighted_at_k(*rows, seed=4)
    assert weighted_at_k(*rows, seed=4) != weighted_at_k(*rows, seed=5)
