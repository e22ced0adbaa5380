"""The loss of cDPO: arithmetic worked by hand, and the mistake it must not repeat."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ctm_train.losses import (
    cdpo_loss,
    confpo_reward,
    importance_weights,
    tdpo_loss,
    tis_dpo_loss,
    verifier_loss,
)


def rows(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_three_tokens_by_hand():
    """gamma = 0.5. Chosen, policy over reference: +1, 0, +0.5 with weights of 1: phi = 0.75.
    Rejected: +2, -1, +1 with weights 1, 0.5, 0: phi = 0.5 * (2 - 0.5) = 0.75.
    So the margin is 0 and the loss log 2."""
    chosen, ref_chosen = rows([-1, -2, -0.5]), rows([-2, -2, -1])
    rejected, ref_rejected = rows([-1, -3, -1]), rows([-3, -2, -2])
    ones, weights = torch.ones(1, 3).double(), rows([1, 0.5, 0])
    loss = cdpo_loss(chosen, rejected, ref_chosen, ref_rejected, ones, weights, 0.5)
    assert loss.item() == pytest.approx(math.log(2))


def random_batch(seed, tokens=4):
    generator = torch.Generator().manual_seed(seed)
    return [-torch.rand(3, tokens, generator=generator).double() for _ in range(4)]


def test_weights_of_one_are_dpo():
    batch, ones = random_batch(0), torch.ones(3, 4).double()
    chosen, rejected, ref_chosen, ref_rejected = (side.sum(-1) for side in batch)
    dpo = -F.logsigmoid(0.1 * ((chosen - ref_chosen) - (rejected - ref_rejected))).mean()
    assert cdpo_loss(*batch, ones, ones, 0.1).item() == pytest.approx(dpo.item(), abs=1e-12)


def test_weights_of_zero_leave_the_rejected_side_no_gradient():
    batch, ones = random_batch(1), torch.ones(3, 4).double()
    for side in batch[:2]:
        side.requires_grad_()
    cdpo_loss(*batch, ones, 0 * ones, 1.0).backward()
    assert batch[1].grad.abs().max() == 0
    assert batch[0].grad.abs().min() > 0


def test_the_per_position_loss_of_the_released_code_is_another_number():
    """It takes log sigmoid of (token i of chosen) against (token i of rejected) and averages."""
    batch, ones = random_batch(2), torch.ones(3, 4).double()
    chosen, rejected, ref_chosen, ref_rejected = batch
    per_position = -F.logsigmoid((chosen - ref_chosen) - (rejected - ref_rejected)).mean()
    assert abs(cdpo_loss(*batch, ones, ones, 1.0).item() - per_position.item()) > 0.01


@given(st.integers(0, 10_000))
def test_padding_with_any_weight_changes_nothing(seed):
    batch, ones = random_batch(seed), torch.ones(3, 4).double()
    padded = [F.pad(side, (0, 2)) for side in batch]
    weights = F.pad(ones, (0, 2), value=0.7)
    assert cdpo_loss(*padded, weights, weights, 1.0).item() == pytest.approx(
        cdpo_loss(*batch, ones, ones, 1.0).item(), abs=1e-12
    )


def test_weights_of_another_length_are_refused():
    batch, ones = random_batch(3), torch.ones(3, 4).double()
    with pytest.raises(ValueError, match="differ in shape"):
        cdpo_loss(*batch, ones, ones[:, 1:], 1.0)


def test_tdpo_by_hand():
    """u = 0.5 * ((-1 + 2) - (-3 + 2)) = 1; delta = 0.5 * (0.8 - 0.2) = 0.3; alpha = 0.5:
    -log sigmoid(1 - 0.15) = log(1 + e^-0.85)."""
    values = (torch.tensor([value]) for value in (-1.0, -3.0, -2.0, -2.0, 0.2, 0.8))
    loss = tdpo_loss(*values, gamma=0.5, kl_weight=0.5)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-0.85)), abs=1e-6)


def test_tdpo_sends_no_gradient_through_the_chosen_sides_divergence():
    kl = torch.tensor([0.2], requires_grad=True), torch.tensor([0.8], requires_grad=True)
    ones = [torch.tensor([-1.0], requires_grad=True) for _ in range(2)]
    reference = torch.tensor([-2.0])
    tdpo_loss(*ones, reference, reference, *kl, gamma=0.5, kl_weight=0.5).backward()
    assert kl[0].grad is None
    assert kl[1].grad is not None


def test_tdpo_without_the_divergences_is_dpo():
    generator = torch.Generator().manual_seed(0)
    sides = [torch.randn(4, 3, generator=generator) for _ in range(4)]
    ones = torch.ones(4, 3)
    zero = torch.zeros(4)
    expected = cdpo_loss(*sides, ones, ones, gamma=0.7)
    summed = (side.sum(-1) for side in sides)
    got = tdpo_loss(*summed, zero, zero, gamma=0.7, kl_weight=0.5)
    assert got.item() == pytest.approx(expected.item(), abs=1e-6)


def test_the_verifiers_loss_by_hand():
    """A right token at logit 0 costs log 2, a wrong one at logit log 3 (p = 3/4) log 4; mean 1.5 log 2."""
    logits = torch.tensor([[5.0, 0.0, math.log(3.0), -7.0]])
    targets = torch.tensor([[-1.0, 1.0, 0.0, -1.0]])
    assert verifier_loss(logits, targets).item() == pytest.approx(1.5 * math.log(2))


def test_the_verifiers_gradients_by_hand():
    """(sigmoid(logit) - target) / 2 at the two tokens with a target, nothing elsewhere."""
    logits = torch.tensor([[5.0, 0.0, math.log(3.0), -7.0]], requires_grad=True)
    verifier_loss(logits, torch.tensor([[-1.0, 1.0, 0.0, -1.0]])).backward()
    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx([0, -0.25, 0.375, 0])


def test_a_soft_target_is_met_where_the_probability_equals_it():
    logits = torch.tensor([[math.log(0.25 / 0.75)]], requires_grad=True)
    verifier_loss(logits, torch.tensor([[0.25]])).backward()
    assert logits.grad is not None
    assert logits.grad.item() == pytest.approx(0, abs=1e-7)


def test_confpo_takes_the_tokens_that_are_not_above_the_mean_probability():
    """Probabilities 0.2, 0.9 and 0.4, a mean of 0.5: 0.2 and 0.4 are below. Padding counts nowhere."""
    log_probs = torch.tensor([[0.2, 0.9, 0.4, 1.0]]).log().requires_grad_()
    mask = torch.tensor([[True, True, True, False]])
    reward = confpo_reward(log_probs, mask)
    assert reward.item() == pytest.approx((math.log(0.2) + math.log(0.4)) / 2)
    reward.sum().backward()
    assert log_probs.grad.tolist() == [[0.5, 0.0, 0.5, 0.0]]


def test_confpo_of_one_token_is_its_log_probability():
    log_probs, mask = torch.tensor([[0.3]]).log(), torch.tensor([[True]])
    assert confpo_reward(log_probs, mask).item() == pytest.approx(math.log(0.3))


def test_importance_weights_by_hand():
    """exp of the log-ratio, cut to its bounds: e^-0.5, 1, e^1.5; the inverse for the rejected side."""
    ratio = torch.tensor([-2.0, 0.0, 9.0])
    assert importance_weights(ratio).tolist() == pytest.approx([0.60653, 1, 4.48169], abs=1e-5)
    rejected = importance_weights(ratio, mu=-1.0).tolist()
    assert rejected == pytest.approx([1.64872, 1, 0.22313], abs=1e-5)


def tis(chosen, rejected, kl_weight=1.0):
    """Two chosen tokens of weights 2 and 0.5, one rejected token of weight 3; reference -1 everywhere."""
    return tis_dpo_loss(
        chosen,
        rejected,
        torch.full((1, 2), -1.0),
        torch.full((1, 1), -1.0),
        torch.tensor([[2.0, 0.5]]),
        torch.tensor([[3.0]]),
        torch.tensor([[0.1, 0.4]]),
        torch.tensor([[0.2]]),
        beta=0.5,
        kl_weight=kl_weight,
    )


def test_tis_dpo_by_hand():
    """u = 0.5 * (2 * 0.5 - 0.5 * 1 + 3 * 0.5) = 1; eta = 0.5 * (2 * 0.1 + 0.5 * 0.4 - 3 * 0.2) = -0.1:
    -log sigmoid(1.1) = 0.28734, and without eta -log sigmoid(1) = 0.31326."""
    chosen, rejected = torch.tensor([[-0.5, -2.0]]), torch.tensor([[-1.5]])
    assert tis(chosen, rejected).item() == pytest.approx(0.28734, abs=1e-5)
    assert tis(chosen, rejected, kl_weight=0.0).item() == pytest.approx(0.31326, abs=1e-5)


def test_the_gradient_of_tis_dpo_by_hand():
    """-sigmoid(-1.1) * beta * weight = -0.24974 * 0.5 * (2, 0.5), and + 0.24974 * 0.5 * 3."""
    chosen = torch.tensor([[-0.5, -2.0]], requires_grad=True)
    rejected = torch.tensor([[-1.5]], requires_grad=True)
    tis(chosen, rejected).backward()
    assert chosen.grad[0].tolist() == pytest.approx([-0.24974, -0.06243], abs=1e-5)
    assert rejected.grad[0].tolist() == pytest.approx([0.37461], abs=1e-5)
