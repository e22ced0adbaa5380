"""Critical tokens against the steps that humans marked: worked examples."""

import json

import pytest

from ctm_data.compare_steps import compare_steps, placements, places
from ctm_eval.errors import CtmError

BEFORE = {"before": 1.0, "in": 0.0, "after": 0.0}
IN = {"before": 0.0, "in": 1.0, "after": 0.0}
THIRDS = dict.fromkeys(BEFORE, 1 / 3)

QUESTION = (
    "Carla drives 2 hours at 28 miles an hour. After a break the road goes on for 45 miles. How many "
    "miles does Carla drive?"
)
WRONG = {
    "id": "pocket-0",
    "problem": QUESTION,
    "answer": "101",
    "steps": ["2 * 28 = 56", "56 - 45 = 11", "#### 11"],
    "label": 1,
}


def test_a_token_that_shares_a_character_with_the_step_is_in_it():
    """Tokens of 2 characters each, and the step is characters 3 to 5."""
    tokens = [(0, 2), (2, 4), (4, 6), (6, 8)]
    assert places(tokens, (3, 6)) == ["before", "in", "in", "after"]


def test_a_problem_counts_once_however_many_solutions_it_has():
    """Problem a: before, before; problem b: in. So half of the problems have it before."""
    found = [("a", BEFORE, THIRDS), ("a", BEFORE, THIRDS), ("b", IN, THIRDS)]
    shares = {one.place: one.share.value for one in placements(found)}
    assert shares == {"before": 0.5, "in": 0.5, "after": 0.0}


def test_the_difference_from_a_random_token_is_of_the_means():
    """1/2 against 1/3; the two problems' own are 2/3 and -1/3, which bound the interval."""
    one = placements([("a", BEFORE, THIRDS), ("b", IN, THIRDS)])[0]
    assert one.difference == pytest.approx(1 / 2 - 1 / 3)
    assert (one.low, one.high) == (pytest.approx(-1 / 3), pytest.approx(2 / 3))


def rows(tmp_path, *rows):
    path = tmp_path / "marked.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_marked_solutions_are_rolled_out_and_a_second_call_reads_them(tmp_path, monkeypatch):
    data = rows(tmp_path, WRONG)
    asked = {"data_file": data, "n_rollouts": 32, "max_new_tokens": 40, "device": "cpu"}
    first = compare_steps(tmp_path / "run", **asked)
    assert (first.solutions, first.problems, first.set_aside) == (1, 1, {})
    assert sum(one.share.value for one in first.placements) == 1
    assert sum(one.chance for one in first.placements) == pytest.approx(1)
    monkeypatch.setattr("ctm_data.compare_steps.load_engine", None)
    again = compare_steps(tmp_path / "run", **asked)
    assert [one.share.value for one in again.placements] == [
        one.share.value for one in first.placements
    ]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({**WRONG, "label": -1}, "no solution with a wrong step"),
        ({**WRONG, "answer": ""}, "no solution with a wrong step and a gold answer"),
        ({**WRONG, "answer": "11"}, "its final answer is right: 1"),
        ({**WRONG, "steps": ["2 * 28 = 56 " * 9] * 2}, "longer than --max-new-tokens: 1"),
    ],
)
def test_without_a_solution_to_roll_out_it_says_why(tmp_path, row, says):
    with pytest.raises(CtmError, match=says):
        compare_steps(tmp_path / "run", data_file=rows(tmp_path, row), max_new_tokens=40)
