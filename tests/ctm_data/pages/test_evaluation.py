"""The figures of an evaluation's tables, which are read a part at a time."""

import pytest
from handmade import evaluated_by_hand

from ctm_data.pages.evaluation import paired, summarize
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError

TABLES = ("problems", "solutions", "scores", "programs")


@pytest.fixture
def run(tmp_path):
    return evaluated_by_hand(tmp_path / "run", "110 100")


def changed(folder, table, change):
    """The run with the rows of a table changed."""
    store = Store(folder)
    with Store.open(folder, store.manifest["recipe"]) as store:
        store.write(table, 0, change(store.rows(table, 0)))
    return folder


def test_a_run_in_two_parts_has_the_figures_of_one_in_a_single_part(run):
    whole = summarize(run)
    with Store.open(run, Store(run).manifest["recipe"]) as store:
        for table in TABLES:
            rows = store.rows(table, 0)
            for chunk in (0, 1):
                store.write(table, chunk, [r for r in rows if r["problem_id"] == f"p{chunk}"])
    assert summarize(run) == whole
    assert set(whole.chosen) == {"best", "weighted", "cotnpot maj", "cotnpot best",
                                 "cotnpot weighted"}  # fmt: skip


def test_a_verifier_that_has_not_scored_every_sample_is_left_out(run):
    changed(run, "scores", lambda rows: rows[:-1])
    assert set(summarize(run).chosen) == {"cotnpot maj"}


def test_a_coder_that_has_not_seen_every_sample_is_left_out(run):
    changed(run, "programs", lambda rows: rows[:-1])
    results = summarize(run)
    assert set(results.chosen) == {"best", "weighted"}
    assert results.filters == {}


def test_runs_with_another_question_under_a_name_are_not_compared(run, tmp_path):
    other = evaluated_by_hand(tmp_path / "other")
    changed(other, "problems", lambda rows: [{**row, "question": "else?"} for row in rows])
    with pytest.raises(CtmError, match="p0 is not the same question in"):
        paired(run, other)
