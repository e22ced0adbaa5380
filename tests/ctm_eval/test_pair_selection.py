"""Selection as in arXiv 2411.19943: worked examples."""

from dataclasses import dataclass
from random import Random

from ctm_eval.pair_selection import (
    by_answer,
    distinct,
    left_out,
    negatives,
    positives,
    preference_pairs,
)


@dataclass(frozen=True)
class Sample:
    answer: str | None
    correct: bool
    token_ids: tuple[int, ...]


def samples(text):
    """'7+ 7+ 3- 3- 5-': answers with a sign for right or wrong; token ids count up."""
    return [
        Sample(None if word[:-1] == "none" else word[:-1], word.endswith("+"), (i,))
        for i, word in enumerate(text.split())
    ]


def answers(selected):
    return [s.answer for s in selected]


def test_negatives_cover_half_of_the_wrong_cases():
    """Wrong: 3 four times, 5 three times, 8 and 9 once: 4 of 9 is less than half, 7 of 9 is enough."""
    pool = samples("7+ 3- 3- 3- 3- 5- 5- 5- 8- 9-")
    assert answers(negatives(pool, Random(0), top_p=0.5)) == ["3", "5"]


def test_negatives_stop_at_exactly_half():
    assert answers(negatives(samples("3- 3- 5- 6-"), Random(0), top_p=0.5)) == ["3"]


def test_equal_answers_written_differently_are_one_answer():
    assert [len(group) for group in by_answer(samples("0.5- 4- 1/2- 0.50-"))] == [3, 1]


def test_the_most_frequent_wrong_answer_is_rejected_and_the_modal_correct_one_chosen():
    pool = samples("7+ 8+ 3- 5- 5- 7+")
    [(chosen, rejected)] = preference_pairs(pool, negatives(pool, Random(0))[:1], Random(0))
    assert (chosen.answer, rejected.answer) == ("7", "5")


def test_each_rejected_solution_gets_a_chosen_one():
    pool = samples("7+ 3- 5- 5- 9- 9- 9-")
    pairs = preference_pairs(pool, [pool[4], pool[2]], Random(0))
    assert [(chosen.answer, rejected.answer) for chosen, rejected in pairs] == [
        ("7", "9"),
        ("7", "5"),
    ]


def test_no_pair_without_a_correct_solution():
    pool = samples("3- 5-")
    assert preference_pairs(pool, pool[:1], Random(0)) == []


def test_solutions_without_an_answer_are_never_selected():
    pool = samples("none- none- none- 3-")
    assert answers(negatives(pool, Random(0))) == ["3"]


def test_one_positive_a_problem_at_random():
    pool = samples("7+ 7+ 7+ 3-")
    picked = {positives(pool, Random(seed))[0].token_ids for seed in range(40)}
    assert picked == {(0,), (1,), (2,)}


def test_repetitions_count_for_the_frequency_of_an_answer_but_are_one_candidate():
    pool = [Sample("3", False, (1,)), Sample("3", False, (1,)), Sample("5", False, (2,))]
    assert answers(negatives(pool, Random(0))) == ["3"]
    assert len(distinct(pool)) == 2


def test_a_problem_is_taken_with_one_right_sample_or_within_the_pass_rate():
    assert [left_out(right, 4) for right in (0, 1, 4)] == ["never solved", None, None]
    assert left_out(0, 4, (0.0, 1.0)) is None
    rate = (0.25, 0.75)
    assert left_out(0, 4, rate) == "solved in less than 25%"
    assert [left_out(right, 4, rate) for right in (1, 3)] == [None, None]
    assert left_out(4, 4, rate) == "solved in more than 75%"
