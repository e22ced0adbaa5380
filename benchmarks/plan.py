r"""What `--plan` says, and what the run then costs: how often a run lies within its own interval.

    python benchmarks/plan.py --seeds 5
    python benchmarks/plan.py --seeds 5 --model build/smollm2-135m-instruct --problems 64 --chunk-size 2 \
        --temperature 0.5 --max-new-tokens 24

Prints a line for every run as it comes: the run's tokens, seconds and bytes over what was likely, with the
interval over it, and at the end how many lay within.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from ctm_data.asking import ask, problems_of
from ctm_data.build import lazy_engine
from ctm_data.config import BuildConfig
from ctm_data.plan import plan
from ctm_data.run.records import chunked
from ctm_data.run.store import Store
from ctm_data.stages import rollouts, solutions
from ctm_eval.progress import silent
from ctm_eval.scoring import Scorer
from ctm_eval.workers import Here


def main() -> int:
    """Plans and makes a run for each seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--problems", type=int, default=40)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--max-new-tokens", type=int)
    parser.add_argument("--chunk-size", type=int, default=BuildConfig.chunk_size)
    options = parser.parse_args()
    held = dict.fromkeys(("tokens", "seconds", "bytes"), 0)
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        config = BuildConfig(
            model=options.model, limit=options.problems, n_samples=4, n_rollouts=4, seed=seed,
            temperature=options.temperature, max_new_tokens=options.max_new_tokens,
            chunk_size=options.chunk_size,
            pass_rate=(0.0, 1.0), stages=("rollouts",), device="cpu",
        )  # fmt: skip
        said = plan(config)
        cost = real(config)
        told = []
        for name in held:
            own, found = getattr(said, name), cost[name]
            held[name] += own.low <= found <= own.high
            ends = f"{own.low / own.likely:.2f} to {own.high / own.likely:.2f}"
            told.append(f"{name} {found / own.likely:.2f} ({ends})")
        print(f"{seed}: " + "; ".join(told) + f"; {cost['seconds']:.0f} s", flush=True)
    print(", ".join(f"{name} {count} of {options.seeds}" for name, count in held.items()))
    return 0


def real(config: BuildConfig) -> dict[str, float]:
    """The tokens, seconds and bytes of a run, without loading the model."""
    config = config.check()
    problems = problems_of(config)
    config, prompts = ask(config, config.models, problems)
    chunks = chunked(problems, config.chunk_size)
    engine = lazy_engine(config, config.models[0])
    engine()
    with (
        tempfile.TemporaryDirectory() as scratch,
        Scorer() as scorer,
        Store.open(Path(scratch) / "run", config.recipe()) as store,
    ):
        workers, started = Here(engine, scorer.score), time.monotonic()
        solutions.write(store, chunks, {config.models[0]: workers}, prompts, config, silent)
        rollouts.write(store, chunks, workers, config, silent)
        seconds = time.monotonic() - started
        tables = ("problems", "solutions", "rollouts")
        sizes = [path.stat().st_size for table in tables for path in store.parts(table)]
        tokens = sum(len(row) for row in store.read("solutions")["token_ids"].to_pylist())
        spent = store.read("rollouts", ["generated_tokens", "replacement_tokens"])
        tokens += sum(sum(column.to_pylist()) for column in spent.columns)
    return {"tokens": tokens, "seconds": seconds, "bytes": sum(sizes)}


if __name__ == "__main__":
    sys.exit(main())
