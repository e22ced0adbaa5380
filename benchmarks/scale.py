"""What a large run costs in memory: the peak of every command on a run and on a tenth of it.

    python benchmarks/scale.py --problems 100000

`build` (with rollouts), `verifier` (a build of that stage) and `eval` really run, with an engine that
says 7 or 8 at once; each is stopped in the middle and goes on, in the same process. For the other
commands the run is made up: four solutions a problem, one of
them rolled out and one pair of it, with texts that the tokenizer of pocket gives again, so that `ctm
verify` looks at every row. A command whose memory is flat needs at most 1.2 times as much for ten times
the run. `python benchmarks/scale.py child COMMAND FOLDER` is one measured process.
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

from made_up import write_chunks

CHUNK = 200  # problems a part
FLAT = 1.2
COMMANDS = (
    "build",
    "verifier",
    "eval",
    "verify",
    "publish",
    "merge",
    "query",
    "summary",
    "contrast",
)
STAGE = {"build": "rollouts", "verifier": "verifier"}
RUN = (*STAGE, "eval")
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
    for shard in range(0 if command in RUN else shards):
        folder = home / f"{shard}-of-{shards}"
        if not (folder / "README.md").exists():
            make(folder, problems, (shard, shards))
    if command in RUN:
        home.mkdir(parents=True, exist_ok=True)
        with (home / "problems.jsonl").open("w") as file:
            for number in range(problems):
                question = f"Tom has {number} apples and eats some. How many are left?"
                file.write(json.dumps({"question": question, "answer": "7"}) + "\n")
    process = [sys.executable, __file__, "child", command, str(home)]
    done = subprocess.run(process, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr[-2000:]}")
    peak, seconds = json.loads(done.stdout.splitlines()[-1])
    return peak, seconds


def child(command: str, home: Path) -> int:
    """One command; prints its peak and its time."""
    run, started = home / "0-of-1", time.process_time()
    if command in RUN:
        with tempfile.TemporaryDirectory() as out:
            twice(command, home / "problems.jsonl", Path(out) / "run")
    elif command == "verify":
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


class Stopped(Exception):
    """The middle of a run."""


def twice(command: str, data: Path, out: Path) -> None:
    """A build or an evaluation with the engine `Says7Or8`, stopped in the middle and begun again."""
    import ctm_data.build
    import ctm_data.eval
    from ctm_data.config import BuildConfig, EvalConfig
    from ctm_data.run.store import Store

    ctm_data.build.load_engine = ctm_data.eval.load_sampler = lambda *_, **__: Says7Or8()
    options: dict[str, Any] = {"benchmark": "qa", "data_file": data, "n_samples": 4,
                               "max_new_tokens": 16, "chunk_size": CHUNK, "device": "cpu"}  # fmt: skip
    count = sum(1 for _ in data.open())

    def stops(stage: str, done: float, total: float, *_: Any, **__: Any) -> None:
        last = {"build": "rolling out", "verifier": "labelling", "eval": "sampling"}[command]
        if stage == last and done > total / 2:
            raise Stopped

    for progress in (stops, lambda *_, **__: None):
        try:
            if command in STAGE:
                ctm_data.build.build_dataset(
                    BuildConfig(out, n_rollouts=2, stages=(STAGE[command],), **options), progress
                )
            else:
                ctm_data.eval.evaluate(EvalConfig(out, **options), progress)
        except Stopped:
            assert progress is stops
    store = Store(out)
    assert sum(part.num_rows for part in store.each("solutions", ["seed"])) == 4 * count
    if command == "build":
        rolled_out = sum(part.num_rows for part in store.each("rollouts", ["seed"]))
        assert rolled_out > 0.9 * 14 / 16 * count, rolled_out  # neither always right nor never


class Says7Or8:
    """An engine that needs no time, with the tokenizer of pocket; its seeds decide what it says."""

    name, max_length = "pocket", None

    def __init__(self) -> None:
        from ctm_eval.engines.tokenizer import WithTokenizer
        from ctm_eval.models import load_tokenizer

        self.tokenizer = load_tokenizer("pocket")
        self.eos_ids = frozenset({self.tokenizer.eos_token_id})
        self.decode = lambda ids: WithTokenizer.decode(self, ids)  # type: ignore[arg-type]
        self.pieces = lambda ids: [self.decode([i]) for i in ids]
        self._says = [
            (*self.tokenizer(f" #### {n}").input_ids[1:], self.tokenizer.eos_token_id)
            for n in (7, 8)
        ]

    def sample(self, requests: Any, sampling: Any, progress: Any = None) -> list[Any]:
        from ctm_eval.engines import Completion

        if progress:
            progress(len(requests), 4 * len(requests))
        return [
            Completion(self._says[one.seed % 2][len(one.prefix_ids) :], "stop") for one in requests
        ]

    def next_token_distributions(self, sequences: Any, sampling: Any) -> list[Any]:
        import numpy as np

        from ctm_eval.engines import Nucleus

        return [
            [Nucleus(np.array([own, 99]), np.array([0.75, 0.25])) for own in ids]
            for _, ids in sequences
        ]


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
    """A finished run of so many problems, or a shard of it."""
    from ctm_data.pages.card import finish
    from ctm_data.run.store import Store

    with Store.open(folder, RECIPE, shard if shard[1] > 1 else None) as store:
        write_chunks(store, rows_of_a_chunk(), range(shard[0], -(-problems // CHUNK), shard[1]))
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
