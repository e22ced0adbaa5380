"""What scoring adds to the verifier's forward pass: `Verifier.score` over a bare pass on the same batches.

    python benchmarks/score.py [--solutions 4000] [--repeats 5] [--device cpu]

Solutions are sampled by the built-in model; the verifiers are made on the spot (their scores mean
nothing): one with a head, one tuned by SimPO, one by DPO, whose bare pass is that of policy and reference.
No solution is there twice: ours would read it once. Ours tokenizes, batches, pads, scores and sorts back;
the bare one gets the padded batches ready. Both are warmed up and take turns; the figure is the median
ratio of throughputs, ours over bare.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

METHODS = ("orm", "simpo", "dpo")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--solutions", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    from ctm_data.build import build_dataset
    from ctm_data.config import BuildConfig
    from ctm_data.run.records import problems_of, solutions_of
    from ctm_data.train import train
    from ctm_eval.prompts import prompt
    from ctm_eval.verifiers import Candidate, Verifier, padded

    print("| verifier | solutions | tokens/s | bare tokens/s | ratio |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        run = build_dataset(
            BuildConfig(
                Path(name) / "run", limit=options.solutions, n_samples=2, stages=["verifier"]
            )
        )
        sampled = [
            Candidate(prompt(problem), solution.text)
            for chunk in run.chunks("solutions")
            for problem in problems_of(run, chunk)
            for solution in solutions_of(run, chunk)[problem.problem_id]
        ]
        solutions = list(dict.fromkeys(sampled))[: options.solutions]
        for method in METHODS:
            folder = Path(name) / method
            train(method, run.folder, folder, learning_rate=1e-5, epochs=0.05, save_steps=0)
            verifier = Verifier(folder, device=options.device)
            ids = verifier.encode(solutions)
            batches = [
                padded([ids[i] for i in batch], options.device) for batch in verifier.batches(ids)
            ]
            tokens = sum(len(prompt) + len(text) for prompt, text in ids)
            verifier.score(solutions[:200])
            bare(verifier, batches[:3])
            times = []
            for _ in range(options.repeats):
                began = time.perf_counter()
                verifier.score(solutions)
                between = time.perf_counter()
                bare(verifier, batches)
                times.append((between - began, time.perf_counter() - between))
            ours, alone = (median(column) for column in zip(*times, strict=True))
            ratio = median(b / a for a, b in times)
            print(
                f"| {method} | {len(solutions):,} | {tokens / ours:,.0f} | {tokens / alone:,.0f} | "
                f"{ratio:.2f} |",
                flush=True,
            )


def bare(verifier, batches) -> None:
    import torch

    with torch.inference_mode():
        for ids, seen, _ in batches:
            for model in filter(None, (verifier.model, verifier.reference)):
                model(input_ids=ids, attention_mask=seen, use_cache=False).logits.sum().item()


if __name__ == "__main__":
    main()
