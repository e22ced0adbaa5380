"""What `ctm eval` adds to the engine: its wall time over one bare `sample` of the very same requests.

    python benchmarks/eval_overhead.py [--limit 2000] [--n-samples 1] [--repeats 3] [--engine vllm]

Each measurement is a fresh process. The bare one imports the engine, loads the model and asks for the
completions in the same batches (or all at once with --one-batch); `ctm eval` also checks the grader,
decodes, grades, writes and sums up. Start-up, which both have, is measured too: the second ratio leaves
it out of both. On a shared machine the ratio of CPU times is the steadier one.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

EVAL = "import sys; from ctm_cli.main import run; sys.argv[0] = 'ctm'; run()"
BARE = """
import sys, time
import pyarrow.parquet as pq
from ctm_eval.engines import Request, Sampling, load_engine
folder, name, temperature, top_p, limit, batch = sys.argv[1:]
engine = load_engine(name, "pocket", **({"device": "cpu"} if name == "transformers" else {}))
rows = pq.read_table(folder + "/solutions", columns=["prompt_ids", "seed", "token_ids"]).to_pylist()
requests = [Request(row["prompt_ids"], row["seed"], int(limit)) for row in rows]
started = time.perf_counter()
sampling, size, completions = Sampling(float(temperature), float(top_p)), int(batch), []
for i in range(0, len(requests), size):
    completions += engine.sample(requests[i : i + size], sampling)
print(time.perf_counter() - started)
assert [list(c.token_ids) for c in completions] == [row["token_ids"] for row in rows]
"""


def seconds(code: str, *arguments: object) -> tuple[float, float, str]:
    """Wall seconds, CPU seconds, and what a fresh process printed."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--limit", type=int, default=2000)
    parser.add_argument("--n-samples", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--engine", default="transformers")
    parser.add_argument("--one-batch", action="store_true", help="the bare engine gets all at once")
    options = parser.parse_args()
    whole, without, cpu, details = [], [], [], []
    with tempfile.TemporaryDirectory() as name:
        for repeat in range(options.repeats + 1):
            folder = Path(name) / f"run-{repeat}"
            command = ["eval", "--limit", options.limit, "--n-samples", options.n_samples,
                       "--engine", options.engine, "--output-dir", folder, "--json"]  # fmt: skip
            ours, our_cpu, printed = seconds(EVAL, *command)
            recipe = json.loads(printed)["ctm"]["recipe"]
            batch = (
                options.limit * options.n_samples
                if options.one_batch
                else (recipe["chunk_size"] * options.n_samples)
            )
            policy = [recipe["temperature"], recipe["top_p"], recipe["max_new_tokens"], batch]
            bare, bare_cpu, spent = seconds(BARE, folder, options.engine, *policy)
            start = bare - float(spent)
            if repeat == 0:
                continue  # a warm-up: files come from the disk the first time
            whole.append(ours / bare)
            cpu.append(our_cpu / bare_cpu)
            without.append((ours - start) / float(spent))
            details.append((ours, bare, start))
            print(f"{ours:.1f} s against {bare:.1f} s ({start:.1f} s start-up)", file=sys.stderr)
    ours, bare, start = (median(column) for column in zip(*details, strict=True))
    samples = options.limit * options.n_samples
    print("| engine | samples | ctm eval | bare engine | ratio | without start-up | of CPU time |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {options.engine} | {samples:,} | {ours:.1f} s | {bare:.1f} s | {median(whole):.2f} | "
        f"{median(without):.2f} | {median(cpu):.2f} |"
    )


if __name__ == "__main__":
    main()
