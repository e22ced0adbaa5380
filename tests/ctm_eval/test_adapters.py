"""A folder that peft wrote, an adapter without a tokenizer, as the model."""

import numpy as np
import pytest

from ctm_data import EvalConfig, evaluate
from ctm_eval.engines import Sampling, load_engine


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    """A random adapter of pocket's first layer, saved by peft."""
    import torch
    from peft import LoraConfig, get_peft_model

    from ctm_eval.models import load_model

    torch.manual_seed(0)
    config = LoraConfig(
        r=2, target_modules=["q_proj", "v_proj"], layers_to_transform=[0], init_lora_weights=False
    )
    folder = tmp_path_factory.mktemp("adapter")
    get_peft_model(load_model("pocket", "auto"), config).save_pretrained(folder)
    return folder


def test_an_adapter_as_the_model_is_its_base_with_the_adapter(adapter):
    sequence = [((1, 2, 3), (4, 5, 6))]

    def probs(*model, **options):
        engine = load_engine("transformers", *model, device="cpu", **options)
        [nuclei] = engine.next_token_distributions(sequence, Sampling())
        dense = np.zeros((len(nuclei), engine.model.config.vocab_size))
        for row, nucleus in zip(dense, nuclei, strict=True):
            row[nucleus.token_ids] = nucleus.probs
        return dense

    merged, beside = probs(str(adapter)), probs("pocket", adapter=str(adapter))
    np.testing.assert_allclose(merged, beside, atol=1e-5)
    assert np.abs(merged - probs("pocket")).max() > 1e-2


def test_an_adapter_as_the_model_is_evaluated(adapter, tmp_path):
    config = EvalConfig(tmp_path / "run", model=str(adapter), limit=2, max_new_tokens=4)
    assert evaluate(config)
    assert (tmp_path / "run" / "results_ctm.json").exists()
