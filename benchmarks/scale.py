"""What a large run costs in memory: the peak of every command on a run and on a tenth of it.

    python benchmarks/scale.py --problems 100000

The run is made up: four solutions a problem, one of them rolled out and one pair of it, with texts that the
tokenizer of pocket gives again, so that `ctm verify` looks at every row. A command whose memory is flat
needs at most 1.2 times as much for ten times the run. `python benchmarks/scale.py child COMMAND FOLDER`
is one measured process.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CHUNK = 200  # problems a part
FLAT = 1.2
COMMANDS = ("verify", "publish", "merge", "query", "summary", "contrast")
RECIPE = {"benchmark": "pocket", "model": "pocket", "n_rollouts": 64, "resolution": 0.01,
          "seed": 0, "trajectories": 1, "positive_model": "p", "negative_model": "n", "ce_beta": 1.0,
          "ce_plausibility": 0.0}  # fmt: skip


def main() -> int:
    """Prints a row for each command. Returns 1 if one is not flat."""
    if sys.argv[1:2] == ["child"]:
        return child(sys.argv[2], Path(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=100_000)
    parser.add_argument("--commands", default=",".join(COMMANDS))
    parser.add_argument("--folder", type=Path, help="where the runs are made, and kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = options.folder or Path(scratch)
        sizes = (options.problems // 10, options.problems)
        print(
            f"{'':10} {'MiB at ' + str(sizes[0]):>16} {'at ' + str(sizes[1]):>12} {'ratio':>6} {'time':>6}"
        )
        ok = True
        for command in options.commands.split(","):
            figures = [measure(command, home / str(size), size) for size in sizes]
            (small, quick), (large, slow) = figures
            ok &= large <= FLAT * small
            ratio, longer = f"{large / small:.2f}", f"{slow / quick:.1f}"
            print(f"{command:10} {small:16.0f} {large:12.0f} {ratio:>6} {longer:>6}", flush=True)
    return 0 if ok else 1


def measure(command: str, home: Path, problems: int) -> tuple[float, float]:
    """(MiB of memory at the peak, seconds of processor time) of a command on a run of so many problems."""
    shards = 2 if command == "merge" else 1
    for shard in range(shards):
        folder = home / f"{shard}-of-{shards}"
        if not (folder / "README.md").exists():
            make(folder, problems, (shard, shards))
    process = [sys.executable, __file__, "child", command, str(home)]
    done = subprocess.run(process, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr[-2000:]}")
    peak, seconds = json.loads(done.stdout.splitlines()[-1])
    return peak, seconds


def child(command: str, home: Path) -> int:
    """One command; prints its peak and its time."""
    run, started = home / "0-of-1", time.process_time()
    if command == "verify":
        from ctm_data.verify import verify

        found = verify(run)
        assert found.ok, [check.failures for check in found.checks]
    elif command == "publish":
        from ctm_data.publish import publish

        publish(run, "user/name", dry_run=True)
    elif command == "merge":
        from ctm_data.build import merge_shards

        with tempfile.TemporaryDirectory() as out:
            merge_shards([home / f"{i}-of-2" for i in range(2)], Path(out) / "run")
    elif command == "query":
        from ctm_data.query import query

        sql = (
            "select piece, count(*), avg(value) from tokens group by piece order by 2 desc limit 20"
        )
        list(query(sql, run))
    elif command == "summary":
        from ctm_data.pages.summary import summarize
        from ctm_data.run.store import Store

        summarize(Store(run))
    elif command == "contrast":
        contrast(run)
    print(json.dumps([peak_mib(), time.process_time() - started]), flush=True)
    return 0


def peak_mib() -> float:
    """The most memory this process has had. `ru_maxrss` would count that of its parent."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def contrast(run: Path) -> None:
    """The stage `contrast` on a run without the table, with models that score everything 0.5."""
    import shutil

    from ctm_data.run.store import Store
    from ctm_data.stages import contrast as stage

    class Half:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def scores(self, sequences: Any, *_: Any) -> list[stage.TokenScores]:
            return [stage.TokenScores([0.5] * len(ids), [0.0] * len(ids)) for _, ids in sequences]

    stage.ContrastModels = Half  # type: ignore[assignment,misc]
    with tempfile.TemporaryDirectory() as out:
        copy = Path(out) / "run"
        shutil.copytree(run, copy, ignore=shutil.ignore_patterns("contrast", "manifest.json"))
        manifest = json.loads((run / "manifest.json").read_text())
        manifest.pop("parts")
        (copy / "manifest.json").write_text(json.dumps(manifest))
        with Store.open(copy, manifest["recipe"]) as store:
            stage.write(store, manifest["recipe"], lambda *_: None)
            assert store.parts("contrast")


def make(folder: Path, problems: int, shard: tuple[int, int]) -> None:
    """A finished run of so many problems: its first chunk by rows, the others with other names in it."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from ctm_data.pages.card import finish
    from ctm_data.run.schema import SCHEMAS, to_table
    from ctm_data.run.store import PART_KEY, RECIPE_KEY, Store

    first = {name: to_table(name, rows) for name, rows in rows_of_a_chunk().items()}
    with Store.open(folder, RECIPE, shard if shard[1] > 1 else None) as store:
        for chunk in range(shard[0], -(-problems // CHUNK), shard[1]):
            for name, table in first.items():
                columns = [
                    pc.replace_substring(table[c], "chunk", f"{chunk:05d}") if table[c].type == "string"
                    else table[c]
                    for c in SCHEMAS[name].names
                ]  # fmt: skip
                path = store.path(name, chunk)
                path.parent.mkdir(exist_ok=True)
                own = {RECIPE_KEY: store.recipe_hash, PART_KEY: f"{name}/{path.name}"}
                made = type(table).from_arrays(columns, schema=SCHEMAS[name])
                pq.write_table(made.replace_schema_metadata(own), path, compression="zstd",
                               write_page_checksum=True)  # fmt: skip
        finish(store)


def rows_of_a_chunk() -> dict[str, list[dict[str, Any]]]:
    """The rows of the four tables of a chunk. The value falls to 0 with the second token."""
    from ctm_eval.benchmarks.pocket import _word_problems as problems
    from ctm_eval.models import decode, load_tokenizer

    tokenizer = load_tokenizer("pocket")
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("problems", "solutions", "rollouts", "contrast")
    }
    for number, made in enumerate(problems("test", CHUNK, 0)):
        name = f"chunk-{number:03d}"
        rows["problems"].append(
            {"problem_id": name, "benchmark": "pocket", "split": "test", "question": made.question,
             "answer": made.answer, "tests": []}
        )  # fmt: skip
        asked = tokenizer(made.question)["input_ids"]
        for index in range(4):
            ids = tokenizer(f"{made.question} The answer is {7 + index % 2}.")["input_ids"]
            solution = {
                "solution_id": f"{name}-{index:03d}", "problem_id": name, "sample_index": index,
                "model": "pocket", "prompt_ids": asked, "token_ids": ids,
                "text": decode(tokenizer, ids), "answer": str(7 + index % 2), "correct": index % 2 == 0,
                "verdict": "right" if index % 2 == 0 else "wrong", "finish_reason": "stop",
                "temperature": 1.0, "top_p": 1.0, "seed": index,
            }  # fmt: skip
            rows["solutions"].append(solution)
        right, wrong = rows["solutions"][-2], rows["solutions"][-1]
        ids, n = wrong["token_ids"], len(wrong["token_ids"])
        value = [0.5] + [0.0] * (n - 1)
        rows["rollouts"].append(
            {"solution_id": wrong["solution_id"], "problem_id": name, "model": "pocket",
             "prompt_ids": asked, "token_ids": ids, "pieces": tokenizer.convert_ids_to_tokens(ids),
             "prompt_value": 0.75, "value": value, "value_low": [0.0] * n, "value_high": [1.0] * n,
             "n_rollouts": [64] * n, "n_correct": [0] * n, "keep_prob": [0.5] * n,
             "estimator": "branch", "rule": "critical", "marked": [1], "critical_index": 1,
             "critical_piece": tokenizer.convert_ids_to_tokens(ids)[1],
             "replacement_pass_at_k": [0.5, 1.0], "replacements": [], "generated_tokens": 100,
             "replacement_tokens": 10, "temperature": 1.0, "top_p": 1.0, "seed": 0}
        )  # fmt: skip
        half = {"chosen_ce": [0.5] * len(right["token_ids"]), "rejected_ce": [0.5] * n}
        rows["contrast"].append(
            {"pair_id": f"{name}-002:003", "problem_id": name, "chosen_id": right["solution_id"],
             "rejected_id": wrong["solution_id"], "prompt": made.question, "chosen": right["text"],
             "rejected": wrong["text"], "prompt_ids": asked, "chosen_ids": right["token_ids"],
             "rejected_ids": ids, **half, "positive_model": "p", "negative_model": "n", "ce_beta": 1.0,
             "ce_plausibility": 0.0, "seed": 0}
        )  # fmt: skip
    return rows


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
