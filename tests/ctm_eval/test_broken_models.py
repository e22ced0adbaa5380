"""Folders of models that others made or broke: one line that says so."""

import json

import pytest

from ctm_eval.errors import CtmError
from ctm_eval.models import adapter_base, load_model, load_tokenizer, loading, positions
from ctm_eval.verifiers import training_record

DEEP = "[" * 100_000
RECORD = {"outcome": {}, "method": "orm", "model": "pocket", "data": {}, "settings": {"beta": 0.1}}


def test_deep_json_in_an_adapter_is_refused(tmp_path):
    (tmp_path / "adapter_config.json").write_text(DEEP)
    with pytest.raises(CtmError, match="nested too deeply"):
        adapter_base(tmp_path)


def test_an_adapter_without_a_base_is_refused(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": 3}')
    with pytest.raises(CtmError, match="does not name the base model"):
        adapter_base(tmp_path)


@pytest.mark.parametrize(
    "config", [DEEP, "[]", '{"model_type": 3}', '{"model_type": "llama", "x": ']
)
def test_a_broken_configuration_is_refused(tmp_path, config):
    (tmp_path / "config.json").write_text(config)
    for load in (positions, load_tokenizer, lambda name: load_model(name, "auto")):
        with pytest.raises(CtmError, match="cannot load"):
            load(str(tmp_path))


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("adapter", [False, True])
def test_weights_that_are_a_pickle_run_nothing(tmp_path, adapter):
    """torch reads such a file without running what it names."""
    import torch
    from transformers import LlamaConfig

    sizes = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 8, "num_hidden_layers": 1}
    LlamaConfig(**sizes, num_attention_heads=1).save_pretrained(tmp_path)
    name = "adapter_model.bin" if adapter else "pytorch_model.bin"
    torch.save({"model.norm.weight": Harm(tmp_path / "written")}, tmp_path / name)
    if adapter:
        base = {
            "base_model_name_or_path": "pocket",
            "peft_type": "LORA",
            "target_modules": ["q_proj"],
        }
        (tmp_path / "adapter_config.json").write_text(json.dumps(base))
    with pytest.raises(CtmError, match="a pickle that is broken or names code"):
        load_model(str(tmp_path), "auto")
    assert not (tmp_path / "written").exists()


def test_a_broken_adapter_of_an_engine_is_refused(tmp_path):
    from ctm_eval.engines import load_engine

    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (tmp_path / "adapter_model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CtmError, match="cannot load the model"):
        load_engine("transformers", "pocket", adapter=str(tmp_path), device="cpu")


@pytest.mark.parametrize(
    "record",
    [DEEP, "[]", *(json.dumps({**RECORD, name: 3}) for name in ("method", "model", "data", "settings")),
     json.dumps({**RECORD, "settings": {"beta": "much"}})],
)  # fmt: skip
def test_a_broken_record_of_a_verifier_is_refused(tmp_path, record):
    (tmp_path / "training.json").write_text(record)
    with pytest.raises(CtmError) as refused:
        training_record(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_whole_record_is_taken(tmp_path):
    (tmp_path / "training.json").write_text(json.dumps(RECORD))
    assert training_record(tmp_path)["reference"] is False


def test_a_model_too_large_for_the_memory_is_told_in_one_line():
    import torch

    with pytest.raises(CtmError, match="not enough memory to load 'large'"), loading("large"):
        torch.empty(1 << 52)
