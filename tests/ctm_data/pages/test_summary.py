"""The figures of a run in words."""

import pytest

from ctm_data.pages.summary import how_asked

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
