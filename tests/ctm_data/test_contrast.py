"""CE scores: worked examples and invariants."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ctm_data.contrast import ce_scores


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
