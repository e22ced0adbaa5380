"""Is `pocket` usefully wrong? Measures the shipped model on fresh test problems.

    python benchmarks/pocket.py [--write-card]

Greedy accuracy, sampled accuracy and pass@64 at temperature 1 and top-p 0.95, and what the wrong
solutions get wrong. `--write-card` renders the figures into the model's card.
"""

import argparse
import math
from collections import Counter
from importlib.resources import files

import numpy as np

from ctm_eval.engines import Engine, Request, Sampling, load_engine
from ctm_eval.grading import grade
from ctm_eval.pocket import MODEL_DIR, Problem, arithmetic_is_right, problems
from ctm_eval.prompts import exercise
from ctm_eval.seeds import seed_of
from ctm_train.pocket import Recipe

SAMPLES, TEMPERATURE, TOP_P, MAX_NEW_TOKENS = 64, 1.0, 0.95, 192


def texts(engine: Engine, sample: list[Problem], n: int, sampling: Sampling) -> list[list[str]]:
    """`n` completions a problem."""
    requests = [
        Request(engine.encode(exercise(p.question)), seed_of(p.problem_id, j), MAX_NEW_TOKENS)
        for p in sample
        for j in range(n)
    ]
    drawn = [engine.decode(c.token_ids) for c in engine.sample(requests, sampling)]
    return [drawn[i * n : (i + 1) * n] for i in range(len(sample))]


def wilson(share: float, n: int) -> str:
    """The share with its 95% Wilson interval."""
    z = 1.96
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return f"{share:.1%} ({middle - half:.1%} to {middle + half:.1%})"


def measure(engine: Engine, count: int, seed: int) -> dict[str, str]:
    """The figures of the card, on `count` test problems of `seed`."""
    sample = list(problems("test", count, seed))
    greedy = [drawn[0] for drawn in texts(engine, sample, 1, Sampling(0))]
    right = [grade(p.answer, t, "pocket").correct for p, t in zip(sample, greedy, strict=True)]
    sampled = texts(engine, sample, SAMPLES, Sampling(TEMPERATURE, TOP_P))
    graded = np.array(
        [
            [grade(p.answer, t, "pocket").correct for t in drawn]
            for p, drawn in zip(sample, sampled, strict=True)
        ]
    )
    wrong_greedy = [t for t, ok in zip(greedy, right, strict=True) if not ok]
    wrong_sampled = [
        t for i, drawn in enumerate(sampled) for j, t in enumerate(drawn) if not graded[i, j]
    ]
    levels = Counter(p.level for p in sample)
    by_level = {
        level: np.mean([ok for p, ok in zip(sample, right, strict=True) if p.level == level])
        for level in sorted(levels)
    }
    reasoning = [arithmetic_is_right(t) for t in wrong_greedy]
    sampled_reasoning = np.mean([arithmetic_is_right(t) for t in wrong_sampled])
    return {
        "test problems": f"{count:,} (seed {seed})",
        "greedy accuracy": wilson(float(np.mean(right)), count),
        "greedy accuracy by steps": ", ".join(f"{k}: {v:.0%}" for k, v in by_level.items()),
        f"sampled accuracy (T = {TEMPERATURE:g}, top-p {TOP_P:g})": f"{graded.mean():.1%}",
        f"pass@{SAMPLES}": wilson(float(graded.any(1).mean()), count),
        "wrong greedy solutions with right arithmetic": wilson(
            float(np.mean(reasoning)), len(reasoning)
        ),
        "wrong sampled solutions with right arithmetic": f"{sampled_reasoning:.1%}",
        "parameters": f"{sum(p.numel() for p in engine.model.parameters()):,}",  # type: ignore[attr-defined]
        "weights": f"{(MODEL_DIR / 'model.safetensors').stat().st_size / 1e6:.1f} MB",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="problems that nothing was tuned on")
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--write-card", action="store_true")
    options = parser.parse_args()
    engine = load_engine("transformers", options.model, device="cpu")
    figures = measure(engine, options.count, options.seed)
    table = "\n".join(["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in figures.items())])
    print(table)
    if options.write_card:
        template = (files("ctm_cards") / "pocket.md.j2").read_text(encoding="utf-8")
        card = template.replace("{{ figures }}", table).replace("{{ rows }}", f"{Recipe().rows:,}")
        (MODEL_DIR / "README.md").write_text(card)


if __name__ == "__main__":
    main()
