"""The lists of a page: what is in them, and what filters, orders and pages leave."""

import pytest
from handmade import evaluated_by_hand, made_by_hand

from ctm_data.pages.contents import Contents
from ctm_data.query import connect
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError


@pytest.fixture
def run(tmp_path):
    made_by_hand(tmp_path / "run")
    with connect(tmp_path / "run") as con:
        yield Contents(con, Store(tmp_path / "run"), everything=True)


@pytest.fixture
def two(tmp_path):
    folders = [
        evaluated_by_hand(tmp_path / "before", "110 100"),
        evaluated_by_hand(tmp_path / "after", "111 000"),
    ]
    with connect(*folders) as con:
        yield Contents(con, *map(Store, folders))


def ids(contents, name="trajectories", asked=None, **page):
    return [entry["id"] for entry in contents.listed(name, asked, **page)["entries"]]


def test_a_trajectory_is_listed_with_its_critical_token(run):
    """` 4` takes 0.75 to 0 in the first solution, ` the`, of ` theft`, 0.5 to 0 in the other."""
    entries = run.listed("trajectories")["entries"]
    told = [(e["id"], e["piece"], e["word_class"], e["before"], e["fall"]) for e in entries]
    assert told == [("a", " 4", "number", 0.75, 0.75), ("b", " the", "content", 0.5, 0.5)]


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ({"word_class": "number"}, ["a"]),
        ({"fall": "0.6"}, ["a"]),
        ({"fall": "0.5"}, ["a", "b"]),
        ({"verdict": "wrong", "solvable": "0"}, ["a", "b"]),
        ({"verdict": "correct"}, []),
        ({"search": "THE"}, ["b"]),
        ({"order": "position"}, ["a", "b"]),
        ({"order": "tokens"}, ["b", "a"]),
        ({"unheard": "of", "order": "id; drop table trajectories"}, ["a", "b"]),
        ({"fall": "'; drop table trajectories; --"}, []),
    ],
)
def test_filters_and_orders(run, asked, left):
    assert ids(run, asked=asked) == left
    assert run.listed("trajectories", asked)["total"] == len(left)


def test_a_page_is_found_by_an_entry(run):
    page = run.listed("trajectories", count=1, around="b")
    assert (page["total"], page["from"], page["entries"][0]["id"]) == (2, 1, "b")
    assert ids(run, count=1, around="nobody") == ["a"]


def test_a_problem_is_listed_with_its_samples(run):
    [entry] = run.listed("answers")["entries"]
    assert (entry["samples"], entry["n_right"], entry["outcome"]) == (2, 0, "never right")
    assert ids(run, "answers", {"verdict": "wrong"}) == ["p"]
    assert ids(run, "answers", {"verdict": "truncated"}) == []


def test_what_would_divide_nothing_is_no_filter(run):
    told = {of["name"]: [one["name"] for one in of["filters"]] for of in run.described()["lists"]}
    assert told["trajectories"] == ["word_class", "fall", "solvable"]


def test_two_evaluations_are_paired_by_problem(two):
    entries = two.listed("pairs")["entries"]
    told = [(e["id"], e["n_right"], e["n_right_then"], e["outcome"]) for e in entries]
    assert told == [("p1", 1, 0, "less often right"), ("p0", 2, 3, "more often right")]
    assert (
        two.described()["facts"] == "2 problems in common · 1 less often right · 1 more often right"
    )


def test_one_sample_goes_from_right_to_wrong_and_back(tmp_path):
    folders = [
        evaluated_by_hand(tmp_path / "before", "1 0"),
        evaluated_by_hand(tmp_path / "after's", "0 1"),
    ]
    with connect(*folders) as con:
        entries = Contents(con, *map(Store, folders)).listed("pairs")["entries"]
    assert [e["outcome"] for e in entries] == ["right → wrong", "wrong → right"]


def test_a_damaged_part_is_said_in_one_line(tmp_path):
    made_by_hand(tmp_path / "run")
    part = tmp_path / "run" / "rollouts" / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    with (
        pytest.raises(CtmError, match="cannot be read"),
        connect(tmp_path / "run") as con,
    ):
        Contents(con, Store(tmp_path / "run"))
