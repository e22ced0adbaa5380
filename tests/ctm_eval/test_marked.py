"""Solutions whose first wrong step a human marked."""

import json

import pytest

from ctm_eval.errors import CtmError
from ctm_eval.marked import joined, marked_solutions

WRONG = {
    "id": "gsm8k-0",
    "generator": "model",
    "problem": "What is 2 + 3 * 4?",
    "steps": ["3 * 4 = 12.", "2 + 12 = 15.", "The answer is 15."],
    "label": 1,
}
RIGHT = {
    **WRONG,
    "steps": ["3 * 4 = 12.", "The answer is 14."],
    "label": -1,
    "final_answer_correct": True,
}


def read(tmp_path, *rows):
    path = tmp_path / "marked.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return marked_solutions(path)


def test_the_marked_span_is_the_step_that_the_label_names(tmp_path):
    [one] = read(tmp_path, WRONG)
    assert one.label == 1
    assert one.text[slice(*one.span)] == "2 + 12 = 15.\n\n"


def test_steps_are_joined_by_blank_lines_and_follow_one_another():
    assert joined(["ab", "c"]) == (((0, 4), (4, 5)), "ab\n\nc")


def test_a_right_solution_has_no_label_and_no_span(tmp_path):
    [one] = read(tmp_path, RIGHT)
    assert (one.label, one.span, one.final_answer_correct) == (None, None, True)


def test_the_gold_answer_is_what_a_right_solution_of_the_same_problem_says(tmp_path):
    assert [one.problem.answer for one in read(tmp_path, WRONG, RIGHT)] == ["14", "14"]


def test_without_a_right_solution_there_is_no_gold_answer(tmp_path):
    assert read(tmp_path, WRONG)[0].problem.answer == ""


def test_rows_of_one_id_have_ids_of_their_own(tmp_path):
    assert [one.marked_id for one in read(tmp_path, WRONG, WRONG)] == ["gsm8k-0", "gsm8k-0#2"]


def test_an_id_of_two_problems_is_refused_with_both_lines(tmp_path):
    with pytest.raises(CtmError, match=r"line 2 has the id gsm8k-0 of another problem, .*line 1"):
        read(tmp_path, WRONG, {**WRONG, "problem": "What is 1 + 1?"})


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"label": 3}, "one of its 3 steps, or -1, not 3"),
        ({"label": True}, "one of its 3 steps, or -1, not True"),
        ({"label": None}, "not None"),
        ({"steps": []}, "a list of texts `steps`"),
        ({"steps": ["a", " "]}, "a list of texts `steps`"),
        ({"steps": "a"}, "a list of texts `steps`"),
        ({"problem": 1}, "a text `problem`"),
        ({"final_answer_correct": 1}, "true or false"),
    ],
)
def test_a_row_of_another_shape_is_named(tmp_path, wrong, says):
    with pytest.raises(CtmError, match=r"line 1") as raised:
        read(tmp_path, {**WRONG, **wrong})
    assert says in str(raised.value)


def test_champ_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("ctm_eval.benchmarks.champ.find_spec", lambda name: None)
    with pytest.raises(CtmError, match="pip install --no-deps champ-dataset"):
        marked_solutions()


def test_the_marks_of_champ_touch_the_step_that_they_make_wrong():
    pytest.importorskip("champ_dataset")
    marked = marked_solutions()
    wrong = [one for one in marked if one.span]
    assert (len(marked), len(wrong)) == (540, 444)
    for one in wrong:
        start, end = one.steps[one.label]
        assert start <= one.span[0] < end
