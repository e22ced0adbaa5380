"""`evaluate` for real: the built-in model, kills, resumes, programs, re-scoring, comparison."""

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typed import Typed

from ctm_data.build import merge_shards
from ctm_data.config import EvalConfig
from ctm_data.eval import evaluate
from ctm_data.pages.evaluation import as_json, paired, summarize
from ctm_data.regrade import regrade
from ctm_data.run.store import Store
from ctm_eval.engines import Request, Sampling
from ctm_eval.errors import CtmError

SMALL = {"limit": 60, "n_samples": 2, "chunk_size": 2, "max_new_tokens": 120}
KILLS = 10


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a run folder but its lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed evaluation."""
    return evaluate(EvalConfig(tmp_path_factory.mktemp("whole") / "run", **SMALL)).folder


@pytest.fixture(scope="module")
def greedy(tmp_path_factory):
    """A greedy one of the same problems."""
    options = {"limit": 60, "max_new_tokens": 120}
    return evaluate(EvalConfig(tmp_path_factory.mktemp("greedy") / "run", **options)).folder


@pytest.fixture
def tasks(tmp_path):
    """Two tasks in MBPP's shape."""
    rows = [
        {
            "task_id": task,
            "text": "Double a number.",
            "code": "def twice(x):\n    return 2 * x",
            "test_list": ["assert twice(2) == 4"],
            "test_setup_code": "",
        }
        for task in (11, 12)
    ]
    path = tmp_path / "mbpp.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_sample_is_there_once(whole):
    solutions = Store(whole).read("solutions").to_pylist()
    keys = {(row["problem_id"], row["sample_index"]) for row in solutions}
    assert len(solutions) == len(keys) == 120


def test_the_figures_are_those_of_the_rows(whole):
    solutions = Store(whole).read("solutions").to_pylist()
    results = json.loads((whole / "results_ctm.json").read_text())
    right = [row["correct"] for row in solutions]
    assert results["results"]["pocket"]["exact_match,none"] == pytest.approx(sum(right) / 120)
    both_wrong = sum(not (a or b) for a, b in zip(right[::2], right[1::2], strict=True))
    assert results["results"]["pocket"]["pass@2,none"] == pytest.approx(1 - both_wrong / 60)
    assert sum(results["ctm"]["verdicts"].values()) == 120


def test_greedy_samples_are_the_engines_greedy_tokens(greedy, engine):
    rows = Store(greedy).read("solutions").to_pylist()[:10]
    requests = [Request(row["prompt_ids"], 0, 120) for row in rows]
    completions = engine.sample(requests, Sampling(temperature=0))
    assert [list(c.token_ids) for c in completions] == [row["token_ids"] for row in rows]


def test_results_have_the_fields_that_readers_of_lm_evaluation_harness_use(greedy):
    results = json.loads((greedy / "results_ctm.json").read_text())
    task = "pocket"
    for field in ("results", "configs", "versions", "n-shot", "higher_is_better", "n-samples"):
        assert task in results[field]
    figures = results["results"][task]
    assert figures["alias"] == task
    names = {name.removesuffix(",none") for name in figures if name.endswith(",none")}
    plain = {name for name in names if not name.endswith("_stderr")}
    assert {f"{name}_stderr" for name in plain} == names - plain
    assert set(results["higher_is_better"][task]) == plain
    assert results["n-samples"][task] == {"original": 60, "effective": 60}
    assert results["n-shot"][task] == 0


def test_the_prompts_are_hashed_into_the_results(greedy, tmp_path):
    """Other prompts, another hash: here the same problems with an exemplar before them."""
    (tmp_path / "shots.jsonl").write_text('{"question": "1 + 1?", "solution": "#### 2"}\n')
    shots = {"few_shot": 1, "few_shot_file": tmp_path / "shots.jsonl", "limit": 60}
    other = evaluate(EvalConfig(tmp_path / "run", max_new_tokens=1, **shots))
    hashes = {
        json.loads((folder / "results_ctm.json").read_text())["ctm"]["prompts_sha256"]
        for folder in (greedy, other.folder)
    }
    assert len(hashes) == 2


def test_the_summary_is_made_anew_from_the_tables(whole):
    results = json.loads((whole / "results_ctm.json").read_text())
    (whole / "results_ctm.json").rename(whole / "elsewhere")
    again = as_json(Store(whole), summarize(whole))
    (whole / "elsewhere").rename(whole / "results_ctm.json")
    assert {name: again[name] for name in results} == results


def test_a_finished_run_is_not_done_again(whole):
    before, seen = content(whole), []
    evaluate(EvalConfig(whole, **SMALL), lambda *counts: seen.append(counts))
    assert seen == [("sampling", 120, 120, 0)]
    assert content(whole) == before


def test_a_lost_part_is_made_again_the_same(whole, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(whole, copy)
    (copy / "solutions" / "part-00001.parquet").write_bytes(b"PAR1 and then nothing")
    (copy / "problems" / "part-00002.parquet").unlink()
    store = evaluate(EvalConfig(copy, **SMALL))
    assert store.set_aside == ["solutions/part-00001.parquet"]
    shutil.rmtree(copy / "set-aside")
    assert content(copy) == content(whole)


def test_other_options_are_refused_and_nothing_is_touched(whole):
    before = content(whole)
    with pytest.raises(CtmError, match="n_samples: 2 there, 3 here"):
        evaluate(EvalConfig(whole, **{**SMALL, "n_samples": 3}))
    assert content(whole) == before


PROGRAM = """
import sys
from ctm_data.config import EvalConfig
from ctm_data.eval import evaluate
say = lambda *counts, **figures: print(counts, flush=True)
evaluate(
    EvalConfig(sys.argv[1], limit=60, n_samples=2, chunk_size=2, max_new_tokens=120), say
)
"""


def test_ten_kills_and_a_resume_give_the_undisturbed_runs_files(whole, tmp_path):
    """Kills at random moments, from the start of the process or of the sampling. No sample is asked
    for again: what a process reports as done at its start is what is on the disk. A run that ends
    before its kill is compared and begun anew."""
    rng, expected, folder = random.Random(11), content(whole), tmp_path / "run"
    kills = 0
    while kills < KILLS:
        on_disk = 4 * len(list((folder / "solutions").glob("part-*.parquet")))
        process = Typed(PROGRAM, folder)
        if rng.random() < 0.8:
            while "\n" not in process.stdout:
                assert process.returncode is None
                time.sleep(0.01)
            assert process.stdout.startswith(f"('sampling', {on_disk}, 120, 0)\n")
        if process.wait(rng.uniform(0, 1)) is None:
            process.kill()
            kills += 1
        else:
            assert process.returncode == 0
            assert content(folder) == expected
            shutil.rmtree(folder)
    evaluate(EvalConfig(folder, **SMALL))
    assert content(folder) == expected


def test_scoring_again_mends_wrong_verdicts_and_the_figures(whole, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(whole, copy)
    store = Store(copy)
    rows = store.rows("solutions", 3)
    for row in rows:
        row["correct"], row["verdict"] = not row["correct"], "wrong"
    store.write("solutions", 3, rows)
    changed = sorted(row["solution_id"] for row in rows)
    results, found = regrade(copy, write=False)
    assert sorted(found) == changed
    assert results.accuracy == summarize(whole).accuracy
    assert content(copy) != content(whole)
    regrade(copy)
    assert content(copy) == content(whole)
    assert regrade(copy)[1] == []


def test_an_unfinished_run_is_not_scored_again(whole, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(whole, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["parts"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CtmError, match="is not finished"):
        regrade(copy)


def test_a_damaged_run_is_not_scored_as_if_the_rest_were_all(whole, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(whole, copy)
    (copy / "solutions" / "part-00001.parquet").write_bytes(b"PAR1 and then nothing")
    before = (copy / "results_ctm.json").read_bytes()
    with pytest.raises(CtmError, match="is damaged and was set aside: run its `ctm eval` again"):
        regrade(copy)
    assert (copy / "results_ctm.json").read_bytes() == before


def test_a_run_against_itself_shows_no_difference(greedy):
    comparison = paired(greedy, greedy)
    assert (comparison.problems, comparison.difference, comparison.p) == (60, 0, 1)


def test_greedy_against_sampled_is_paired_by_problem(greedy, whole):
    comparison = paired(greedy, whole)
    assert comparison.difference == pytest.approx(
        summarize(whole).accuracy.value - summarize(greedy).accuracy.value
    )
    assert comparison.better + comparison.worse <= comparison.problems == 60


def test_runs_of_different_data_are_not_compared(greedy, tmp_path):
    other = evaluate(EvalConfig(tmp_path / "run", limit=4, seed=1, max_new_tokens=4)).folder
    with pytest.raises(CtmError, match="no problem in common"):
        paired(greedy, other)


def test_programs_are_run_and_a_model_without_any_scores_zero(tasks, tmp_path):
    """pocket writes no programs; the harness still goes from start to finish."""
    store = evaluate(
        EvalConfig(tmp_path / "run", benchmark="mbpp", data_file=tasks, max_new_tokens=20)
    )
    results = json.loads((store.folder / "results_ctm.json").read_text())
    assert results["results"]["mbpp"]["pass_at_1,none"] == 0
    assert "maj@1,none" not in results["results"]["mbpp"]
    assert store.read("problems")["tests"].to_pylist() == [["assert twice(2) == 4"]] * 2


def test_programs_that_were_kept_are_scored_again(tasks, tmp_path):
    store = evaluate(
        EvalConfig(tmp_path / "run", benchmark="mbpp", data_file=tasks, max_new_tokens=20)
    )
    rows = store.read("solutions").to_pylist()
    rows[0]["text"], rows[0]["finish_reason"] = "def twice(x):\n    return x + x", "stop"
    rows[1]["text"], rows[1]["finish_reason"] = "def twice(x):\n    return x", "stop"
    store.write("solutions", 0, rows)
    results, _ = regrade(store.folder)
    assert results.reasons == {"correct": 1, "wrong": 1}


def test_a_suspicious_program_is_named_in_its_row_and_counted(tasks, tmp_path):
    store = evaluate(
        EvalConfig(tmp_path / "run", benchmark="mbpp", data_file=tasks, max_new_tokens=20)
    )
    rows = store.read("solutions").to_pylist()
    equal = "class A:\n    def __eq__(self, other): return True\n"
    rows[0]["text"], rows[0]["finish_reason"] = f"{equal}def twice(x): return A()", "stop"
    rows[1]["text"], rows[1]["finish_reason"] = "def twice(x): return x + x", "stop"
    store.write("solutions", 0, rows)
    results, _ = regrade(store.folder)
    found = store.read("solutions", ["suspicious"])["suspicious"].to_pylist()
    assert found == ["an object with an equality of its own was compared with a value", ""]
    assert results.suspicious == 1
    assert json.loads((store.folder / "results_ctm.json").read_text())["ctm"]["suspicious"] == 1
    assert "(column `suspicious`): 1." in (store.folder / "README.md").read_text()


def test_where_no_program_was_run_none_can_be_suspicious(greedy):
    assert json.loads((greedy / "results_ctm.json").read_text())["ctm"]["suspicious"] is None
    assert "suspicious" not in (greedy / "README.md").read_text()


def test_a_benchmark_whose_references_fail_leaves_no_folder(tasks, tmp_path):
    tasks.write_text(tasks.read_text().replace("2 * x", "3 * x"))
    with pytest.raises(CtmError, match="2 of 2 references are not scored as correct"):
        evaluate(EvalConfig(tmp_path / "run", benchmark="mbpp", data_file=tasks))
    assert not (tmp_path / "run").exists()


REFUSED = {
    "several greedy samples": ({"n_samples": 4, "temperature": 0.0}, "are all equal"),
    "a prompt that is too long": ({"max_new_tokens": 1000}, "lower --max-new-tokens or --few-shot"),
    "no samples": ({"n_samples": 0}, "--n-samples must be 1 or more"),
    "a chat without a template": ({"chat": True}, "has no chat template"),
    "an adapter that is none": ({"adapter": "nowhere"}, "holds no LoRA adapter"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused_and_leaves_no_folder(case, tmp_path):
    options, message = REFUSED[case]
    with pytest.raises(CtmError, match=message):
        evaluate(EvalConfig(tmp_path / "run", limit=2, **options))
    assert not (tmp_path / "run").exists()


def test_a_run_that_a_second_process_writes_to_is_refused(whole):
    code = (
        "import fcntl, os, sys, time\n"
        "lock = os.open(sys.argv[1] + '/.lock', os.O_RDWR)\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\nprint('held', flush=True)\ntime.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(whole)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(CtmError, match="another process is writing"):
            evaluate(EvalConfig(whole, **SMALL))
    finally:
        other.kill()
        other.communicate()


def test_a_moment_of_progress_is_reported_for_every_token(tmp_path):
    seen = []
    evaluate(EvalConfig(tmp_path / "run", limit=8, max_new_tokens=30), lambda *c: seen.append(c))
    assert seen[-1][1:3] == (8, 8)
    assert len(seen) > 20


def test_an_evaluation_passes_verify_and_is_published_with_its_figures(whole):
    from ctm_data.publish import publish
    from ctm_data.verify import verify

    assert not [check for check in verify(whole).checks if check.failed]
    publication = publish(whole, "you/evaluation", dry_run=True)
    assert "results_ctm.json" in publication.files
    assert publication.card.startswith(
        "---\npretty_name: Evaluation of pocket on pocket\nlicense: apache-2.0"
    )


def test_merged_shards_are_the_evaluation_that_was_not_sharded(whole, tmp_path):
    shards = [
        evaluate(EvalConfig(tmp_path / str(i), shard=(i, 2), **SMALL)).folder for i in range(2)
    ]
    merged = merge_shards(shards, tmp_path / "merged").folder
    assert content(merged) == content(whole)


def test_a_shard_without_problems_is_refused_and_leaves_nothing(tmp_path):
    config = EvalConfig(tmp_path / "run", limit=4, chunk_size=2, shard=(2, 3))
    with pytest.raises(CtmError, match=r"shard 2/3 has no problems: there are 4, 2 in a chunk"):
        evaluate(config)
    assert not (tmp_path / "run").exists()
