"""`train` for real: the built-in model, every method, kills, wrong settings."""

import ast
import json
import math
import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoTokenizer
from typed import Typed

from ctm_eval.pocket import MODEL_DIR, problems
from ctm_train.data import pairs
from ctm_train.errors import TrainError
from ctm_train.methods import METHODS
from ctm_train.record import RECORD, last_checkpoint
from ctm_train.settings import settings_for
from ctm_train.train import METRICS, _advice, _bound_warmup, _in_bfloat16, load, train

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


def weighted(rows, sides=("rejected",)):
    """The rows as token ids, every token of the sides weighing a half: what cdpo and tis-dpo take."""
    ids = pairs(rows, AutoTokenizer.from_pretrained(MODEL))
    return ids.map(
        lambda row: {f"{side}_weights": [0.5] * len(row[f"{side}_ids"]) for side in sides}
    )


def rows_for(method, count=6):
    if method == "cliff-dpo":
        return Dataset.from_list(
            [
                {"prompt_ids": [1], "chosen_ids": [7 + i], "rejected_ids": [8 + i]}
                for i in range(count)
            ]
        )
    sides = {"cdpo": ("rejected",), "tis-dpo": ("chosen", "rejected")}.get(method)
    return weighted(rows(count), sides) if sides else rows(count)


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
sys.path.insert(0, sys.argv[2])
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
    resumed = 0
    for _ in range(3):
        seen = last_checkpoint(folder)
        process = Typed(RUN, folder, tmp_path)
        while last_checkpoint(folder) == seen and process.returncode is None:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.5))
        resumed += process.returncode is None
        process.kill()
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


def test_token_ids_of_another_models_tokenizer_are_refused_in_a_line(tmp_path):
    foreign = Dataset.from_list([{"prompt_ids": [5], "completion_ids": [6, 49151]}])
    with pytest.raises(
        TrainError, match="token id 49151, and pocket has 1024 tokens: give --model"
    ):
        train("sft", foreign, tmp_path / "m", model=MODEL, settings=quick("sft"), name="pocket")


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


@pytest.mark.parametrize("method", ["dpo", "cdpo", "rpo", "tdpo", "kto"])
def test_with_lora_there_is_one_adapter_and_no_copy_for_the_reference(method, tmp_path):
    settings = quick(method, lora=True)
    train(method, rows_for(method), tmp_path / "m", model=MODEL, settings=settings, save_steps=1)
    assert len(list((tmp_path / "m").rglob("adapter_model.safetensors"))) == 1
    assert "ref" not in [path.name for path in (tmp_path / "m").iterdir()]


def test_the_reference_of_an_adapter_is_the_model_without_it(tmp_path):
    """DPO with LoRA on one batch, taken twice: log 2 at first, as policy and reference are one, and less
    once the policy has learnt it."""
    settings = quick("dpo", lora=True, learning_rate=1e-2, epochs=2, batch_size=6)
    train("dpo", rows(), tmp_path / "m", model=MODEL, settings=settings)
    lines = map(json.loads, (tmp_path / "m" / METRICS).read_text().splitlines())
    first, second = (line["loss"] for line in lines if "loss" in line)
    assert first == pytest.approx(math.log(2), abs=1e-4)
    assert second < 0.6


def test_kto_trains_on_completions_with_a_label(tmp_path):
    pair = pairs(rows(), AutoTokenizer.from_pretrained(MODEL))
    labelled = [
        {"prompt_ids": row["prompt_ids"], "completion_ids": row[f"{side}_ids"], "label": label}
        for row in pair
        for side, label in (("chosen", True), ("rejected", False))
    ]
    data = Dataset.from_list(labelled)
    outcome = train("kto", data, tmp_path / "m", model=MODEL, settings=quick("kto"))
    assert (outcome.steps, outcome.still) == (6, False)


def test_kto_in_batches_of_one_is_refused(tmp_path):
    with pytest.raises(TrainError, match="--batch-size of 2 or more"):
        train("kto", rows(), tmp_path / "m", model=MODEL, settings=quick("kto", batch_size=1))
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("method", ["sft", "dpo", "orm"])
def test_the_record_says_how_far_the_model_has_moved(method, tmp_path):
    outcome = train(method, rows(), tmp_path / "m", model=MODEL, settings=quick(method))
    assert outcome.kl is not None and outcome.kl > 1e-6
    assert not outcome.still
    assert json.loads((tmp_path / "m" / RECORD).read_text())["outcome"]["kl"] == outcome.kl


@pytest.mark.parametrize("lora", [True, False])
def test_a_run_that_moved_nothing_is_known_as_one(lora, tmp_path):
    settings = quick("sft", lora=lora, learning_rate=1e-9)
    outcome = train("sft", rows(), tmp_path / "m", model=MODEL, settings=settings)
    assert outcome.still


@pytest.mark.parametrize("method", ["sft", "dpo", "simpo", "orpo", "kto"])
def test_a_recipe_with_lora_moves_the_model_on_a_small_run(method, tmp_path):
    """20 pairs and the method's own recipe: a handful of steps."""
    settings = settings_for(method, bf16=False, gradient_checkpointing=False)
    outcome = train(method, rows(20), tmp_path / "m", model=MODEL, settings=settings)
    assert not outcome.still, outcome


@pytest.mark.parametrize(("count", "warmup"), [(24, 0.1), (40, 2)])
def test_a_warmup_is_a_share_of_the_steps_up_to_a_bound(count, warmup, tmp_path):
    """A tenth of 12 steps is 2 of them (rounded up) and of 20 steps 2: the bound is 1 or 2 below."""
    from types import SimpleNamespace

    arguments = SimpleNamespace(
        train_batch_size=2, world_size=1, num_train_epochs=1, gradient_accumulation_steps=1,
        warmup_steps=0.1, get_warmup_steps=lambda steps: math.ceil(steps * 0.1),
    )  # fmt: skip
    trainer = SimpleNamespace(args=arguments, train_dataset=[0] * count * 10)
    _bound_warmup(trainer, quick("sft", warmup=0.1, warmup_limit=12))
    assert arguments.warmup_steps == (0.1 if count == 24 else 12)


def test_the_last_progress_line_has_the_final_loss(tmp_path):
    seen = []
    outcome = train(
        "sft", rows(), tmp_path / "m", model=MODEL, settings=quick("sft"),
        progress=lambda *told: seen.append(told),
    )  # fmt: skip
    assert [told[1] for told in seen] == [1, 2, 3]
    assert seen[-1][-1] == f"loss {outcome.loss:.4g}"


def test_a_tracker_that_is_not_known_or_not_installed_is_named(tmp_path):
    for name, message in (("nope", "unknown --report-to 'nope'; there are: "), ("clearml", "pip")):
        with pytest.raises(TrainError, match=message):
            train(
                "sft", rows(), tmp_path / "m", model=MODEL, settings=quick("sft"), report_to=[name]
            )
    assert not (tmp_path / "m").exists()


def test_a_kill_between_the_last_record_and_the_cleaning_leaves_nothing_for_good(tmp_path):
    train("sft", rows(), tmp_path / "m", model=MODEL, settings=quick("sft"))
    before = sorted(path.name for path in (tmp_path / "m").iterdir())
    (tmp_path / "m" / "checkpoint-3").mkdir()
    (tmp_path / "m" / ".tmpgtAkyS").write_text("weights that safetensors was writing")
    (tmp_path / "m" / ".training.json.partial").write_text("{")
    train("sft", rows(), tmp_path / "m", model=MODEL, settings=quick("sft"))
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == before


def test_a_kill_in_the_first_record_does_not_lock_the_folder(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / ".training.json.partial").write_text("{")
    train("sft", rows(), tmp_path / "m", model=MODEL, settings=quick("sft"))
    assert not list((tmp_path / "m").glob(".*"))


def test_a_record_of_an_older_version_is_that_of_the_same_training(tmp_path):
    """It calls beta gamma, and does not say whether there is a reference."""
    first = train("dpo", rows(), tmp_path / "m", model=MODEL, settings=quick("dpo"))
    record = json.loads((tmp_path / "m" / RECORD).read_text())
    settings = record["settings"]
    del record["reference"], settings["warmup_limit"], record["outcome"]["kl"]
    settings["gamma"], settings["margin"] = settings.pop("beta"), settings.pop("simpo_gamma")
    (tmp_path / "m" / RECORD).write_text(json.dumps(record))
    again = train("dpo", rows(), tmp_path / "m", model=MODEL, settings=quick("dpo"))
    assert again == replace(first, kl=None)


def test_no_loader_runs_the_code_of_a_repository():
    """Without `trust_remote_code=False` a loader asks at a terminal whether to run it."""
    import ctm_train

    for path in Path(ctm_train.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            loads = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if loads and node.func.attr in ("from_pretrained", "from_config"):
                call = ast.unparse(node)
                assert "trust_remote_code=False" in call, f"{path}: {call}"


SHARE = """
import sys
sys.path.insert(0, sys.argv[2])
from ctm_train.train import train
from tests_train import rows_for, quick, MODEL
train("cdpo", rows_for("cdpo", 16), sys.argv[1], model=MODEL, settings=quick("cdpo", batch_size=4))
"""


def test_two_processes_train_what_one_does_with_twice_the_batch(tmp_path):
    """Two steps on the same sixteen pairs: the same losses, told once. Adam's first step is the sign of the
    gradient, so that a sum in another order turns a few weights around whose gradient is nothing: of the
    weights the means are compared."""
    settings = quick("cdpo", batch_size=8)
    train("cdpo", rows_for("cdpo", 16), tmp_path / "one", model=MODEL, settings=settings)
    (tmp_path / "tests_train.py").symlink_to(__file__)
    (tmp_path / "share.py").write_text(SHARE)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    launch = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    support = str(Path(__file__).parents[1] / "support")
    script = [str(tmp_path / "share.py"), str(tmp_path / "two"), support]
    command = [sys.executable, "-m", *launch, *script]
    subprocess.run(command, env={**environment, "OMP_NUM_THREADS": "1"}, check=True, timeout=120)
    losses = [
        [json.loads(line).get("loss") for line in (tmp_path / name / METRICS).open()]
        for name in ("one", "two")
    ]
    assert [loss is not None for loss in losses[0]] == [
        True,
        True,
        False,
    ]  # two steps, then the run
    assert losses[0][0] != losses[0][1]
    assert losses[1][:2] == pytest.approx(losses[0][:2], abs=1e-5)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    start = load(MODEL, settings)[0].state_dict()
    moved = sum((weight - start[name]).abs().sum() for name, weight in one.items())
    apart = sum((weight - two[name]).abs().sum() for name, weight in one.items())
    assert apart < 0.02 * moved
    assert not (tmp_path / "two" / "rows").exists()


@pytest.mark.parametrize(
    ("processor", "fast"),
    [({"amx_bf16": True}, True), ({"avx512_bf16": True}, True), ({"avx512_f": True}, False), ({}, False)],
)  # fmt: skip
def test_a_processor_computes_in_bfloat16_where_that_is_faster(monkeypatch, processor, fast):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert _in_bfloat16(settings_for("dpo")) == fast
    assert not _in_bfloat16(settings_for("dpo", bf16=False))


def test_a_run_goes_on_on_another_kind_of_processor(tmp_path):
    done = train("sft", rows(), tmp_path, model=MODEL, settings=settings_for("sft", "pocket"))
    record = json.loads((tmp_path / RECORD).read_text())
    record["machine"]["bfloat16"] = not record["machine"]["bfloat16"]
    (tmp_path / RECORD).write_text(json.dumps(record))
    again = train("sft", rows(), tmp_path, model=MODEL, settings=settings_for("sft", "pocket"))
    assert again.steps == done.steps
