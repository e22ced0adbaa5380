"""Real benchmarks: every gold solution is right for itself and wrong for its neighbours."""

import pytest
from rewriting import changed, kept

from ctm_eval.grading import equal, gold_answer, grade, matches


@pytest.fixture(params=["gsm8k_test", "gsm8k_train", "math500"])
def golds_and_solutions(request):
    rows = request.getfixturevalue(request.param)
    if request.param == "math500":
        return "math500", [row["answer"] for row in rows], [row["solution"] for row in rows]
    return "gsm8k", [gold_answer(row) for row in rows], rows


def test_gold_solutions_are_correct_for_their_own_gold(golds_and_solutions):
    benchmark, golds, solutions = golds_and_solutions
    wrong = [
        gold
        for gold, text in zip(golds, solutions, strict=True)
        if not grade(gold, text, benchmark).correct
    ]
    assert wrong == []


@pytest.mark.parametrize("step", [1, 7, 100])
def test_gold_solutions_are_wrong_for_another_gold(golds_and_solutions, step):
    benchmark, golds, solutions = golds_and_solutions
    shifted = golds[step:] + golds[:step]
    accepted = [
        (gold, own)
        for gold, own, text in zip(shifted, golds, solutions, strict=True)
        if grade(gold, text, benchmark).correct and not equal(gold, own)
    ]
    assert accepted == []


def test_values_survive_rewriting_and_not_changing(golds_and_solutions):
    _, golds, _ = golds_and_solutions
    golds = sorted(set(golds))[::3]
    missed = [(g, a) for g in golds for a in kept(g).values() if not matches(g, a)]
    accepted = [(g, a) for g in golds for a in changed(g).values() if matches(g, a)]
    assert (missed, accepted) == ([], [])


def test_every_gold_has_enough_rewritings(golds_and_solutions):
    _, golds, _ = golds_and_solutions
    assert min(len(kept(gold)) for gold in golds) >= 10
    assert min(len(changed(gold)) for gold in golds) >= 5


def test_sympy_is_hardly_ever_asked(golds_and_solutions):
    _, golds, _ = golds_and_solutions
    layers = [
        equal(gold, form).layer
        for gold in sorted(set(golds))[::3]
        for form in (*kept(gold).values(), *changed(gold).values())
    ]
    assert layers.count("sympy") < 0.01 * len(layers)
