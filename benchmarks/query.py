"""The named queries over ten million token rows, beside pandas and `datasets` in the same run.

    python benchmarks/query.py [--tokens 10000000]

The run is synthetic and seeded: 50,000 wrong solutions of 100 to 300 tokens, their words drawn from
32,000 by Zipf's law, with contrastive scores, eight sampled solutions for each problem, in 40 parts a
table. Seconds are the median of three after one to warm up, on two threads; processor seconds are those of
both threads together, and say more on a busy machine.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ctm_data.query import answer, connect
from ctm_data.run.schema import SCHEMA_VERSION, SCHEMAS
from ctm_data.sql.named_queries import named_queries

PARTS, SAMPLES = 40, 8
LETTERS = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        solutions = make_run(Path(folder), arguments.tokens)
        print(f"{arguments.tokens:,} token rows in {solutions:,} rolled-out solutions\n")
        con = connect(folder)
        con.execute("set threads = 2")
        print("| named query | seconds | processor seconds |\n|---|---|---|")
        for name, (_, sql) in named_queries().items():
            clock = time.process_time()
            seconds = timed(lambda sql=sql: answer(con, sql).read_all(), arguments.repeats)
            work = (time.process_time() - clock) / (arguments.repeats + 1)
            print(f"| {name} | {seconds:.2f} | {work:.2f} |", flush=True)
        print("\n| question | ctm query | pandas | datasets |\n|---|---|---|---|")
        for question, (sql, by_pandas, by_datasets) in rivals(Path(folder)).items():
            ours = timed(lambda sql=sql: con.sql(sql).to_arrow_table(), arguments.repeats)
            theirs = [timed(call, 1, warm=False) for call in (by_pandas, by_datasets)]
            shown = " | ".join(f"{s:.2f} s ({s / ours:.0f} ×)" for s in theirs)
            print(f"| {question} | {ours:.2f} s | {shown} |", flush=True)


def timed(call, repeats: int, warm: bool = True) -> float:
    """Median seconds of `repeats` calls."""
    if warm:
        call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def rivals(folder: Path):
    """The same questions in SQL, in pandas and by `datasets`, each from the files to the answer."""
    import datasets
    import pandas as pd

    columns = ["solution_id", "pieces", "critical_index"]
    rollouts = datasets.load_dataset(
        "parquet", data_files=str(folder / "rollouts" / "*.parquet"), split="train",
        cache_dir=str(folder / "cache"),
    )  # fmt: skip
    datasets.disable_progress_bars()

    def pieces_in_pandas():
        frame = pd.read_parquet(folder / "rollouts", columns=columns)
        return frame["pieces"].explode().value_counts()

    def pieces_in_datasets():
        from collections import Counter

        counts: Counter[str] = Counter()
        for batch in rollouts.select_columns(columns).iter(1000):
            for pieces in batch["pieces"]:
                counts.update(pieces)
        return counts

    def late_in_pandas():
        frame = pd.read_parquet(folder / "rollouts", columns=[*columns, "value"])
        return frame[
            frame["value"].map(lambda value: value.min() == 0) & (frame.critical_index > 150)
        ]

    def late_in_datasets():
        return rollouts.filter(
            lambda row: row["critical_index"] > 150 and min(row["value"]) == 0,
            load_from_cache_file=False,
        )

    return {
        "how often each piece occurs": (
            "select piece, count(*) from tokens group by piece", pieces_in_pandas, pieces_in_datasets,
        ),
        "solutions lost late (a filter)": (
            "select solution_id, pieces, critical_index from rollouts "
            "where critical_index > 150 and list_min(value) = 0", late_in_pandas, late_in_datasets,
        ),
    }  # fmt: skip


def make_run(folder: Path, tokens: int, seed: int = 0) -> int:
    """Writes the run; returns how many solutions are rolled out."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(100, 301, tokens // 150)
    lengths = lengths[np.cumsum(lengths) <= tokens]
    lengths[-1] += tokens - lengths.sum()
    n, ends = len(lengths), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    words = vocabulary(rng)
    ids = (np.minimum(rng.zipf(1.3, tokens), len(words)) - 1).astype(np.int32)
    pieces = words.take(pa.array(ids))
    critical = (rng.random(n) * lengths).astype(np.int32)
    value = rng.integers(0, 65, tokens) / 64

    def lists(values):
        return pa.ListArray.from_arrays(pa.array(ends), pa.array(values))

    def every(value, type=None):
        return pa.repeat(pa.scalar(value, type), n)

    names = pa.array([f"problem-{i:06d}-0" for i in range(n)])
    problems = pa.array([f"problem-{i:06d}" for i in range(n)])
    prompt, one = pa.array([[1, 2, 3]] * n, pa.list_(pa.int32())), every(1.0)
    write(folder, "rollouts", {
        "solution_id": names, "problem_id": problems, "model": every("model"), "prompt_ids": prompt,
        "token_ids": lists(ids), "pieces": lists(pieces), "prompt_value": rng.random(n),
        "value": lists(value), "value_low": lists(value * 0.9), "value_high": lists(value * 0.9 + 0.1),
        "n_rollouts": lists(rng.integers(0, 9, tokens).astype(np.int32)),
        "n_correct": lists(np.zeros(tokens, np.int32)), "keep_prob": lists(rng.random(tokens)),
        "estimator": every("branch"), "rule": every("critical"),
        "marked": pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32)), pa.array(critical)),
        "critical_index": critical, "critical_piece": pieces.take(pa.array(ends[:-1] + critical)),
        "replacement_pass_at_k": pa.array([[0.3, 0.4, 0.5, 0.6, 0.8, 0.9, 1.0]] * n),
        "replacements": pa.array(
            [[{"token_id": 1, "piece": " a", "n_rollouts": 64, "n_correct": 20}]] * n
        ),
        "generated_tokens": every(5000), "replacement_tokens": every(500),
        "temperature": one, "top_p": one, "seed": every(0),
    })  # fmt: skip
    write(folder, "contrast", {
        "pair_id": names, "problem_id": problems, "chosen_id": every("none"), "rejected_id": names,
        "prompt": every("prompt"), "chosen": every("right"), "rejected": every("wrong"),
        "prompt_ids": prompt, "chosen_ids": lists(ids), "rejected_ids": lists(ids),
        "chosen_ce": lists(rng.random(tokens)), "rejected_ce": lists(rng.random(tokens)),
        "positive_model": every("positive"), "negative_model": every("negative"),
        "ce_beta": one, "ce_plausibility": every(0.0), "seed": every(0),
    })  # fmt: skip
    write(folder, "problems", {
        "problem_id": problems, "benchmark": every("synthetic"), "split": every("test"),
        "question": every("How many?"), "answer": every("1"), "subject": every("all"),
        "level": pa.array([str(i % 5) for i in range(n)]),
        "tests": pa.array([[]] * n, pa.list_(pa.string())),
    })  # fmt: skip
    which = np.repeat(np.arange(n), SAMPLES)
    samples = pa.array(np.tile(np.arange(SAMPLES, dtype=np.int32), n))
    rows = n * SAMPLES

    def each(value):
        return pa.repeat(pa.scalar(value), rows)

    ids_of = pa.array([[4, 5, 6]] * rows, pa.list_(pa.int32()))
    write(folder, "solutions", {
        "solution_id": pa.array([f"problem-{i:06d}-{k}" for i in range(n) for k in range(SAMPLES)]),
        "problem_id": problems.take(pa.array(which)), "sample_index": samples, "model": each("model"),
        "prompt_ids": ids_of, "token_ids": ids_of, "text": each("the text"),
        "answer": pa.array([str(a) for a in rng.integers(0, 5, rows)]), "correct": rng.random(rows) < 0.5,
        "verdict": each("wrong"), "finish_reason": each("stop"), "temperature": each(1.0),
        "top_p": each(1.0), "seed": each(0),
    })  # fmt: skip
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "recipe": {"benchmark": "synthetic"},
        "versions": {},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return n


def vocabulary(rng: np.random.Generator, size: int = 32_000) -> pa.Array:
    """Pieces of one to eight letters, most after a blank; figures and signs among the commonest."""
    words = {
        "\n": None,
        " the": None,
        ".": None,
        " =": None,
        " +": None,
        "1": None,
        "2": None,
        " of": None,
    }
    while len(words) < size:
        letters = rng.choice(LETTERS, rng.integers(1, 9))
        words[("" if rng.random() < 0.2 else " ") + "".join(letters)] = None
    return pa.array(list(words))


def write(folder: Path, table: str, columns: dict) -> None:
    """Writes a table in parts."""
    arrow = pa.table({name: columns[name] for name in SCHEMAS[table].names}).cast(SCHEMAS[table])
    size = -(-arrow.num_rows // PARTS)
    (folder / table).mkdir(parents=True)
    for k in range(PARTS):
        path = folder / table / f"part-{k:05d}.parquet"
        pq.write_table(
            arrow.slice(k * size, size), path, compression="zstd", write_page_checksum=True
        )


if __name__ == "__main__":
    main()
