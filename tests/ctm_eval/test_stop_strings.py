"""Stop strings across the border of a prefix; what vllm loads of an adapter's folder."""

import json

import pytest

from ctm_eval.engines.stop_strings import crossing
from ctm_eval.engines.vllm import base_and_adapter
from ctm_eval.errors import CtmError
from ctm_eval.pocket import MODEL_DIR


def spelled(ids):
    return "".join(map(chr, ids))


def ids(text):
    return [ord(character) for character in text]


@pytest.mark.parametrize(
    ("prefix", "drawn", "at"),
    [
        ("42. ##", "## 7", 2),  # begins in the prefix, complete with the second token drawn
        ("42. ####", "anything", 0),
        ("42. ", "#### 7", 4),
        ("42. #", "# ####", 6),
        ("42.", " then more", None),
        ("", "####", None),  # without a prefix nothing can cross its border
    ],
)
def test_a_completion_ends_where_the_string_is_complete(prefix, drawn, at):
    assert crossing(spelled, ids(prefix), ids(drawn), ("####",)) == at


def test_without_stop_strings_nothing_is_decoded():
    assert crossing(lambda ids: 1 / 0, [1], [2], ()) is None


def test_of_an_adapters_folder_vllm_loads_the_base_and_applies_the_adapter(tmp_path):
    settings = {"base_model_name_or_path": str(MODEL_DIR)}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    assert base_and_adapter(str(tmp_path), None) == (str(MODEL_DIR), str(tmp_path))
    assert base_and_adapter("pocket", "an/adapter") == (str(MODEL_DIR), "an/adapter")
    with pytest.raises(CtmError, match="--merge"):
        base_and_adapter(str(tmp_path), "another")
