"""`ctm eval` beside lm-evaluation-harness: greedy answers to the same chats, as whole commands.

    python benchmarks/harness.py --model build/smollm2-135m-instruct --data-file test.jsonl
        --harness-python /path/to/python [--limit 40] [--max-new-tokens 128] [--repeats 3]

The harness' Python has lm_eval 0.4.13 and the torch and transformers of this one. `ctm eval` writes the
prompts; the harness' `hf` model gets them as text, which has to read as the same tokens, and stops at the
same token. Both decode in float32. The harness' batch size is the best of `--batch-sizes`, by processor
time; the commands then take turns, and medians are printed: clock and processor seconds, start-up included.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

CTM = "from ctm_cli.main import run; run()"
TASK = """
task: ctm_chats
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["{stop}"], max_gen_toks: {tokens}, do_sample: false}}
metric_list: [{{metric: exact_match}}]
"""


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="build/smollm2-135m-instruct")
    parser.add_argument("--data-file", type=Path, required=True, help="questions of GSM8K")
    parser.add_argument("--harness-python", required=True)
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[8, 20, 40])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours(folder / "first", options)  # warms up, and writes the prompts of the task
        texts = write_task(folder, options)
        by_size = {size: theirs(folder, size, options) for size in options.batch_sizes}
        same = sum(a == b for a, b in zip(texts, answers(folder), strict=True))
        best = min(by_size, key=lambda size: by_size[size][1])
        turns = [
            (ours(folder / f"run-{i}", options), theirs(folder, best, options))
            for i in range(options.repeats)
        ]
    print(
        f"{Path(options.model).name}: {options.limit} chats of GSM8K, at most {options.max_new_tokens} new "
        f"tokens; both gave the same text for {same}; load {os.getloadavg()[0]:.1f}\n"
    )
    print("| command | clock s | processor s |")
    print("|---|---|---|")
    for i, label in enumerate(("ctm eval", f"lm-evaluation-harness, batch {best}")):
        clock, processor = (median(turn[i][j] for turn in turns) for j in (0, 1))
        print(f"| {label} | {clock:.1f} | {processor:.1f} |")
    clock, processor = (median(turn[1][j] / turn[0][j] for turn in turns) for j in (0, 1))
    print(f"| × | {clock:.2f} | {processor:.2f} |")
    others = (f"batch {size}: {spent[1]:.1f}" for size, spent in by_size.items())
    print(f"\nProcessor seconds of the harness by batch size, once: {', '.join(others)}.")


def ours(folder: Path, options: argparse.Namespace) -> tuple[float, float]:
    """Clock and processor seconds of `ctm eval` into a new folder."""
    return _spent(
        [
            *(sys.executable, "-c", CTM, "eval", "--benchmark", "gsm8k", "--chat"),
            *("--model", options.model, "--data-file", options.data_file, "--limit", options.limit),
            *("--max-new-tokens", options.max_new_tokens, "--output-dir", folder),
            *("--device", "cpu"),
        ]
    )


def write_task(folder: Path, options: argparse.Namespace) -> list[str]:
    """Writes the harness' task from the first run of `ctm eval`; the texts that this gave."""
    import pyarrow.parquet as pq
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(options.model)
    rows = pq.read_table(folder / "first" / "solutions").to_pylist()
    prompts = [tokenizer.decode(row["prompt_ids"]) for row in rows]
    for row, prompt in zip(rows, prompts, strict=True):
        if tokenizer.encode(prompt, add_special_tokens=False) != row["prompt_ids"]:
            sys.exit(
                f"the prompt of {row['problem_id']} does not read as the tokens it was made of"
            )
    lines = [json.dumps({"prompt": prompt, "answer": "0"}) for prompt in prompts]
    file, tokens = folder / "chats.jsonl", options.max_new_tokens
    file.write_text("\n".join(lines) + "\n")
    (folder / "task").mkdir()
    task = TASK.format(file=file, stop=tokenizer.eos_token, tokens=tokens)
    (folder / "task" / "ctm_chats.yaml").write_text(task)
    return [row["text"] for row in rows]


def answers(folder: Path) -> list[str]:
    """The texts that the harness gave, in the order of the prompts."""
    latest = max(folder.rglob("samples_*.jsonl"), key=lambda path: path.stat().st_mtime)
    samples = [json.loads(line) for line in latest.read_text().splitlines()]
    return [one["resps"][0][0] for one in sorted(samples, key=lambda one: one["doc_id"])]


def theirs(folder: Path, batch_size: int, options: argparse.Namespace) -> tuple[float, float]:
    """Clock and processor seconds of the harness."""
    return _spent(
        [
            *(options.harness_python, "-m", "lm_eval", "--model", "hf", "--device", "cpu"),
            *("--model_args", f"pretrained={options.model},dtype=float32"),
            *("--tasks", "ctm_chats", "--include_path", folder / "task"),
            *("--batch_size", batch_size, "--output_path", folder / "theirs", "--log_samples"),
        ]
    )


def _spent(command: list[object]) -> tuple[float, float]:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    clock, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{command[1]} {command[2]}: {clock:.1f} s, {processor:.1f} of a processor", file=sys.stderr
    )
    return clock, processor


if __name__ == "__main__":
    main()
