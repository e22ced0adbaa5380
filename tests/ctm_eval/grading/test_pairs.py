"""The table of labelled pairs: each group is named after what it guards.

The group `not_understood_yet` holds right answers that are refused; it fails when one is learned.
"""

from ctm_eval.grading import equal, matches


def test_pair_is_graded_as_labelled(pair):
    understood = pair["group"] != "not_understood_yet"
    assert bool(matches(pair["gold"], pair["answer"])) is (pair["equal"] and understood)


def test_pair_is_decided_alike_from_both_sides(pair):
    there, back = (equal(pair["gold"], pair["answer"]), equal(pair["answer"], pair["gold"]))
    assert (there.equal, there.decided) == (back.equal, back.decided)


def test_answer_of_a_pair_equals_itself(pair):
    assert equal(pair["answer"], pair["answer"] + " ")
