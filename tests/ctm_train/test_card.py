"""The card of a trained model, from its record."""

from dataclasses import asdict

from ctm_train.card import model_card
from ctm_train.settings import settings_for


def card(method, *, adapter=False):
    record = {
        "method": method,
        "model": "pocket",
        "data": {"data": "runs/train"},
        "rows": 834,
        "settings": asdict(settings_for(method, "pocket", lora=adapter)),
        "versions": {"ctm": "0.1.0", "trl": "1.16.0", "transformers": "5.23.0"},
        "outcome": {"steps": 53, "loss": 0.5},
    }
    return model_card(record, adapter=adapter)


def test_a_verifier_is_loaded_with_its_head():
    assert "from transformers import AutoModelForTokenClassification as Model" in card("prm")
    assert "from peft import AutoPeftModelForTokenClassification as Model" in card(
        "orm", adapter=True
    )
    assert "from transformers import AutoModelForCausalLM as Model" in card("cdpo")


def test_settings_that_the_method_does_not_use_are_left_out():
    assert "| `beta` | 0.3 |" in card("cdpo")
    for name in ("beta", "simpo-gamma", "lora-r"):
        assert f"`{name}`" not in card("prm")
    assert "| `lora-r` | 16 |" in card("orm", adapter=True)
