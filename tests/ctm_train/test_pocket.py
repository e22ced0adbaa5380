"""The script that builds `pocket`, on a model and a corpus small enough for a test."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typed import Typed

from ctm_train.pocket import Recipe, batches, build, corpus, main, train_tokenizer

TINY = Recipe(
    rows=600,
    hidden_size=32,
    layers=1,
    heads=2,
    intermediate_size=64,
    batch_tokens=2048,
    vocab_size=400,
)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer((r["prompt"] + r["completion"] for r in corpus(TINY)), 400)


def test_every_digit_is_a_token_of_its_own(tokenizer):
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("12 * 305 = 3660").input_ids)
    assert [p.strip("Ġ") for p in pieces[1:]] == list("12*305=3660")


@pytest.mark.parametrize("text", ["Ann has 3 * 4 = 12 pens.\n#### 12", "π ≈ 3.14 🙂\t{x}", ""])
def test_decoding_gives_the_text_back(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


def test_prompt_and_completion_tokenise_apart_as_together(tokenizer):
    row = next(iter(corpus(TINY)))
    apart = (
        tokenizer(row["prompt"]).input_ids
        + tokenizer(row["completion"], add_special_tokens=False).input_ids
    )
    assert apart == tokenizer(row["prompt"] + row["completion"]).input_ids


def test_loss_is_taken_on_completions_only_and_on_every_row_once():
    """Rows of 5 and 3 ids with prompts of 2: 3 + 1 labels."""
    rows = [([1, 7, 8, 9, 2], 2), ([1, 5, 2], 2)]
    [(ids, labels)] = batches(rows, replace(TINY, batch_tokens=64), pad=0)
    assert ids.tolist() == [[1, 5, 2, 0, 0], [1, 7, 8, 9, 2]]
    assert labels.tolist() == [[-100, -100, 2, -100, -100], [-100, -100, 8, 9, 2]]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    torch.set_num_threads(1)
    return build(tmp_path_factory.mktemp("pocket") / "whole", TINY)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_the_loss_falls(built):
    losses = [json.loads(line)["loss"] for line in (built / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] - 1


def test_what_is_built_loads_with_transformers(built):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = (
        kind.from_pretrained(built) for kind in (AutoModelForCausalLM, AutoTokenizer)
    )
    assert model.config.vocab_size == len(tokenizer)
    assert tokenizer.eos_token_id == model.config.eos_token_id


PROGRAM = """
import sys, torch
from pathlib import Path
from ctm_train.pocket import Recipe, build
torch.set_num_threads(1)
recipe = Recipe(rows=600, hidden_size=32, layers=1, heads=2, intermediate_size=64,
                batch_tokens=2048, vocab_size=400)
build(Path(sys.argv[1]), recipe, checkpoint_seconds=0)
"""


def test_killed_and_resumed_gives_the_same_weights(built, tmp_path):
    folder = tmp_path / "killed"
    process = Typed(PROGRAM, folder)
    while not (folder / "checkpoint.pt").exists():
        assert process.returncode is None
        time.sleep(0.01)
    time.sleep(0.2)
    process.kill()
    assert not (folder / "model.safetensors").exists()
    build(folder, TINY)
    assert weights(folder) == weights(built)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    process = Typed(PROGRAM, tmp_path)
    while not (tmp_path / "checkpoint.pt").exists():
        time.sleep(0.01)
    process.kill()
    with pytest.raises(ValueError, match="belongs to another recipe"):
        build(tmp_path, replace(TINY, seed=1))


@pytest.fixture(scope="module")
def further(built, tmp_path_factory):
    recipe = replace(TINY, task="coder", start=str(built), rows=60)
    return build(tmp_path_factory.mktemp("coder") / "whole", recipe)


def test_a_coder_has_the_tokenizer_and_the_shape_of_the_model_it_starts_from(built, further):
    for name in ("tokenizer.json", "config.json"):
        assert (further / name).read_bytes() == (built / name).read_bytes()
    assert weights(further) != weights(built)


def test_a_coder_starts_from_the_weights_of_that_model(built, further):
    """A few steps at a small rate leave them near where they were; new ones would be anywhere."""
    from safetensors.torch import load_file

    old, new = (load_file(folder / "model.safetensors") for folder in (built, further))
    name = "model.embed_tokens.weight"
    similarity = torch.nn.functional.cosine_similarity(old[name].float(), new[name].float())
    assert similarity.mean() > 0.9


def test_a_coder_without_a_model_to_start_from_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--task", "coder", "--output-dir", str(tmp_path)])
    assert "give its folder with --start" in capsys.readouterr().err
