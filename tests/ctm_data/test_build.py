"""`build_dataset` for real: the built-in model, kills, shards, resumes."""

import random
import shutil
import time
from pathlib import Path

import pytest
from typed import Typed

from ctm_data.build import build_dataset, merge_shards
from ctm_data.config import BuildConfig
from ctm_data.pages.summary import summarize
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError

SMALL = {"limit": 12, "n_samples": 8, "n_rollouts": 8, "chunk_size": 2, "max_new_tokens": 120}
KILLS = 20


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a run folder but its lock and the models of contrast, whose records have times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock" and "models" not in path.parts
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed run."""
    return build_dataset(BuildConfig(tmp_path_factory.mktemp("whole") / "run", **SMALL)).folder


def test_a_run_holds_what_was_asked_for(whole):
    summary = summarize(Store(whole))
    assert (summary.problems, summary.solutions) == (12, 96)
    assert summary.trajectories >= 4
    assert 0 < summary.critical <= summary.trajectories
    assert 0 < summary.accuracy < 1


def test_the_tables_agree_with_each_other(whole):
    store = Store(whole)
    solutions = {row["solution_id"]: row for row in store.read("solutions").to_pylist()}
    for row in store.read("rollouts").to_pylist():
        solution = solutions[row["solution_id"]]
        assert not solution["correct"]
        assert row["token_ids"] == solution["token_ids"]
        assert row["prompt_ids"] == solution["prompt_ids"]


def test_datasets_opens_the_folder_by_itself(whole, tmp_path):
    from datasets import load_dataset

    rollouts = load_dataset(str(whole), "rollouts", split="train", cache_dir=str(tmp_path))
    assert len(rollouts) == summarize(Store(whole)).trajectories
    assert len(rollouts[0]["value"]) == len(rollouts[0]["token_ids"])


def test_duckdb_opens_the_folder_by_itself(whole):
    import duckdb

    [(count, mean)] = duckdb.sql(
        f"select count(*), avg(len(value) - len(token_ids)) from '{whole}/rollouts/*.parquet'"
    ).fetchall()
    assert (count, mean) == (summarize(Store(whole)).trajectories, 0)


def test_a_finished_run_is_not_done_again(whole):
    before = content(whole)
    stages = []
    build_dataset(
        BuildConfig(whole, **SMALL), lambda stage, *counts: stages.append((stage, *counts))
    )
    assert content(whole) == before
    assert all(tokens == 0 for *_, tokens in stages)


def test_a_part_that_was_lost_is_made_again_the_same(whole, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(whole, copy)
    (copy / "solutions" / "part-00001.parquet").write_bytes(b"PAR1 and then nothing")
    next((copy / "rollouts").glob("*.parquet")).unlink()
    store = build_dataset(BuildConfig(copy, **SMALL))
    assert store.set_aside == ["solutions/part-00001.parquet"]
    shutil.rmtree(copy / "set-aside")
    assert content(copy) == content(whole)


def test_two_shards_merged_are_one_run(whole, tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for i, folder in enumerate(folders):
        build_dataset(BuildConfig(folder, **SMALL, shard=(i, 2)))
    merged = merge_shards(folders[::-1], tmp_path / "merged")
    assert content(merged.folder) == content(whole)


def test_merging_wants_every_shard_once(whole, tmp_path):
    build_dataset(BuildConfig(tmp_path / "a", **SMALL, shard=(0, 2)))
    with pytest.raises(CtmError, match="of 2 once; given: \\[0, 0\\]"):
        merge_shards([tmp_path / "a", tmp_path / "a"], tmp_path / "merged")
    with pytest.raises(CtmError, match="is not a shard"):
        merge_shards([tmp_path / "a", whole], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_another_recipe_is_refused_and_nothing_is_touched(whole):
    before = content(whole)
    with pytest.raises(CtmError, match="n_samples: 8 there, 9 here"):
        build_dataset(BuildConfig(whole, **{**SMALL, "n_samples": 9}))
    assert content(whole) == before


PROGRAM = """
import sys
from ctm_data.build import build_dataset
from ctm_data.config import BuildConfig
build_dataset(
    BuildConfig(sys.argv[1], limit=12, n_samples=8, n_rollouts=8, chunk_size=2, max_new_tokens=120)
)
"""


def test_kill_9_at_any_moment_costs_nothing_but_time(whole, tmp_path):
    """Twenty kills at random moments after the folder appears; whatever remains, a last run gives
    the undisturbed run's bytes. A run that finishes before its kill is compared and begun anew."""
    rng, expected = random.Random(7), content(whole)
    folder = tmp_path / "run"
    kills = 0
    while kills < KILLS:
        process = Typed(PROGRAM, folder)
        while process.returncode is None and not (folder / "manifest.json").exists():
            time.sleep(0.01)
        if process.wait(rng.uniform(0, 6)) is None:
            process.kill()
            kills += 1
        else:
            assert process.returncode == 0
            assert content(folder) == expected
            shutil.rmtree(folder)
    build_dataset(BuildConfig(folder, **SMALL))
    assert content(folder) == expected


def test_a_benchmark_that_the_model_never_solves_gives_a_true_run(tmp_path):
    """Every row still holds, and nothing divides by zero."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "What is 2 + 2?", "answer": "It is 4.\\\\n#### -77"}\n')
    store = build_dataset(
        BuildConfig(
            tmp_path / "run", benchmark="gsm8k", data_file=rows, n_samples=4, n_rollouts=4,
            pass_rate=(0, 1),
        )
    )  # fmt: skip
    summary = summarize(store)
    assert (summary.problems, summary.solutions, summary.correct) == (1, 4, 0)
    assert summary.hopeless == summary.trajectories > 0


def test_a_problem_that_is_never_solved_is_left_out_and_counted(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "What is 2 + 2?", "answer": "It is 4.\\n#### -77"}\n')
    store = build_dataset(
        BuildConfig(tmp_path / "run", benchmark="gsm8k", data_file=rows, n_samples=4)
    )
    summary = summarize(store)
    assert (summary.trajectories, summary.pairs) == (0, 0)
    assert summary.left_out == {"never solved": 1}


def test_right_solutions_are_rolled_out_too_and_end_at_one(tmp_path):
    options = {"limit": 4, "n_samples": 8, "n_rollouts": 4, "max_new_tokens": 120}
    store = build_dataset(BuildConfig(tmp_path / "run", of="both", stages=("rollouts",), **options))
    graded = {s["solution_id"]: s["correct"] for s in store.read("solutions").to_pylist()}
    rows = store.read("rollouts").to_pylist()
    assert {graded[row["solution_id"]] for row in rows} == {True, False}
    for row in rows:
        assert row["value"][-1] == graded[row["solution_id"]]
        if graded[row["solution_id"]]:
            assert row["critical_index"] is None


def test_greedy_sampling_leaves_nothing_to_roll_out_but_works(tmp_path):
    store = build_dataset(
        BuildConfig(
            tmp_path / "run", limit=4, n_samples=1, temperature=0, n_rollouts=4, max_new_tokens=120,
            pass_rate=(0, 1),
        )
    )  # fmt: skip
    for row in store.read("rollouts").to_pylist():
        assert set(row["value"]) == {0.0}
        assert row["replacement_pass_at_k"] == []
