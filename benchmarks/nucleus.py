"""What finding the nucleus costs: a full stable sort of the vocabulary against `nucleus`, on one batch.

    python benchmarks/nucleus.py [--rows 128] [--vocabulary 49152] [--repeats 3] [--threads 1 2]
                                 [--logits real.pt]

Both get the same logits, are timed in turn, softmax included, and have to give the same distributions.
Gaussian logits of three standard deviations: at temperature 1 and top-p 0.95 the nuclei of `middle` hold
hundreds of tokens, those of `broad` thousands, those of `flat` nearly the whole vocabulary. `--logits` puts
a tensor (R, V) of a model's own before them, saved by torch.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch

from ctm_eval.engines.nucleus import nucleus

SPREADS = {"middle": 4.0, "broad": 3.0, "flat": 0.01}  # standard deviations


def sorted_nucleus(
    logits: torch.Tensor, temperature: float, top_p: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same distributions by a full stable sort."""
    probs = torch.softmax(logits.float() / temperature, -1)
    top, ids = torch.sort(probs, dim=-1, descending=True, stable=True)
    top = top.double()
    before = top.cumsum(-1) - top
    top = torch.where(before < top_p, top, 0.0) if top_p < 1 else top
    width = int((top > 0).sum(-1).max())
    top, ids = top[:, :width], ids[:, :width]
    return ids, top / top.sum(-1, keepdim=True)


def check(
    expected: tuple[torch.Tensor, torch.Tensor], found: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """Asserts that both are the same distributions; returns their widths (R,)."""
    (expected_ids, expected_probs), (ids, probs) = expected, found
    inside = expected_probs > 0
    assert torch.equal(ids[inside], expected_ids[inside])
    torch.testing.assert_close(probs, expected_probs, rtol=1e-12, atol=0)
    return inside.sum(-1)


def milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--vocabulary", type=int, default=49152)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--logits", type=Path)
    options = parser.parse_args()
    noise = torch.randn(
        options.rows, options.vocabulary, generator=torch.Generator().manual_seed(0)
    )
    batches = {}
    if options.logits:
        batches["model"] = torch.load(options.logits, weights_only=True)
    batches |= {name: spread * noise for name, spread in SPREADS.items()}
    print("| logits | temperature | top-p | width, median (greatest) | threads ", end="")
    print("| sort, ms | nucleus, ms | × faster |\n" + "|---" * 8 + "|")
    cases = itertools.product(batches.items(), (1.0, 0.5), (0.95, 1.0), options.threads)
    for (name, logits), temperature, top_p, threads in cases:
        torch.set_num_threads(threads)
        by_sort = partial(sorted_nucleus, logits, temperature, top_p)
        by_look = partial(nucleus, logits, temperature, top_p)
        widths = check(by_sort(), by_look())
        times = [(milliseconds(by_sort), milliseconds(by_look)) for _ in range(options.repeats)]
        sort, look = (median(column) for column in zip(*times, strict=True))
        ratio = median(a / b for a, b in times)
        print(
            f"| {name} | {temperature} | {top_p} | {widths.median():,} ({widths.max():,}) ", end=""
        )
        print(f"| {threads} | {sort:.0f} | {look:.0f} | {ratio:.1f} |", flush=True)


if __name__ == "__main__":
    main()
