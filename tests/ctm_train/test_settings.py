"""Where a setting comes from: the recipe, the preset, the caller, in this order."""

from importlib.resources import files

import pytest

from ctm_train.errors import TrainError
from ctm_train.settings import names, preset_model, settings_for


def test_a_recipe_has_the_papers_settings():
    cdpo = settings_for("cdpo")
    assert (cdpo.learning_rate, cdpo.epochs, cdpo.beta) == (4e-5, 3, 1.0)
    sft = settings_for("sft")
    assert (sft.lora_r, sft.lora_alpha, sft.lora_dropout, sft.warmup_limit) == (8, 16, 0.1, 100)
    assert sft.lora_targets == "gate_proj,up_proj,down_proj"


def test_a_preset_wins_over_the_recipe_and_the_caller_over_both():
    assert settings_for("cdpo").lora
    assert not settings_for("cdpo", "pocket").lora
    assert settings_for("cdpo", "pocket", lora=True).lora


def test_none_means_not_given():
    assert settings_for("cdpo", learning_rate=None).learning_rate == 4e-5


@pytest.mark.parametrize("preset", names("presets"))
def test_every_preset_fits_every_method_and_names_its_model(preset):
    assert preset_model(preset)
    for method in names("recipes"):
        settings_for(method, preset)


@pytest.mark.parametrize("method", names("recipes"))
def test_every_default_of_a_recipe_carries_its_source(method):
    text = files("ctm_train").joinpath("recipes", f"{method}.yaml").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    inherited = False
    for line in lines:
        inherited = inherited or "what follows" in line
        assert inherited or "#" in line, f"{method}.yaml: {line}"


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(TrainError, match=r"unknown method 'cpo'.*there are: cdpo"):
        settings_for("cpo")
    with pytest.raises(TrainError, match=r"unknown preset 'llama'.*llama-3-8b-gsm8k"):
        settings_for("cdpo", "llama")
    with pytest.raises(TrainError, match="unknown settings: learning_rat"):
        settings_for("cdpo", learning_rat=1)


def test_a_rate_of_nothing_is_refused():
    with pytest.raises(TrainError, match="--learning-rate must be above 0"):
        settings_for("cdpo", learning_rate=0.0)


@pytest.mark.parametrize(("method", "whole"), [("simpo", 1e-6), ("kto", 5e-7), ("orpo", 8e-6)])
def test_an_adapter_has_a_learning_rate_of_its_own_unless_one_is_given(method, whole):
    assert settings_for(method).learning_rate == 8e-5
    assert settings_for(method, lora=False).learning_rate == whole
    assert settings_for(method, learning_rate=3e-5).learning_rate == 3e-5


def test_the_bound_of_a_warmup_is_for_the_recipes_own_share():
    assert (settings_for("sft").warmup, settings_for("sft").warmup_limit) == (0.1, 100)
    assert settings_for("sft", warmup=500).warmup_limit == 0


def test_an_unknown_schedule_is_answered_with_the_known_ones():
    with pytest.raises(TrainError, match="unknown --scheduler 'nope'; there are: cosine, linear"):
        settings_for("sft", scheduler="nope")


@pytest.mark.parametrize("method", ["orm", "prm"])
def test_a_head_on_pocket_learns_in_four_passes(method):
    """After one it chose among samples worse than the majority vote."""
    assert settings_for(method, "pocket").epochs == 4
