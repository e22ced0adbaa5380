"""`train` for real: the built-in model, every method, kills, wrong settings."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoTokenizer

from ctm_eval.pocket import MODEL_DIR, problems
from ctm_train.data import pairs
from ctm_train.errors import TrainError
from ctm_train.methods import METHODS
from ctm_train.settings import settings_for
from ctm_train.train import METRICS, RECORD, _advice, last_checkpoint, load, train

MODEL = str(MODEL_DIR)


def rows(count=6):
    """Right solutions of pocket problems against their wrong twins, as text."""
    return Dataset.from_list(
        [
            {
                "prompt": f"Question: {problem.question}\nAnswer:",
                "chosen": problem.solution,
                "rejected": problem.solution.replace("=", "= 1"),
                "completion": problem.solution,
                "correct": True,
            }
            for problem in problems("train", count, 0)
        ]
    )


def weighted(rows):
    """The rows as token ids, every rejected token weighing a half: what cdpo takes."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    ids = pairs(rows, tokenizer)
    return ids.map(lambda row: {"rejected_weights": [0.5] * len(row["rejected_ids"])})


def rows_for(method, count=6):
    return weighted(rows(count)) if method == "cdpo" else rows(count)


def quick(method, **given):
    given = {"epochs": 1, "batch_size": 2, "learning_rate": 1e-4, "warmup": 0, **given}
    return settings_for(method, "pocket", **given)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_changes_the_weights_and_writes_a_model_that_loads(method, tmp_path):
    outcome = train(
        method, rows_for(method), tmp_path / "model", model=MODEL, settings=quick(method)
    )
    assert outcome.steps == (6 if method == "kto" else 3)
    before, after = (
        load_file(MODEL_DIR / "model.safetensors"),
        load_file(tmp_path / "model" / "model.safetensors"),
    )
    changed = [
        name
        for name, weight in before.items()
        if name in after and not torch.equal(weight.float(), after[name])
    ]
    assert changed
    assert "checkpoint" not in " ".join(path.name for path in (tmp_path / "model").iterdir())


def test_methods_and_recipes_are_the_same_list():
    from ctm_train.settings import names

    assert names("recipes") == sorted(METHODS)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train("dpo", rows(), tmp_path / name, model=MODEL, settings=quick("dpo", seed=seed))
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


RUN = """
import sys
from ctm_train.train import train
from tests_train import rows, quick, MODEL
train("sft", rows(24), sys.argv[1], model=MODEL, settings=quick("sft", epochs=3), save_steps=2)
"""


def test_a_run_that_is_killed_goes_on_and_gives_the_same_weights(tmp_path):
    """Three kills at random moments after the first checkpoint; 36 steps in all."""
    settings = quick("sft", epochs=3)
    train("sft", rows(24), tmp_path / "whole", model=MODEL, settings=settings, save_steps=2)
    folder, rng = tmp_path / "killed", random.Random(0)
    (tmp_path / "tests_train.py").symlink_to(__file__)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    resumed = 0
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", RUN, str(folder)], env=environment)
        seen = last_checkpoint(folder)
        while last_checkpoint(folder) == seen and process.poll() is None:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.5))
        resumed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert resumed
    train("sft", rows(24), folder, model=MODEL, settings=settings, save_steps=2)
    for file in ("model.safetensors", "config.json"):
        assert (folder / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    steps = [json.loads(line)["step"] for line in (folder / METRICS).read_text().splitlines()]
    assert steps[:36] == list(range(1, 37))


def test_a_finished_run_is_not_done_again(tmp_path):
    first = train("sft", rows(), tmp_path / "m", model=MODEL, settings=quick("sft"))
    before = (tmp_path / "m" / "model.safetensors").stat().st_mtime_ns
    assert train("sft", rows(), tmp_path / "m", model=MODEL, settings=quick("sft")) == first
    assert (tmp_path / "m" / "model.safetensors").stat().st_mtime_ns == before


def test_another_training_in_the_same_folder_is_refused_with_the_difference(tmp_path):
    train("sft", rows(), tmp_path / "m", model=MODEL, settings=quick("sft"))
    with pytest.raises(TrainError, match=r"settings.seed: 0 there, 5 here"):
        train("sft", rows(), tmp_path / "m", model=MODEL, settings=quick("sft", seed=5))


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(TrainError, match="not empty"):
        train("sft", rows(), tmp_path, model=MODEL, settings=quick("sft"))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_loss_that_is_not_a_number_stops_the_run_and_says_what_to_lower(tmp_path):
    settings = quick("sft", learning_rate=1e30)
    with pytest.raises(TrainError, match="lower --learning-rate"):
        train("sft", rows(12), tmp_path / "m", model=MODEL, settings=settings)
    assert "outcome" not in json.loads((tmp_path / "m" / RECORD).read_text())


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(),
              RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")],
)  # fmt: skip
def test_running_out_of_memory_says_what_to_lower(error):
    with pytest.raises(TrainError, match="lower --batch-size"), _advice():
        raise error


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    with pytest.raises(RuntimeError, match="shape"), _advice():
        raise RuntimeError("a wrong shape")


def test_merging_folds_the_adapter_in_without_changing_what_the_model_says(tmp_path):
    lora = {"lora": True, "lora_r": 2, "learning_rate": 1e-2}
    train("sft", rows(), tmp_path / "a", model=MODEL, settings=quick("sft", **lora))
    settings = quick("sft", **lora)
    train("sft", rows(), tmp_path / "m", model=MODEL, settings=settings, merge=True)
    assert (tmp_path / "a" / "adapter_model.safetensors").stat().st_size < 100_000
    assert "model.safetensors" in [path.name for path in (tmp_path / "m").iterdir()]
    ids = torch.tensor([[1, 17, 25, 300, 12]])
    plain = replace(settings, lora=False)
    folded, adapted = (load(str(tmp_path / name), plain)[0](ids).logits for name in "ma")
    base = load(MODEL, plain)[0](ids).logits
    assert torch.allclose(folded, adapted, atol=1e-4)
    assert not torch.allclose(folded, base, atol=1e-2)


def test_an_adapter_leaves_the_model_it_is_for_alone(tmp_path):
    settings = quick("dpo", lora=True, learning_rate=1e-2)
    train("dpo", rows(), tmp_path / "m", model=MODEL, settings=settings)
    saved = load_file(tmp_path / "m" / "adapter_model.safetensors")
    assert all("lora_" in name for name in saved)


def test_a_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TrainError, match="no/model"):
        train(
            "sft", rows(), tmp_path / "m", model=str(tmp_path / "no/model"), settings=quick("sft")
        )
    assert not (tmp_path / "m").exists()


def test_lora_targets_that_the_model_lacks_are_named(tmp_path):
    settings = quick("sft", lora=True, lora_targets="query_key_value")
    with pytest.raises(TrainError, match="query_key_value"):
        train("sft", rows(), tmp_path / "m", model=MODEL, settings=settings)


def test_the_record_and_the_card_say_how_the_model_was_made(tmp_path):
    from huggingface_hub import ModelCard

    train(
        "cdpo", rows_for("cdpo"), tmp_path / "m", model=MODEL, settings=quick("cdpo"), name="pocket"
    )
    record = json.loads((tmp_path / "m" / RECORD).read_text())
    assert record["settings"]["learning_rate"] == 1e-4
    assert record["outcome"]["steps"] == 3
    card = ModelCard.load(tmp_path / "m" / "README.md")
    assert card.data.tags == ["ctm", "critical-tokens", "trl", "cdpo"]
    assert "label smoothing" in card.text
    assert MODEL not in card.content


SHARE = """
import sys
from ctm_train.train import train
from tests_train import rows_for, quick, MODEL
train("cdpo", rows_for("cdpo", 8), sys.argv[1], model=MODEL, settings=quick("cdpo", batch_size=4))
"""


def test_two_processes_train_what_one_does_with_twice_the_batch(tmp_path):
    """One step on the same eight pairs. Adam's first step is the sign of the gradient, so a sum in
    another order turns a few weights around whose gradient is nothing: the means are compared."""
    settings = quick("cdpo", batch_size=8)
    train("cdpo", rows_for("cdpo", 8), tmp_path / "one", model=MODEL, settings=settings)
    (tmp_path / "tests_train.py").symlink_to(__file__)
    (tmp_path / "share.py").write_text(SHARE)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "ACCELERATE_USE_CPU": "true"}
    launch = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [sys.executable, "-m", *launch, str(tmp_path / "share.py"), str(tmp_path / "two")]
    subprocess.run(command, env={**environment, "OMP_NUM_THREADS": "1"}, check=True, timeout=120)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    start = load(MODEL, settings)[0].state_dict()
    moved = sum((weight - start[name]).abs().sum() for name, weight in one.items())
    apart = sum((weight - two[name]).abs().sum() for name, weight in one.items())
    assert apart < 0.02 * moved
    assert not (tmp_path / "two" / "rows").exists()
