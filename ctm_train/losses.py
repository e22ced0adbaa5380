"""Losses as pure functions of per-token log-probabilities."""

import torch
import torch.nn.functional as F


def cdpo_loss(
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    ref_chosen: torch.Tensor,
    ref_rejected: torch.Tensor,
    chosen_weights: torch.Tensor,
    rejected_weights: torch.Tensor,
    gamma: float,
) -> torch.Tensor:
    """The loss of cDPO, a mean over pairs: a scalar.

    The first four arguments are log-probabilities of the completions' tokens under the policy and the
    reference, (B, T) each and 0 on padding (chosen and rejected may differ in T); the weights have the
    shape of their side. With phi = gamma * sum_t w_t (log pi - log pi_ref), the loss of a pair is
    -log sigmoid(phi(chosen) - phi(rejected)): tokens are summed inside the sigmoid, so that a chosen
    token is never paired with a rejected one. The paper weights the rejected side by 1 - s_t and the
    chosen side by 1; weights of 1 on both sides give DPO.

    Not to be mistaken for trl's 'cDPO', which is DPO with label smoothing.
    Source: arXiv 2411.19943, section 3.2. Raises ValueError if shapes differ within a side.
    """
    for side in ((chosen, ref_chosen, chosen_weights), (rejected, ref_rejected, rejected_weights)):
        if len({tensor.shape for tensor in side}) != 1:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in side)
            raise ValueError(f"policy, reference and weights of a side differ in shape: {shapes}")
    phi_chosen = gamma * (chosen_weights * (chosen - ref_chosen)).sum(-1)
    phi_rejected = gamma * (rejected_weights * (rejected - ref_rejected)).sum(-1)
    return -F.logsigmoid(phi_chosen - phi_rejected).mean()


def tdpo_loss(
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    ref_chosen: torch.Tensor,
    ref_rejected: torch.Tensor,
    chosen_kl: torch.Tensor,
    rejected_kl: torch.Tensor,
    gamma: float,
    kl_weight: float,
) -> torch.Tensor:
    """The loss of token-level DPO (TDPO2), a mean over pairs: a scalar.

    The first four arguments are log-probabilities of whole completions, (B,); the next two the
    sequential KL divergences sum_t KL(ref(.|y<t) || pi(.|y<t)) of each side, (B,). With
    u = gamma * (log-ratio of chosen - log-ratio of rejected) and
    delta = gamma * (KL of rejected - stop-gradient(KL of chosen)), the loss of a pair is
    -log sigmoid(u - kl_weight * delta).
    Source: arXiv 2404.11999, the second of its two losses; gamma is its beta, kl_weight its alpha.
    """
    u = gamma * ((chosen - ref_chosen) - (rejected - ref_rejected))
    delta = gamma * (rejected_kl - chosen_kl.detach())
    return -F.logsigmoid(u - kl_weight * delta).mean()


def importance_weights(
    log_ratio: torch.Tensor, mu: float = 1.0, low: float = -0.5, high: float = 1.5, k: float = 1.0
) -> torch.Tensor:
    """TIS-DPO's weights of tokens, k * exp(mu * clamp(log_ratio, low, high)), in the shape of `log_ratio`.

    `log_ratio` is log p+(y_t) - log p-(y_t), the estimated reward of a token. `mu` is 1 for a chosen
    completion, whose good tokens weigh more, and -1 for a rejected one. Source: arXiv 2410.04350.
    """
    return k * torch.exp(mu * log_ratio.clamp(low, high))


def tis_dpo_loss(
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    ref_chosen: torch.Tensor,
    ref_rejected: torch.Tensor,
    chosen_weights: torch.Tensor,
    rejected_weights: torch.Tensor,
    chosen_kl: torch.Tensor,
    rejected_kl: torch.Tensor,
    beta: float,
    kl_weight: float = 1.0,
) -> torch.Tensor:
    """The loss of TIS-DPO, a mean over pairs: a scalar.

    All tensors have an entry a token, (B, T): log-probabilities of the tokens under policy and reference,
    their weights, which are 0 outside the completion, and KL(pi(.|y<t) || ref(.|y<t)). With
    u = beta * (sum_t w_t (log pi - log ref) of chosen - that of rejected) and
    eta = beta * (sum_t w_t KL_t of chosen - that of rejected), the loss of a pair is
    -log sigmoid(u - kl_weight * eta). Source: arXiv 2410.04350, whose kl_weight is 1; its authors' code
    leaves eta out, which is a kl_weight of 0.
    """
    u = (chosen_weights * (chosen - ref_chosen)).sum(-1)
    u = u - (rejected_weights * (rejected - ref_rejected)).sum(-1)
    eta = (chosen_weights * chosen_kl).sum(-1) - (rejected_weights * rejected_kl).sum(-1)
    return -F.logsigmoid(beta * (u - kl_weight * eta)).mean()


def confpo_reward(log_probs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """ConfPO's implied reward over beta: the mean log-probability of a completion's unsure tokens, (B,).

    `log_probs` are those of the tokens under the policy, (B, T); `mask` is true at a completion's tokens.
    Unsure is a token whose probability is not above the mean probability of its completion's tokens; the
    choice has no gradient. The rest of the loss is SimPO's. Source: arXiv 2506.08712, section 4. Its
    authors' code takes tokens below the mean, and leaves out a pair in which a side has none; here the
    tokens of such a side, which are all alike, are its unsure ones. Raises ValueError if shapes differ.
    """
    if log_probs.shape != mask.shape:
        raise ValueError(
            f"{tuple(log_probs.shape)} log-probabilities for {tuple(mask.shape)} marks"
        )
    sure = log_probs.detach().exp() * mask
    unsure = mask & (sure <= (sure.sum(-1) / mask.sum(-1))[:, None])
    return (log_probs * unsure).sum(-1) / unsure.sum(-1)


def verifier_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The loss of a verifier with a scalar head, a mean over the tokens that have a target: a scalar.

    `logits` are the head's, (B, T); `targets` in [0, 1] have that shape, negative where there is none
    (prompt, padding). The loss is binary cross-entropy of sigmoid(logit). An outcome reward model has
    the solution's label at every completion token (arXiv 2410.05318, section 3; 2110.14168); a process
    reward model has a step's at its end (arXiv 2312.08935). Raises ValueError for other shapes.
    """
    if logits.shape != targets.shape:
        raise ValueError(f"{tuple(logits.shape)} logits for {tuple(targets.shape)} targets")
    known = targets >= 0
    return F.binary_cross_entropy_with_logits(logits[known], targets[known].to(logits.dtype))
