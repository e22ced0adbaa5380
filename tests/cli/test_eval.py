"""`ctm eval`, and `ctm grade` of its folders, as typed."""

import json
import os
import time

import pytest
from handmade import evaluated_by_hand
from thinker import TAG_IN_THE_PROMPT, make, problems
from typed import CTM, Typed, ctm

ROW = '{"question": "What is 2 + 2?", "answer": "It is 4.\\n#### 4"}\n'


@pytest.fixture(scope="module")
def typed(tmp_path_factory):
    """A folder with two evaluations, and what was printed for the second."""
    folder = tmp_path_factory.mktemp("eval")
    done = ctm("eval", "--limit", 30, cwd=folder)
    assert done.returncode == 0, done.stderr
    arguments = [
        "--limit",
        30,
        "--n",
        4,
        "--output-dir",
        "sampled",
        "--compare",
        "runs/eval-pocket",
    ]
    return folder, done, ctm("eval", *arguments, cwd=folder)


def test_the_table_is_on_stdout_and_the_progress_on_stderr(typed):
    _, done, _ = typed
    assert "pocket on pocket: 30 problems" in done.stdout
    assert "95% interval" in done.stdout
    assert "sampling: 30/30" in done.stderr


def test_the_table_ends_with_a_row_for_a_model_card(typed):
    _, done, _ = typed
    [row] = [line for line in done.stdout.splitlines() if line.startswith("| pocket |")]
    assert row.count("|") == 6
    assert "0-shot, greedy | accuracy |" in row


def test_several_samples_have_pass_and_maj(typed):
    *_, done = typed
    rows = {line.split()[0] for line in done.stdout.splitlines() if "@" in line.split(" ")[0]}
    assert rows == {"avg@4", "pass@1", "pass@2", "pass@4", "maj@4"}


def test_a_comparison_names_the_test_and_its_p(typed):
    *_, done = typed
    assert "against runs/eval-pocket, 30 problems in common" in done.stdout
    assert "exact sign-flip test, paired by problem" in done.stdout


def test_the_summary_prints_the_same_table_again(typed):
    folder, done, _ = typed
    assert ctm("eval", "--summary", "runs/eval-pocket", cwd=folder).stdout == done.stdout


def test_json_is_results_json_with_the_folder(typed):
    folder, *_ = typed
    printed = json.loads(ctm("eval", "--summary", "sampled", "--json", cwd=folder).stdout)
    assert printed.pop("run") == "sampled"
    assert printed == json.loads((folder / "sampled" / "results_ctm.json").read_text())


def test_the_harness_own_finder_finds_the_results(typed):
    """lm-evaluation-harness takes files with `/results_` and `.json` in their paths."""
    paths = [str(path) for path in (typed[0] / "sampled").rglob("*")]
    found = [path for path in paths if "/results_" in path and ".json" in path]
    assert found == [str(typed[0] / "sampled" / "results_ctm.json")]


def test_a_changed_verdict_fails_the_check_and_is_then_mended(typed, tmp_path):
    import shutil

    from ctm_data.run.store import Store

    shutil.copytree(typed[0] / "sampled", tmp_path / "run")
    store = Store(tmp_path / "run")
    rows = store.read("solutions").to_pylist()
    rows[0]["correct"] = not rows[0]["correct"]
    store.write("solutions", 0, rows)
    check = ctm("grade", tmp_path / "run", "--check")
    assert check.returncode == 1
    assert "the verdicts of 1 samples differ from the saved ones" in check.stderr
    assert "changed  1 of the saved verdicts" in ctm("grade", tmp_path / "run").stdout
    assert Store(tmp_path / "run").read("solutions") == Store(typed[0] / "sampled").read(
        "solutions"
    )


WRONG_CALLS = {
    "unknown benchmark": (["--benchmark", "gsm9k"], "unknown benchmark 'gsm9k'; there are: pocket"),
    "unknown engine": (["--engine", "steam"], "'steam' is not one of 'transformers', 'vllm'"),
    "greedy many times": (["--n", "4", "--temperature", "0"], "or a --temperature above 0"),
    "too many exemplars": (["--few-shot", "2"], "2 exemplars wanted, 0 are for pocket"),
    "a summary of no run": (["--summary", "nowhere"], "there is no run folder nowhere"),
    "a revision of what is generated": (["--revision", "main"], "leave out --revision"),
    "tensor parallelism without vllm": (["--tensor-parallel", "2"], "needs --engine vllm"),
}


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_a_wrong_call_gets_one_clear_line_and_exit_code_2(case, tmp_path):
    arguments, message = WRONG_CALLS[case]
    done = ctm("eval", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


def test_without_vllm_the_extra_is_named(tmp_path):
    import importlib.util

    if importlib.util.find_spec("vllm"):
        pytest.skip("vllm is installed here")
    done = ctm("eval", "--engine", "vllm", "--limit", 2, cwd=tmp_path)
    assert done.returncode == 2
    assert "pip install '.[vllm]'" in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--select", "best"], "'best' is not one of 'first', 'majority'"),
        (["--select", "weighted"], "needs a --verifier"),
        (["--verifier", "nowhere"], "is not a verifier"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused_before_anything_is_sampled(
    options, says, tmp_path
):
    done = ctm("eval", *options, "--output-dir", tmp_path / "run", cwd=tmp_path)
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "run").exists()


def test_a_dataset_of_programs_is_not_built(tmp_path):
    done = ctm("build-dataset", "--benchmark", "pocket-code", "--limit", 2, cwd=tmp_path)
    assert done.returncode == 2
    assert "use `ctm eval`" in done.stderr


def test_gsm8k_from_a_file_runs_from_start_to_finish(tmp_path):
    (tmp_path / "rows.jsonl").write_text(ROW)
    done = ctm("eval", "--benchmark", "gsm8k", "--data-file", "rows.jsonl", "--json", cwd=tmp_path)
    results = json.loads(done.stdout)
    assert results["n-samples"]["gsm8k"] == {"original": 1, "effective": 1}
    assert results["ctm"]["recipe"]["data_file"].startswith("rows.jsonl sha256:")


def test_an_interrupted_evaluation_says_how_to_go_on(tmp_path):
    process = Typed(CTM, "eval", "--limit", 3000, "--chunk-size", 4, cwd=tmp_path)
    folder = tmp_path / "runs" / "eval-pocket" / "solutions"
    while not folder.exists():
        assert process.returncode is None
        time.sleep(0.05)
    process.interrupt()
    assert process.wait(60) == 130
    assert "run the same command again to resume" in process.stderr


def test_an_evaluation_of_others_cannot_steer_the_terminal(tmp_path):
    steer = "\x1b[2J\x1b]0;title\x07"
    run = evaluated_by_hand(tmp_path / "run", model=f"m{steer}", wrong=f"v{steer}")
    done = ctm("eval", "--summary", run)
    assert done.returncode == 0, done.stderr
    assert all(line.isprintable() for line in done.stdout.splitlines())
    assert "m�[2J" in done.stdout


def test_a_recipe_says_how_a_model_thinks_and_a_cut_thought_is_told(tmp_path):
    model = make(tmp_path / "model", TAG_IN_THE_PROMPT)
    file = problems(tmp_path / "problems.jsonl")["data_file"]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"model: {model}\nbenchmark: gsm8k\ndata_file: {file}\nmax-thinking-tokens: 1\n"
        "think-tags: <think>,</think>\ntemplate-args: {enable_thinking: true}\n"
    )
    done = ctm("eval", "--config", recipe, "--output-dir", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 unfinished_thought" in done.stdout
    assert "2 of 2 samples (100%) were cut off" in done.stderr
    assert "raise --max-thinking-tokens (now 1)\n" in done.stderr
    made_with = json.loads((tmp_path / "run" / "manifest.json").read_text())["recipe"]
    assert made_with["template_args"] == {"enable_thinking": True}
