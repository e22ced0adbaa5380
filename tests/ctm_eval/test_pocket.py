"""The generator of `pocket`: right, seeded, varied, and without leaks between its splits."""

import subprocess
import sys

import pytest

from ctm_eval.pocket import arithmetic_is_right, problems, training_rows
from ctm_eval.pocket.corpus import with_slips
from ctm_eval.pocket.families import FAMILIES
from ctm_eval.pocket.generator import SPLITS, Draft, _tenth, draw_draft, tell


def first(split, count, seed=0):
    return list(problems(split, count, seed))


def test_every_worked_solution_ends_in_the_answer_and_its_arithmetic_holds():
    for problem in first("test", 1000):
        assert problem.solution.endswith(f"#### {problem.answer}")
        assert arithmetic_is_right(problem.solution)


def test_every_program_prints_the_answer():
    sample = first("test", 300)
    program = "\n".join(problem.program for problem in sample)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == [problem.answer for problem in sample]


def test_thirty_families_and_more_of_two_to_five_steps():
    assert len(FAMILIES) >= 30
    sample = first("test", 2000)
    assert {problem.family.split("+")[0] for problem in sample} == {f.name for f in FAMILIES}
    assert {problem.level for problem in sample} == {2, 3, 4, 5}


def test_the_wording_varies():
    """A family told with one set of numbers and names in hand can be told in several ways."""
    assert all(len(family.ask.split("|")) > 1 for family in FAMILIES)
    assert all(len(sentence.split("|")) > 1 for f in FAMILIES for sentence in f.story)


def test_train_and_test_share_no_problem():
    """A problem is its families and its numbers; names and wording do not make it another one."""
    from random import Random

    signatures = {
        split: {draw_draft(Random(f"{split} {i}"), split).signature for i in range(3000)}
        for split in SPLITS
    }
    assert not signatures["train"] & signatures["test"]
    assert not signatures["train"] & signatures["dev"]
    assert not signatures["dev"] & signatures["test"]


def test_the_corpus_holds_no_test_question():
    prompts = {row["prompt"] for row in training_rows(3000)}
    assert not any(f"Question: {p.question}\nAnswer:" in prompts for p in first("test", 1000))


def test_no_question_comes_twice():
    questions = [problem.question for problem in first("test", 2000)]
    assert len(set(questions)) == len(questions)


def test_the_same_seed_gives_the_same_problems_and_fewer_are_a_prefix():
    assert first("test", 20) == first("test", 50)[:20]
    assert first("test", 20) != first("test", 20, seed=1)


def test_unknown_split_is_refused():
    with pytest.raises(KeyError):
        first("validation", 1)


def slipped(count):
    """(draft, its steps as taken, result errors) for corpus problems."""
    from random import Random

    for i in range(count):
        rng = Random(f"slips {i}")
        draft: Draft = draw_draft(rng, "train")
        yield draft, *with_slips(draft, tell(draft, rng), rng)


def test_most_slips_are_of_reasoning_with_arithmetic_that_is_right():
    wrong = [(draft, steps, off) for draft, steps, off in slipped(3000) if steps != draft.steps]
    assert len(wrong) > 300
    assert sum(any(off) for _, _, off in wrong) < len(wrong) / 10


def test_a_tenth_of_all_problems_is_for_testing():
    share = sum(_tenth(f"family:{i}") in SPLITS["test"] for i in range(5000)) / 5000
    assert 0.08 < share < 0.12


@pytest.mark.parametrize(
    ("solution", "holds"),
    [("Ann has 3 * 4 = 12 pens.\n#### 12", True), ("7 - 2 = 4", False), ("9 / 2 = 4", False)],
)
def test_arithmetic_is_checked_sum_by_sum(solution, holds):
    assert arithmetic_is_right(solution) is holds
