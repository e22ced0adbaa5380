"""The rivals' losses over token ids, each against its formula on the same batch."""

import math

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from ctm_eval.pocket import MODEL_DIR
from ctm_train.errors import TrainError
from ctm_train.methods import METHODS
from ctm_train.settings import settings_for

PAIRS = [
    {"prompt_ids": [1, 40, 41, 42], "chosen_ids": [50, 51, 52, 2], "rejected_ids": [60, 61, 2]},
    {"prompt_ids": [1, 43], "chosen_ids": [53, 2], "rejected_ids": [63, 64, 65, 66, 2]},
]


@pytest.fixture
def model():
    return AutoModelForCausalLM.from_pretrained(MODEL_DIR, dtype=torch.float32)


@pytest.fixture
def tokenizer():
    return AutoTokenizer.from_pretrained(str(MODEL_DIR))


def trainer_of(method, model, tokenizer, tmp_path, rows=PAIRS, **given):
    settings = settings_for(method, "pocket", batch_size=2, **given)
    common = {
        "output_dir": str(tmp_path),
        "per_device_train_batch_size": 2,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": "none",
        "logging_steps": 1,
        "learning_rate": 1e-9,
        "max_steps": 1,
        "disable_tqdm": True,
    }
    return METHODS[method](model, tokenizer, Dataset.from_list(rows), settings, common)


def first_loss(trainer):
    trainer.train()
    return next(entry["loss"] for entry in trainer.state.log_history if "loss" in entry)


def log_probs(model, row, side):
    """log pi of each completion token, (T,)."""
    ids = torch.tensor([row["prompt_ids"] + row[f"{side}_ids"]])
    with torch.no_grad():
        logp = model(ids).logits[0].log_softmax(-1)
    start = len(row["prompt_ids"])
    return torch.stack([logp[start + t - 1, y] for t, y in enumerate(row[f"{side}_ids"])])


def mean(values):
    return sum(values) / len(values)


def log_sigmoid(x):
    return -math.log1p(math.exp(-x))


def test_sft_is_the_mean_nll_of_completion_tokens_alone(model, tokenizer, tmp_path):
    rows = [{"prompt_ids": r["prompt_ids"], "completion_ids": r["chosen_ids"]} for r in PAIRS]
    tokens = torch.cat([log_probs(model, row, "chosen") for row in PAIRS])
    loss = first_loss(trainer_of("sft", model, tokenizer, tmp_path, rows))
    assert loss == pytest.approx(-tokens.mean().item(), abs=1e-4)


def test_dpo_starts_at_log_2(model, tokenizer, tmp_path):
    loss = first_loss(trainer_of("dpo", model, tokenizer, tmp_path))
    assert loss == pytest.approx(math.log(2), abs=1e-4)


def test_tdpo_starts_at_log_2(model, tokenizer, tmp_path):
    """Policy and reference are one: no margin and no divergence."""
    loss = first_loss(trainer_of("tdpo", model, tokenizer, tmp_path))
    assert loss == pytest.approx(math.log(2), abs=1e-4)


WEIGHED = [
    {
        **row,
        "chosen_weights": [2.0] * len(row["chosen_ids"]),
        "rejected_weights": [0.5] * len(row["rejected_ids"]),
    }
    for row in PAIRS
]


def test_tis_dpo_is_its_formula_once_the_policy_has_left_the_reference(model, tokenizer, tmp_path):
    """The weights and both divergences enter: the final norm of the policy is scaled after the start."""
    trainer = trainer_of("tis-dpo", model, tokenizer, tmp_path, WEIGHED, beta=0.7, kl_weight=0.5)
    reference = trainer.ref_model
    with torch.no_grad():
        model.model.norm.weight.mul_(1.3)
    sums = []
    for row in WEIGHED:
        total = 0.0
        for side, sign in (("chosen", 1), ("rejected", -1)):
            ids, start = row["prompt_ids"] + row[f"{side}_ids"], len(row["prompt_ids"])
            with torch.no_grad():
                logp, ref = (
                    m(torch.tensor([ids])).logits[0].log_softmax(-1) for m in (model, reference)
                )
            for t, token in enumerate(row[f"{side}_ids"]):
                at = start + t - 1
                kl = (logp[at].exp() * (logp[at] - ref[at])).sum()
                gain = logp[at, token] - ref[at, token] - 0.5 * kl
                total += sign * row[f"{side}_weights"][t] * gain.item()
        sums.append(-log_sigmoid(0.7 * total))
    assert abs(mean(sums) - math.log(2)) > 0.01
    assert first_loss(trainer) == pytest.approx(mean(sums), abs=1e-4)


def test_tis_dpo_without_weights_on_both_sides_is_refused(model, tokenizer, tmp_path):
    rows = [{k: v for k, v in row.items() if k != "chosen_weights"} for row in WEIGHED]
    with pytest.raises(TrainError, match="a weight for every token of both sides"):
        trainer_of("tis-dpo", model, tokenizer, tmp_path, rows)


def test_rpo_adds_the_chosen_sides_mean_nll(model, tokenizer, tmp_path):
    tokens = torch.cat([log_probs(model, row, "chosen") for row in PAIRS])
    loss = first_loss(trainer_of("rpo", model, tokenizer, tmp_path, nll_weight=0.5))
    assert loss == pytest.approx(math.log(2) - 0.5 * tokens.mean().item(), abs=1e-3)


def test_simpo_compares_mean_log_probabilities(model, tokenizer, tmp_path):
    gamma, margin = 2.0, 0.5
    losses = [
        -log_sigmoid(
            gamma
            * (
                log_probs(model, r, "chosen").mean()
                - log_probs(model, r, "rejected").mean()
                - margin
            )
        )
        for r in PAIRS
    ]
    loss = first_loss(
        trainer_of("simpo", model, tokenizer, tmp_path, beta=gamma, simpo_gamma=margin)
    )
    assert loss == pytest.approx(mean(losses), abs=1e-3)


def test_confpo_compares_means_over_the_tokens_below_their_mean_probability(
    model, tokenizer, tmp_path
):
    def reward(row, side):
        tokens = log_probs(model, row, side)
        return tokens[tokens.exp() <= tokens.exp().mean()].mean()

    losses = [
        -log_sigmoid(2.0 * (reward(r, "chosen") - reward(r, "rejected") - 0.5)) for r in PAIRS
    ]
    loss = first_loss(trainer_of("confpo", model, tokenizer, tmp_path, beta=2.0, simpo_gamma=0.5))
    assert loss == pytest.approx(mean(losses), abs=1e-3)


def test_cliff_dpo_is_dpo_on_one_token_and_refuses_more(model, tokenizer, tmp_path):
    rows = [{"prompt_ids": [1, 40, 41], "chosen_ids": [50], "rejected_ids": [60]}] * 2
    loss = first_loss(trainer_of("cliff-dpo", model, tokenizer, tmp_path, rows))
    assert loss == pytest.approx(math.log(2), abs=1e-4)
    with pytest.raises(TrainError, match="one token a side"):
        trainer_of("cliff-dpo", model, tokenizer, tmp_path)


def test_orpo_adds_a_log_odds_ratio_to_the_nll(model, tokenizer, tmp_path):
    """trl takes the NLL over prompt and chosen completion, as the authors' code does."""

    def odds(row, side):
        average = log_probs(model, row, side).mean().item()
        return average - math.log1p(-math.exp(average))

    ratios = [log_sigmoid(odds(r, "chosen") - odds(r, "rejected")) for r in PAIRS]
    whole = [
        {"prompt_ids": r["prompt_ids"][:1], "all_ids": r["prompt_ids"][1:] + r["chosen_ids"]}
        for r in PAIRS
    ]
    nll = -torch.cat([log_probs(model, row, "all") for row in whole]).mean().item()
    loss = first_loss(trainer_of("orpo", model, tokenizer, tmp_path, beta=0.1))
    assert loss == pytest.approx(nll - 0.1 * mean(ratios), abs=1e-3)


def test_kto_starts_at_one_half(model, tokenizer, tmp_path):
    """Policy and reference are one: 1 - sigmoid(0) for either label."""
    loss = first_loss(trainer_of("kto", model, tokenizer, tmp_path))
    assert loss == pytest.approx(0.5, abs=1e-4)


def test_weights_are_cdpos_alone(model, tokenizer, tmp_path):
    """The same rows, weights included, are DPO to DPO."""
    weighted = [{**row, "rejected_weights": [0.0] * len(row["rejected_ids"])} for row in PAIRS]
    trainer = trainer_of("dpo", model, tokenizer, tmp_path, weighted)
    assert "rejected_weights" not in trainer.train_dataset.column_names
    trainer = trainer_of("cdpo", model, tokenizer, tmp_path, weighted)
    assert "rejected_weights" in trainer.train_dataset.column_names
