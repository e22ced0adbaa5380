"""cDPO on trl against trl's own DPO and against the pure loss, on a tiny model."""

import copy
import random

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, LlamaConfig
from trl import DPOConfig, DPOTrainer

from ctm_train.cdpo import CDPOTrainer
from ctm_train.losses import cdpo_loss

PAD = 0


@pytest.fixture(scope="module")
def tokenizer():
    from ctm_train.pocket import Recipe, corpus, train_tokenizer

    texts = (row["prompt"] + row["completion"] for row in corpus(Recipe(rows=200)))
    return train_tokenizer(texts, 400)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(
        LlamaConfig(
            vocab_size=400,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            pad_token_id=PAD,
            bos_token_id=1,
            eos_token_id=2,
        )
    )


def pairs(chosen_weight=None, rejected_weight=None, count=8):
    """Pairs of random ids of random lengths; weights from functions of a random generator."""
    rng = random.Random(0)

    def ids(low, high):
        return [rng.randrange(5, 400) for _ in range(rng.randrange(low, high))]

    rows = []
    for _ in range(count):
        row = {
            "prompt_ids": [1, *ids(4, 12)],
            "chosen_ids": [*ids(3, 14), 2],
            "rejected_ids": [*ids(3, 14), 2],
        }
        if chosen_weight is not None:
            row["chosen_weights"] = [chosen_weight(rng) for _ in row["chosen_ids"]]
        if rejected_weight is not None:
            row["rejected_weights"] = [rejected_weight(rng) for _ in row["rejected_ids"]]
        rows.append(row)
    return Dataset.from_list(rows)


def one(rng):
    return 1.0


def uniform(rng):
    return rng.random()


def zero(rng):
    return 0.0


def arguments(folder, **options):
    return DPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=4,
        max_steps=3,
        learning_rate=5e-3,
        beta=0.5,
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_dropout=True,
        save_strategy="no",
        disable_tqdm=True,
        **options,
    )


def trainer(kind, model, tokenizer, dataset, folder, **options):
    made = kind(
        model=copy.deepcopy(model),
        ref_model=copy.deepcopy(model),
        args=arguments(folder, **options),
        train_dataset=dataset,
        processing_class=tokenizer,
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # away from the reference, where every loss is log 2
        for parameter in made.model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return made


class StockDPO(DPOTrainer):
    """trl's DPO, but that it takes ids as they are."""

    _prepare_dataset = CDPOTrainer._prepare_dataset


def loss_and_gradient(trainer, dataset):
    batch = trainer.data_collator([dataset[i] for i in range(len(dataset))])
    loss = trainer._compute_loss(trainer.model, batch, False)
    trainer.model.zero_grad()
    loss.backward()
    gradient = torch.cat([p.grad.flatten() for p in trainer.model.parameters()])
    return loss.item(), gradient


@pytest.mark.parametrize("loss_type", [["sigmoid"], ["ipo"], ["hinge"], ["sigmoid", "sft"]])
def test_weights_of_one_are_trls_dpo(model, tokenizer, tmp_path, loss_type):
    dataset = pairs(one, one)
    ours = trainer(CDPOTrainer, model, tokenizer, dataset, tmp_path, loss_type=loss_type)
    stock = trainer(StockDPO, model, tokenizer, pairs(), tmp_path, loss_type=loss_type)
    loss, gradient = loss_and_gradient(ours, dataset)
    stock_loss, stock_gradient = loss_and_gradient(stock, pairs())
    assert loss == pytest.approx(stock_loss, abs=1e-6)
    assert (gradient - stock_gradient).abs().max() < 1e-6


def per_token(model, ids, completions):
    """Log-probabilities of the completions' tokens, (B, T), 0 on padding, by a plain forward pass."""
    sequences = [torch.tensor(a + b) for a, b in zip(ids, completions, strict=True)]
    result = torch.zeros(len(ids), max(map(len, completions)))
    for i, sequence in enumerate(sequences):
        logs = model(sequence[None]).logits[0, :-1].float().log_softmax(-1)
        own = logs.gather(-1, sequence[1:, None])[:, 0][len(ids[i]) - 1 :]
        result[i, : len(own)] = own
    return result


def test_random_weights_are_the_pure_loss(model, tokenizer, tmp_path):
    dataset = pairs(uniform, uniform)
    ours = trainer(CDPOTrainer, model, tokenizer, dataset, tmp_path)
    loss, gradient = loss_and_gradient(ours, dataset)
    columns = dataset.to_dict()
    sides = [
        per_token(which, columns["prompt_ids"], columns[f"{side}_ids"])
        for which in (ours.model, model)
        for side in ("chosen", "rejected")
    ]
    weights = [
        torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(w) for w in columns[f"{side}_weights"]], batch_first=True
        )
        for side in ("chosen", "rejected")
    ]
    pure = cdpo_loss(*sides, *weights, 0.5)
    ours.model.zero_grad()
    pure.backward()
    pure_gradient = torch.cat([p.grad.flatten() for p in ours.model.parameters()])
    assert loss == pytest.approx(pure.item(), abs=1e-6)
    assert (gradient - pure_gradient).abs().max() < 1e-6


def test_weights_of_zero_on_the_rejected_side_leave_it_no_gradient(model, tokenizer, tmp_path):
    """Then what is rejected may be anything."""
    dataset = pairs(one, zero)
    other = dataset.map(lambda row: {"rejected_ids": [7] * len(row["rejected_ids"])})
    gradients = [
        loss_and_gradient(trainer(CDPOTrainer, model, tokenizer, d, tmp_path), d)[1]
        for d in (dataset, other)
    ]
    assert (gradients[0] - gradients[1]).abs().max() < 1e-7


def test_three_steps_of_training_with_weights_of_one_are_trls(model, tokenizer, tmp_path):
    dataset = pairs(one, one)
    ours = trainer(CDPOTrainer, model, tokenizer, dataset, tmp_path)
    stock = trainer(StockDPO, model, tokenizer, pairs(), tmp_path)
    ours.train()
    stock.train()
    for a, b in zip(ours.model.parameters(), stock.model.parameters(), strict=True):
        assert (a - b).abs().max() < 1e-6


def test_a_precomputed_reference_is_weighted_alike(model, tokenizer, tmp_path):
    dataset = pairs(uniform, uniform)
    live, ahead = (
        CDPOTrainer(
            model=copy.deepcopy(model),
            ref_model=copy.deepcopy(model),
            args=arguments(tmp_path, precompute_ref_log_probs=precompute),
            train_dataset=dataset,
            processing_class=tokenizer,
        )
        for precompute in (False, True)
    )
    live.train()
    ahead.train()
    for a, b in zip(live.model.parameters(), ahead.model.parameters(), strict=True):
        assert (a - b).abs().max() < 1e-5


def test_weights_are_truncated_like_the_ids(model, tokenizer, tmp_path):
    dataset = pairs(uniform, uniform)
    ours = trainer(CDPOTrainer, model, tokenizer, dataset, tmp_path, max_length=12)
    batch = ours.data_collator([dataset[i] for i in range(8)])
    assert batch["token_weights"].shape == batch["input_ids"].shape


def test_weights_of_another_length_are_refused(model, tokenizer, tmp_path):
    dataset = pairs(one, one).map(lambda row: {"rejected_weights": [1.0]})
    ours = trainer(CDPOTrainer, model, tokenizer, dataset, tmp_path)
    with pytest.raises(ValueError, match="rejected_weights has 1 entries for"):
        ours.data_collator([dataset[0]])


def test_text_columns_are_refused(model, tokenizer, tmp_path):
    text = Dataset.from_list([{"prompt": "1 + 1 =", "chosen": " 2", "rejected": " 3"}])
    with pytest.raises(ValueError, match="has no chosen_ids, prompt_ids, rejected_ids"):
        trainer(CDPOTrainer, model, tokenizer, text, tmp_path)
