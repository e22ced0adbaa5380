"""The samples of a problem on a page."""

import pytest
from handmade import evaluated_by_hand

from ctm_data.pages.answers import answers
from ctm_data.query import connect


@pytest.fixture
def problem(tmp_path):
    folder = evaluated_by_hand(tmp_path / "run")
    with connect(folder) as con:
        yield answers(con, ["p0"], [str(folder)])["p0"]


def test_votes_are_counted_by_answer(problem):
    [side] = problem["sides"]
    assert side["votes"] == [["7", 2, 2], ["8", 1, 0]]


def test_a_sample_has_the_graders_reason(problem):
    because = problem["sides"][0]["samples"][2]["because"]
    assert because.startswith("verdict   not correct (wrong)\n")
    assert "  number  8" in because and "layer     number" in because


def test_a_sample_has_its_score_and_its_program(problem):
    sample = problem["sides"][0]["samples"][2]
    assert sample["scores"] == {"v": 0.1}
    assert sample["programs"] == [
        {"coder": "c", "program": "print(7)", "printed": "7", "result": "disagrees", "description": None}
    ]  # fmt: skip


def test_a_problem_that_no_grader_can_compare_has_no_reason(tmp_path):
    folder = evaluated_by_hand(tmp_path / "run")
    with connect(folder) as con:
        con.execute(
            "create table asked as select * replace (['assert f()'] as tests) from problems"
        )
        con.execute("create or replace view problems as from asked")
        [side] = answers(con, ["p0"], [str(folder)])["p0"]["sides"]
    assert side["votes"] == []
    assert {sample["because"] for sample in side["samples"]} == {None}
