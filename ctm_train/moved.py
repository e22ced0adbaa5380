"""How far training moved a model: the KL divergence from the model it started from, on its own rows.

A loss alone does not say it: with a learning rate that is too low, or a warm-up longer than the run,
every step is taken and the model stays what it was.
"""

from typing import TYPE_CHECKING, Any

from ctm_train.data import completions, judged, labelled, pairs

if TYPE_CHECKING:
    import torch
    from datasets import Dataset

ROWS = 8  # training rows that are looked at
POSITIONS = 256  # completion tokens of them: 128 MB of float32 with a vocabulary of 128,000
STILL = 1e-7  # nats a token: over a solution of 200 tokens 0.00002 nats, which nobody would see


READERS = {"sft": completions, "kto": judged, "orm": labelled, "prm": labelled}  # else of pairs


def sample(
    method: str, rows: "Dataset", tokenizer: Any, max_length: int
) -> list[tuple[list[int], int]]:
    """The first rows as (token ids, index of the first completion token), cut to what is trained on.

    Of a pair it is the chosen side.
    """
    taken, left = [], POSITIONS
    for row in READERS.get(method, pairs)(rows.select(range(min(ROWS, len(rows)))), tokenizer):
        start = len(row["prompt_ids"])
        completion = row["chosen_ids"] if "chosen_ids" in row else row["completion_ids"]
        ids = [*row["prompt_ids"], *completion][: min(max_length, start + left)]
        if start and len(ids) > start:
            taken.append((ids, start))
            left -= len(ids) - start
        if left <= 0:
            break
    return taken


def all_cut_off(method: str, rows: "Dataset", tokenizer: Any, max_length: int) -> int | None:
    """The tokens of the shortest prompt, if `max_length` leaves no token of any completion; else None."""
    shortest = None
    for first in range(0, len(rows), ROWS):
        some = rows.select(range(first, min(first + ROWS, len(rows))))
        for row in READERS.get(method, pairs)(some, tokenizer):
            prompt = len(row["prompt_ids"])
            if prompt < max_length:
                return None
            shortest = min(prompt, shortest or prompt)
    return shortest


def log_probs(model: Any, rows: list[tuple[list[int], int]]) -> "torch.Tensor":
    """The log-probabilities of a model at every completion token of `rows`, (N, V) float32 on the CPU.

    Of a model with a scalar head they are those of its two verdicts, wrong and right: (N, 2).
    """
    import torch
    import torch.nn.functional as F

    training = model.training
    model.eval()
    found = []
    with torch.inference_mode():
        for ids, start in rows:
            logits = model(input_ids=torch.tensor([ids], device=model.device)).logits[0].float()
            if logits.shape[-1] == 1:
                logits = F.pad(logits, (1, 0))[start:]
            else:
                logits = logits[start - 1 : -1]
            found.append(logits.log_softmax(-1).cpu())
    model.train(training)
    return torch.cat(found)


def divergence(start: "torch.Tensor", trained: "torch.Tensor") -> float:
    """KL(start || trained), the mean over N positions of two (N, V) log-probabilities, in nats."""
    return max(0.0, float((start.double().exp() * (start.double() - trained)).sum(-1).mean()))
