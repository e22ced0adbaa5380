"""A rolled-out solution on a page: what was tried at its tokens, as far as the tables hold it."""

import pytest
from handmade import made_by_hand

from ctm_data.pages.trajectories import name_tokens, trajectories
from ctm_data.query import connect
from ctm_data.run.store import Store

# Beside ` 4 - 7` (tokens 0, 1, 2): two samples that go on otherwise after ` 4`, one that begins with ` 5`.
SAMPLES = {
    "c": ([0, 5, 6], " 4 + 3 is 7", True),
    "d": ([0, 5, 8], " 4 + 3 is 8", False),
    "e": ([9, 5], " 5 + 3", False),
}


@pytest.fixture
def shown(tmp_path):
    made_by_hand(tmp_path / "run")
    store = Store(tmp_path / "run")
    solution = store.read("solutions").to_pylist()[0]
    added = [
        {**solution, "solution_id": name, "sample_index": index, "token_ids": ids, "text": text,
         "correct": right}
        for index, (name, (ids, text, right)) in enumerate(SAMPLES.items(), 2)
    ]  # fmt: skip
    with Store.open(store.folder, store.manifest["recipe"]) as writable:
        writable.write("solutions", 1, added)
    with connect(tmp_path / "run") as con:
        name_tokens(con)
        yield trajectories(con, ["a", "b"], 2)


def test_samples_that_leave_a_solution_are_its_alternatives(shown):
    others = shown["a"]["others"]
    assert others == {
        0: {"tokens": [[" 5", 1, 0]], "wrong": " 5 + 3"},
        1: {"tokens": [[None, 2, 1]], "right": " + 3 is 7", "wrong": " + 3 is 8"},
    }


def test_replacements_of_the_critical_token_have_an_interval(shown):
    """1 of 2: a Beta(3/2, 3/2), whose 2.5% and 97.5% quantiles are 0.061 and 0.939."""
    assert shown["a"]["replacements"] == [[" 5", 2, 1, 61, 939]]


def test_scores_are_those_of_the_pair(shown):
    assert shown["b"]["ce"] == [900, 200, 100, 800]
    assert shown["a"]["ce"] is None


def test_surprisal_is_in_thousandths_of_a_nat(shown):
    """-ln 0.5 is 0.693."""
    assert shown["a"]["surprisal"] == [693, 693, 693]


def test_pivotal_tokens_and_cliffs_are_marked(shown):
    """0.75, 0.5, 0, 0, 0: two steps of 0.2 or more; with two rollouts a value only a fall of 0.1 + 1.645
    standard errors of 0.35, from 0.5, or of 0.47, from 0.75, would be a cliff."""
    assert shown["b"]["pivotal"] == [0, 1]
    assert shown["b"]["cliff"] == []
    assert shown["a"]["cliff"] == [0]
