"""CE scores: worked examples, invariants, and the `contrast` table for real."""

import math

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from ctm_data.build import build_dataset
from ctm_data.config import BuildConfig
from ctm_data.stages.contrast import ContrastModels, ce_scores, log_ratios
from ctm_eval.errors import CtmError
from ctm_train.settings import settings_for
from ctm_train.train import train


def logits(*probs):
    return torch.tensor(probs).log()


def test_two_tokens_by_hand():
    """p+ = (0.8, 0.2), p- = (0.4, 0.6), beta = 1: p+^2 / p- = (1.6, 0.0667), so s = 0.96 and 0.04."""
    positive, negative = logits([0.8, 0.2], [0.8, 0.2]), logits([0.4, 0.6], [0.4, 0.6])
    scores = ce_scores(positive, negative, torch.tensor([0, 1]))
    assert scores.tolist() == pytest.approx([0.96, 0.04], abs=1e-6)


def test_equal_models_give_the_probability_itself():
    """Why the score is low at any uncertain token, even where both models agree."""
    both = logits([0.5, 0.3, 0.2])
    assert ce_scores(both, both, torch.tensor([1])).item() == pytest.approx(0.3)


def test_beta_zero_is_the_positive_model():
    scores = ce_scores(logits([0.7, 0.3]), logits([0.1, 0.9]), torch.tensor([0]), beta=0.0)
    assert scores.item() == pytest.approx(0.7)


def test_an_implausible_token_scores_zero_and_leaves_the_normaliser():
    """p+ = (0.6, 0.39, 0.01) with a cut at a tenth of the best: the third is out."""
    positive, negative = logits([0.6, 0.39, 0.01]), logits([0.5, 0.4999, 0.0001])
    cut = ce_scores(positive.repeat(2, 1), negative.repeat(2, 1), torch.tensor([2, 0]), 1.0, 0.1)
    assert cut[0] == 0
    assert cut[1].item() == pytest.approx(0.72 / (0.72 + 0.39**2 / 0.4999), abs=1e-5)


@given(st.integers(0, 10_000), st.floats(0, 3))
def test_scores_of_the_whole_vocabulary_sum_to_one(seed, beta):
    generator = torch.Generator().manual_seed(seed)
    positive, negative = torch.randn(2, 1, 6, generator=generator)
    every = ce_scores(positive.repeat(6, 1), negative.repeat(6, 1), torch.arange(6), beta)
    assert every.sum().item() == pytest.approx(1, abs=1e-5)


def test_half_precision_logits_are_scored_in_float32():
    scores = ce_scores(
        logits([0.8, 0.2]).bfloat16(), logits([0.4, 0.6]).bfloat16(), torch.tensor([0])
    )
    assert scores.dtype == torch.float32


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="two"):
        ce_scores(torch.zeros(3, 5), torch.zeros(3, 5), torch.zeros(2, dtype=torch.long))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with both stages, by the built-in model."""
    folder = tmp_path_factory.mktemp("contrast") / "run"
    return build_dataset(
        BuildConfig(folder, limit=12, n_samples=8, n_rollouts=8, max_new_tokens=120)
    )


@pytest.fixture(scope="module")
def pairs(run):
    return run.read("contrast").to_pylist()


def test_every_token_of_both_sides_has_a_score_and_eos_is_one_of_them(pairs):
    eos = 2
    assert pairs
    for pair in pairs:
        for side in ("chosen", "rejected"):
            scores = pair[f"{side}_ce"]
            assert len(scores) == len(pair[f"{side}_ids"])
            assert all(0 <= score <= 1 for score in scores)
        assert pair["chosen_ids"][-1] == eos


def test_the_rejected_side_is_a_trajectory_that_was_rolled_out(run, pairs):
    rolled_out = {row["solution_id"]: row for row in run.read("rollouts").to_pylist()}
    for pair in pairs:
        assert pair["rejected_ids"] == rolled_out[pair["rejected_id"]]["token_ids"]


def test_the_chosen_side_is_right_and_of_the_same_problem(run, pairs):
    solutions = {row["solution_id"]: row for row in run.read("solutions").to_pylist()}
    for pair in pairs:
        chosen = solutions[pair["chosen_id"]]
        assert chosen["correct"]
        assert chosen["problem_id"] == pair["problem_id"]
        assert chosen["token_ids"] == pair["chosen_ids"]


def test_scores_do_not_depend_on_the_batch(run, pairs):
    """Alone, without padding, each completion scores as the table says."""
    models = (str(run.folder / "models" / name) for name in ("positive", "negative"))
    scorer = ContrastModels(*models)
    for pair in pairs[:4]:
        [alone] = scorer.scores([(pair["prompt_ids"], pair["rejected_ids"])])
        assert alone.ce == pytest.approx(pair["rejected_ce"], abs=1e-5)
        assert alone.log_ratio == pytest.approx(pair["rejected_log_ratio"], abs=1e-4)


def test_scores_are_those_of_equation_1_with_the_models_that_transformers_loads(run, pairs):
    from transformers import AutoModelForCausalLM

    pair = pairs[0]
    logp = []
    for name in ("positive", "negative"):
        model = AutoModelForCausalLM.from_pretrained(run.folder / "models" / name)
        ids = torch.tensor([pair["prompt_ids"] + pair["chosen_ids"]])
        with torch.no_grad():
            logp.append(model(ids).logits[0].log_softmax(-1))
    start = len(pair["prompt_ids"])
    for t, token in enumerate(pair["chosen_ids"]):
        at = start + t - 1
        log_s = 2 * logp[0][at] - logp[1][at]
        expected = (log_s - log_s.logsumexp(-1))[token].exp().item()
        assert pair["chosen_ce"][t] == pytest.approx(expected, abs=1e-5)
        ratio = (logp[0][at] - logp[1][at])[token].item()
        assert pair["chosen_log_ratio"][t] == pytest.approx(ratio, abs=1e-4)


def test_two_adapters_on_one_base_score_as_two_models_do(tmp_path, pairs):
    """The base is loaded once; each adapter is switched on for its own pass."""
    from ctm_eval.models import model_path

    base = model_path("pocket")
    for name, seed in (("p", 1), ("n", 2)):
        settings = settings_for("sft", "pocket", lora=True, seed=seed, learning_rate=1e-2)
        sides = [{"prompt_ids": p["prompt_ids"], "completion_ids": p["chosen_ids"]} for p in pairs]
        rows = Dataset.from_list(sides)
        for merge in (False, True):
            folder = tmp_path / f"{name}{'-merged' if merge else ''}"
            train("sft", rows, folder, model=base, settings=settings, merge=merge)
    sequences = [(pair["prompt_ids"], pair["rejected_ids"]) for pair in pairs]
    shared = ContrastModels(str(tmp_path / "p"), str(tmp_path / "n"))
    assert shared.models_loaded == 1
    apart = ContrastModels(str(tmp_path / "p-merged"), str(tmp_path / "n-merged"))
    assert apart.models_loaded == 2
    for one, other in zip(shared.scores(sequences), apart.scores(sequences), strict=True):
        assert one.ce == pytest.approx(other.ce, abs=1e-4)


def test_a_log_ratio_is_the_difference_of_two_log_probabilities():
    """0.6 against 0.3 and 0.4 against 0.7, whatever the logits are normalised by."""
    high, low = (logits([0.6, 0.4]) + 3).repeat(2, 1), logits([0.3, 0.7]).repeat(2, 1)
    found = log_ratios(high, low, torch.tensor([0, 1])).tolist()
    assert found == pytest.approx([math.log(2), math.log(4 / 7)], abs=1e-6)


def test_models_of_different_vocabularies_are_refused(tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    small = LlamaConfig(
        vocab_size=50,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
    )
    LlamaForCausalLM(small).save_pretrained(tmp_path)
    with pytest.raises(CtmError, match="different vocabularies"):
        ContrastModels("pocket", str(tmp_path))


def test_given_models_are_used_and_named_in_every_row(tmp_path):
    options = {"limit": 8, "n_samples": 8, "stages": ["contrast"], "max_new_tokens": 120}
    models = {"positive_model": "pocket", "negative_model": "pocket"}
    run = build_dataset(BuildConfig(tmp_path / "run", **options, **models))
    rows = run.read("contrast").to_pylist()
    assert {row["positive_model"] for row in rows} == {"pocket"}
    assert not (run.folder / "models").exists()
    assert not run.parts("rollouts")


def test_one_model_alone_is_refused(tmp_path):
    with pytest.raises(CtmError, match="both --positive-model and --negative-model"):
        build_dataset(BuildConfig(tmp_path / "run", positive_model="pocket"))
    assert not (tmp_path / "run").exists()


def test_the_table_goes_straight_into_trls_own_dpo_trainer(run, tmp_path):
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    from ctm_eval.models import model_path

    rows = load_dataset(str(run.folder), "contrast", split="train", cache_dir=str(tmp_path))
    trainer = DPOTrainer(
        model=model_path("pocket"),
        args=DPOConfig(
            output_dir=str(tmp_path / "dpo"),
            max_steps=1,
            bf16=False,
            gradient_checkpointing=False,
            report_to="none",
        ),
        train_dataset=rows,
        processing_class=AutoTokenizer.from_pretrained(model_path("pocket")),
    )
    before = AutoModelForCausalLM.from_pretrained(model_path("pocket"))
    trainer.train()
    moved = zip(before.parameters(), trainer.model.parameters(), strict=True)
    assert any(not torch.equal(old, new.cpu()) for old, new in moved)


def test_trl_reads_the_ids_that_were_sampled(run, tmp_path, pairs):
    """Text and ids of a row are one: trl's own tokenization of the text gives our ids."""
    from transformers import AutoTokenizer

    from ctm_eval.models import model_path

    tokenizer = AutoTokenizer.from_pretrained(model_path("pocket"))
    for pair in pairs:
        assert tokenizer(pair["prompt"]).input_ids == pair["prompt_ids"]
        assert tokenizer.decode(pair["chosen_ids"], skip_special_tokens=True) == pair["chosen"]
