"""The figures of a run in words."""

import pytest
from handmade import made_by_hand

from ctm_data.pages.summary import how_asked, summarize
from ctm_data.run.store import Store

ASKED = {
    "zero-shot": {"chat": False, "few_shot": 0},
    "1 shot": {"chat": False, "few_shot": 1},
    "8 shots": {"chat": False, "few_shot": 8},
    "chat": {"chat": True, "few_shot": 0},
    "chat, 2 shots": {"chat": True, "few_shot": 2},
}


@pytest.mark.parametrize("said", ASKED)
def test_the_form_of_the_prompts_is_said_in_words(said):
    assert how_asked({"model": "m", **ASKED[said]}) == said


def test_a_recipe_from_before_chats_and_shots_was_zero_shot():
    assert how_asked({"model": "m"}) == "zero-shot"


def test_where_no_model_was_asked_nothing_is_said():
    assert how_asked({"source": "data of others"}) is None


def test_a_chunk_that_was_not_rolled_out_counts_too(tmp_path):
    """Chunk 0 has two wrong solutions of a problem, both rolled out; chunk 1 two right ones of another."""
    made = Store(made_by_hand(tmp_path / "made"))
    recipe = {**made.manifest["recipe"], "trajectories": 2}
    with Store.open(tmp_path / "run", recipe) as store:
        for table in ("problems", "solutions", "rollouts"):
            rows = made.rows(table, 0)
            store.write(table, 0, rows)
            if table != "rollouts":
                right = {"problem_id": "q", "correct": True} if table == "solutions" else {}
                store.write(table, 1, [{**row, "problem_id": "q", **right} for row in rows])
        summary = summarize(store)
    assert (summary.problems, summary.solutions, summary.correct) == (2, 4, 2)
    assert (summary.trajectories, summary.critical) == (2, 2)
    assert summary.left_out == {"always solved": 1}
