"""Recipes over time: a folder of today opens for ever, under whatever names its options have then."""

import hashlib

import pytest

from ctm_data.config import BuildConfig
from ctm_data.run import recipe
from ctm_data.run.recipe import differences, recipe_hash, with_versions
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError

OF_2026_11 = {
    "model": "pocket", "benchmark": "pocket", "split": "test", "data_file": None, "limit": None,
    "n_samples": 64, "temperature": 1.0, "top_p": 0.95, "max_new_tokens": 192, "n_rollouts": 64,
    "estimator": "branch", "label_only": False, "rule": "critical",
    "resolution": 1 - 0.5 ** (1 / 64), "adaptive": False, "confidence": 0.95, "budget": 0.125,
    "trajectories": 1,
    "positive_model": None, "negative_model": None, "ce_beta": 1.0, "ce_plausibility": 0.0,
    "balance": False, "describe": False, "engine": "transformers", "seed": 0, "chunk_size": 16,
}  # fmt: skip


def test_a_folder_of_this_recipe_still_opens(tmp_path):
    with Store.open(tmp_path, OF_2026_11):
        pass
    today = BuildConfig(
        tmp_path, pass_rate=(0, 1)
    ).check()  # before it could be said, all were taken
    with Store.open(tmp_path, today.recipe()) as store:
        assert store.manifest["recipe"] == OF_2026_11


def test_before_there_was_a_resolution_zero_meant_zero():
    new = ("resolution", "adaptive", "confidence", "budget")
    older = {name: value for name, value in OF_2026_11.items() if name not in new}
    assert differences(older, {**OF_2026_11, "resolution": 0.0}) == []
    assert len(differences(older, OF_2026_11)) == 1


ASKING = {"chat": False, "system": None, "few_shot": 0, "few_shot_file": None}


def test_before_there_were_chats_and_shots_a_build_asked_without_either():
    today = {**OF_2026_11, **ASKING, "prompts_sha256": "a0"}
    assert differences(OF_2026_11, today) == []
    assert recipe_hash(OF_2026_11) == recipe_hash(today)
    said = ["chat: False there, True here"]
    assert differences(OF_2026_11, {**today, "chat": True}) == said


def test_an_evaluations_shots_stay_in_its_hash_even_where_they_are_none():
    # As it was when evaluations alone had these options: the parts of their runs carry this hash.
    text = '{"chat": false, "command": "eval", "few_shot": 0}'
    evaluation = {"command": "eval", "chat": False, "few_shot": 0, "few_shot_file": None}
    assert recipe_hash(evaluation) == hashlib.sha256(text.encode()).hexdigest()
    assert recipe_hash({**evaluation, "system": None}) == recipe_hash(evaluation)


def test_the_hash_of_the_prompts_is_compared_where_both_recipes_have_it():
    one, other = {"seed": 0, "prompts_sha256": "a0"}, {"seed": 0, "prompts_sha256": "b1"}
    assert differences(one, {"seed": 0}) == differences({"seed": 0}, one) == []
    assert differences(one, other) == ["prompts_sha256: 'a0' there, 'b1' here"]
    assert recipe_hash(one) == recipe_hash(other) == recipe_hash({"seed": 0})


def test_an_option_that_an_older_recipe_lacks_means_what_it_meant_then(monkeypatch):
    monkeypatch.setitem(recipe.ADDED, "voice", "low")
    assert differences({"seed": 0}, {"seed": 0, "voice": "low"}) == []
    assert recipe_hash({"seed": 0}) == recipe_hash({"seed": 0, "voice": "low"})
    said = ["voice: 'low' there, 'high' here"]
    assert differences({"seed": 0}, {"seed": 0, "voice": "high"}) == said
    assert recipe_hash({"seed": 0}) != recipe_hash({"seed": 0, "voice": "high"})


def test_an_option_under_its_old_name_is_the_same_option(monkeypatch):
    monkeypatch.setitem(recipe.RENAMED, "n_samples", "samples")
    assert differences({"n_samples": 8}, {"samples": 8}) == []
    assert recipe_hash({"n_samples": 8}) == recipe_hash({"samples": 8})


def test_the_hash_is_of_what_the_options_are_and_not_of_how_they_are_written():
    assert recipe_hash({"a": 1, "b": 2.0}) == recipe_hash({"b": 2, "a": 1.0})
    assert recipe_hash({"a": 1}) != recipe_hash({"a": 2})


def test_a_run_of_older_draws_is_another_recipe_and_one_without_draws_is_not():
    drawn = {"engine": "transformers", "temperature": 1.0}
    assert differences(drawn, with_versions(drawn)) == ["sampler: 1 there, 2 here"]
    for other in ({**drawn, "temperature": 0.0}, {**drawn, "engine": "vllm"}):
        assert with_versions(other) == other
    assert recipe_hash({**drawn, "sampler": 1}) == recipe_hash(drawn)


def test_an_adaptive_run_of_the_former_allocation_is_another_recipe(tmp_path):
    former = {**OF_2026_11, "temperature": 0.0, "adaptive": True}
    with Store.open(tmp_path, former):
        pass
    refused = pytest.raises(CtmError, match=r"\(allocation: 1 there, 2 here")
    with refused, Store.open(tmp_path, with_versions(former)):
        pass
    assert "allocation" not in with_versions({**former, "adaptive": False})


def test_a_run_of_the_former_posterior_is_another_recipe_and_an_evaluation_has_none():
    former = {**OF_2026_11, "temperature": 0.0}
    assert differences(former, with_versions(former)) == ["posterior: 1 there, 2 here"]
    evaluation = {"command": "eval", "engine": "vllm", "temperature": 1.0}
    assert with_versions(evaluation) == evaluation


@pytest.mark.parametrize("options", [{"engine": "vllm"}, {"device": "cpu"}])
def test_a_device_map_goes_with_transformers_and_no_device(options):
    with pytest.raises(CtmError, match=r"--device-map|--device or"):
        BuildConfig(device_map="auto", **options).check()
