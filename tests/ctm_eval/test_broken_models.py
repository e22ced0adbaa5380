"""Folders of models that others made or broke: one line that says so."""

import json

import pytest

from ctm_eval.errors import CtmError
from ctm_eval.models import adapter_base, load_model, load_tokenizer, positions
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
