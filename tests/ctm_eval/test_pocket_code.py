"""pocket-code: tasks whose reference programs pass, splits that share none."""

import pytest

from ctm_eval.pocket import tasks
from ctm_eval.pocket.families import FAMILIES
from ctm_eval.sandbox import Program, Sandbox


def test_every_reference_program_passes_its_tests_in_the_sandbox():
    with Sandbox() as sandbox:
        some = list(tasks("test", 300))
        outcomes = sandbox.run([Program(task.program, task.tests) for task in some])
    assert {outcome.status for outcome in outcomes} == {"passed"}


def test_tests_tell_programs_apart():
    """A program that returns the first test's result always fails another in nearly all tasks."""
    told = sum(
        len({test.rsplit("==", 1)[1] for test in task.tests}) > 1 for task in tasks("test", 200)
    )
    assert told >= 190


def test_all_families_occur():
    names = {task.family.split("+")[0] for task in tasks("train", 1500)}
    assert names == {family.name for family in FAMILIES}


def test_a_story_in_its_wording_is_in_one_split_only():
    def wordings(split):
        return {task.question.split(" for this: ")[1] for task in tasks(split, 400)}

    train, test = wordings("train"), wordings("test")
    assert not train & test


def test_a_longer_call_begins_with_a_shorter_one():
    assert list(tasks("dev", 12))[:5] == list(tasks("dev", 5))


def test_other_seeds_give_other_tasks():
    assert {t.question for t in tasks("test", 20, seed=1)} != {
        t.question for t in tasks("test", 20)
    }


@pytest.mark.parametrize("index", range(3))
def test_a_question_names_the_parameters_of_the_function(index):
    task = list(tasks("test", 3))[index]
    head = task.program.splitlines()[0]
    names = head.removeprefix("def solve(").removesuffix("):").split(", ")
    assert all(f"`{name}`" in task.question for name in names)
