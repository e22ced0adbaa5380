"""The command line: exit codes, one clear line for every mistake, help with examples."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typed import CTM, Typed, ctm

from ctm_data.run.store import Store
from ctm_eval.pocket.builtin import MODELS

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    arguments = ["--limit", 6, "--n-samples", 8, "--n-rollouts", 8, "--output-dir", folder]
    metrics = folder.parent / "metrics.jsonl"
    done = ctm("build-dataset", *arguments, "--json", "--metrics", metrics)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout), done.stderr


def test_json_is_all_there_is_on_stdout(run_folder):
    folder, summary, _ = run_folder
    assert summary["run"] == str(folder)
    assert summary["solutions"] == 48


def test_progress_goes_to_stderr_with_rate(run_folder):
    *_, stderr = run_folder
    assert "sampling: 48/48" in stderr
    assert "rolling out: 6/6" in stderr


def test_the_metrics_end_with_all_that_was_done(run_folder):
    folder, summary, _ = run_folder
    lines = (folder.parent / "metrics.jsonl").read_text().splitlines()
    last = {line["stage"]: line for line in map(json.loads, lines)}
    assert (last["sampling"]["done"], last["rolling out"]["done"]) == (48, pytest.approx(6))
    assert last["sampling"]["tokens"] == summary["solution_tokens"]
    assert last["sampling"]["tokens_per_second"] > 0 and last["sampling"]["seconds_left"] == 0


def test_a_pipe_has_no_bars_and_no_warnings_of_libraries(tmp_path):
    """A cold start, unlike the others: libraries read whether they may show bars when they are imported."""
    command = [
        sys.executable,
        "-c",
        CTM,
        "eval",
        "--limit",
        "1",
        "--output-dir",
        str(tmp_path / "run"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "sampling: 1/1" in done.stderr
    assert not re.search(r"\r|\x1b|it/s|█|[Ww]arning", done.stdout + done.stderr)


def test_the_summary_names_what_to_type_next(run_folder):
    folder, *_ = run_folder
    arguments = ["--limit", 6, "--n-samples", 8, "--n-rollouts", 8, "--output-dir", folder]
    done = ctm("build-dataset", *arguments)
    assert f"ctm show {folder}" in done.stdout
    assert "critical tokens found" in done.stdout


def test_the_summary_says_how_the_questions_were_put(run_folder):
    folder, summary, _ = run_folder
    assert summary["asked"] == "zero-shot"
    arguments = ["--limit", 6, "--n-samples", 8, "--n-rollouts", 8, "--output-dir", folder]
    done = ctm("build-dataset", *arguments)
    assert re.search(r"zero-shot +form of the prompts", done.stdout)


def test_the_folder_of_a_trained_model_is_built_from_without_further_options(tmp_path):
    """Its default length is not longer than what the positions of the model leave."""
    model = shutil.copytree(MODELS["pocket"], tmp_path / "models" / "trained")
    small = ["--limit", 2, "--n-samples", 2, "--n-rollouts", 2, "--stages", "rollouts"]
    done = ctm("build-dataset", "--model", model, *small, "--output-dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    recipe = Store(tmp_path / "run").manifest["recipe"]
    assert (recipe["chat"], recipe["few_shot"]) == (False, 0)
    assert 192 < recipe["max_new_tokens"] < 1024


def test_n_shot_is_another_name_of_few_shot_and_no_chat_is_an_option(tmp_path):
    shots = tmp_path / "shots.jsonl"
    shots.write_text('{"question": "One and one?", "solution": "2\\n#### 2"}\n')
    asked = ["--no-chat", "--n-shot", 1, "--few-shot-file", shots, "--max-new-tokens", 8]
    done = ctm("eval", "--limit", 1, *asked, "--output-dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    recipe = Store(tmp_path / "run").manifest["recipe"]
    assert (recipe["chat"], recipe["few_shot"]) == (False, 1)
    assert recipe["few_shot_file"].startswith("shots.jsonl")


def test_show_without_colour_has_digits_and_a_mark(run_folder):
    folder, *_ = run_folder
    done = ctm("show", folder, "--width", 70)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "^" in done.stdout
    assert "Critical token:" in done.stdout
    assert all(len(line) <= 70 for line in done.stdout.splitlines())


def test_show_takes_an_id(run_folder):
    folder, *_ = run_folder
    from ctm_data.run.store import Store

    for solution_id in Store(folder).read("rollouts")["solution_id"].to_pylist():
        done = ctm("show", folder, "--id", solution_id)
        assert solution_id in done.stdout


def test_a_recipe_file_gives_defaults_and_flags_win(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model: pocket\nlimit: 2\nn-samples: 4\nn_rollouts: 4\n")
    folder = tmp_path / "run"
    done = ctm(
        "build-dataset", "--config", recipe, "--n-samples", 2, "--output-dir", folder, "--json"
    )
    assert done.returncode == 0, done.stderr
    made_with = json.loads((folder / "manifest.json").read_text())["recipe"]
    assert (made_with["limit"], made_with["n_samples"], made_with["n_rollouts"]) == (2, 2, 4)


WRONG_CALLS = {
    "missing model folder": (["--model", "./no/such/model"], "there is no model folder"),
    "unknown benchmark": (["--benchmark", "gsm9k"], "unknown benchmark 'gsm9k'; there are: pocket"),
    "missing data file": (["--benchmark", "gsm8k", "--data-file", "no.jsonl"], "there is no file"),
    "pocket with a file": (["--data-file", "no.jsonl"], "leave out --data-file"),
    "unknown rule": (["--rule", "vital"], "'vital' is not one of 'critical', 'pivotal', 'cliff'"),
    "unknown estimator": (["--estimator", "magic"], "'magic' is not one of 'branch', 'exhaustive'"),
    "unknown engine": (["--engine", "steam"], "'steam' is not one of 'transformers', 'vllm'"),
    "label-only with a rule that needs more": (
        ["--label-only", "--rule", "pivotal"],
        "--label-only finds only the critical token",
    ),
    "solutions longer than the model": (
        ["--max-new-tokens", "2000"],
        "that is more than the 1024 positions of pocket: lower --max-new-tokens",
    ),
    "a device that is not there": (["--device", "cuda:99"], "has no device 'cuda:99'"),
    "half a pass rate": (["--pass-rate", "0.5"], "--pass-rate takes LOW:HIGH"),
    "a pass rate backwards": (["--pass-rate", "0.9:0.1"], "the lower one first, not 0.9:0.1"),
    "one tag": (["--think-tags", "<think>"], "--think-tags takes OPEN,CLOSE"),
    "tags with nothing in them": (["--think-tags", ","], "--think-tags takes OPEN,CLOSE"),
    "template arguments that are no JSON": (
        ["--template-args", "enable_thinking=false"],
        "--template-args takes a JSON object",
    ),
    "template arguments without a template": (
        ["--template-args", "{}"],
        "--template-args goes with --chat",
    ),
    "no room for a thought": (
        ["--max-thinking-tokens", "0"],
        "--max-thinking-tokens must be 1 or more",
    ),
    "no samples": (["--n-samples", "0"], "--n-samples must be 1 or more"),
    "a shard that is none": (["--shard", "2/2"], "I from 0 to N - 1"),
    "a shard that is no fraction": (["--shard", "two"], "takes I/N"),
    "top-p above one": (["--top-p", "1.5"], "top-p must be above 0 and at most 1"),
    "a recipe that is not there": (["--config", "no.yaml"], "cannot read no.yaml"),
    "an unknown stage": (
        ["--stages", "rollouts,dance"],
        "unknown --stages 'dance'; there are: rollouts",
    ),
    "p+ without p-": (["--positive-model", "m"], "give both --positive-model and --negative-model"),
    "merging nothing": (["--merge", "nowhere"], "there is no run folder nowhere"),
}


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_a_wrong_call_gets_one_clear_line_and_exit_code_2(case, tmp_path):
    arguments, message = WRONG_CALLS[case]
    done = ctm("build-dataset", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.parquet"))


TRAIN = ["train", "cdpo", "RUN"]
WRONG_TRAINING = {
    "an unknown method": (["train", "ppo", "RUN"], "'ppo' is not one of 'cdpo', 'dpo'"),
    "data that is not there": (["train", "cdpo", "./no.jsonl"], "no file or folder ./no.jsonl"),
    "an unknown preset": ([*TRAIN, "--preset", "gpt-9"], "unknown preset 'gpt-9'; there are:"),
    "unknown weights": (
        [*TRAIN, "--weights", "lead"],
        "'lead' is not one of 'contrast'",
    ),
    "a rate of nothing": ([*TRAIN, "--learning-rate", "0"], "--learning-rate must be above 0"),
    "an unknown schedule": ([*TRAIN, "--scheduler", "nope"], "'nope' is not one of 'cosine'"),
    "an unknown tracker": ([*TRAIN, "--report-to", "nope"], "unknown --report-to 'nope'"),
    "an option of another method": (
        [*TRAIN, "--simpo-gamma", "1"],
        "--simpo-gamma goes with simpo, confpo; cdpo has no use for it",
    ),
    "merging without an adapter": ([*TRAIN, "--merge"], "--no-lora has none"),
    "a model that is not there": ([*TRAIN, "--model", "./no"], "there is no model folder ./no"),
    "a length that leaves nothing": (
        [*TRAIN, "--max-length", "1"],
        "cuts off every completion, and nothing is left to train on",
    ),
    "a bucket": ([*TRAIN, "--output-dir", "s3://b/x"], "to a folder here, and s3://b/x is none"),
    "an unknown config": ([*TRAIN, "--accelerate-config", "magic"], "unknown config 'magic'"),
}


@pytest.mark.parametrize("case", WRONG_TRAINING)
def test_a_wrong_training_gets_one_clear_line_and_exit_code_2(case, run_folder, tmp_path):
    arguments, message = WRONG_TRAINING[case]
    done = ctm(*[run_folder[0] if word == "RUN" else word for word in arguments], cwd=tmp_path)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_training_tells_the_loss_on_stderr_and_json_on_stdout(run_folder, tmp_path):
    done = ctm("train", "cdpo", run_folder[0], "--batch-size", 2, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["steps"] >= 1
    told = [line for line in done.stderr.splitlines() if line.startswith("training cdpo")]
    assert f"loss {outcome['loss']:.4g}" in told[-1]
    assert outcome["kl"] > 0
    assert (tmp_path / outcome["folder"] / "model.safetensors").exists()


def test_a_training_of_a_few_steps_says_that_they_show_nothing(run_folder, tmp_path):
    done = ctm("train", "cdpo", run_folder[0], "--batch-size", 2, cwd=tmp_path)
    assert "So few steps show nothing: train on more rows, or raise --epochs." in done.stdout


def test_a_training_that_moved_nothing_says_so_in_one_line(run_folder, tmp_path):
    done = ctm("train", "cdpo", run_folder[0], "--learning-rate", "1e-12", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "The model is what it was: raise --learning-rate" in done.stdout
    assert "nats a token" in done.stdout


def test_pairs_without_weights_are_counted_in_one_line(run_folder, tmp_path):
    rows = Store(run_folder[0]).read("contrast").to_pylist()
    rows[0]["rejected_ce"] = None
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = ctm("train", "cdpo", "rows.jsonl", cwd=tmp_path)
    assert "1 pairs had no weights and were left out" in done.stdout, done.stderr


def test_the_config_for_accelerate_is_one_that_accelerate_reads(run_folder, tmp_path):
    from accelerate.commands.config.config_args import load_config_from_file

    for kind, distributed in (("ddp", "MULTI_GPU"), ("fsdp", "FSDP"), ("deepspeed", "DEEPSPEED")):
        folder = tmp_path / kind
        options = ["--accelerate-config", kind, "--output-dir", folder]
        done = ctm("train", "cdpo", run_folder[0], *options)
        assert done.stdout == (
            f"accelerate launch --config_file {folder}.yaml -m ctm_cli.main train cdpo "
            f"{run_folder[0]} --output-dir {folder}\n"
        )
        assert load_config_from_file(f"{folder}.yaml").distributed_type == distributed


def test_a_comparison_has_an_interval_for_every_measure(run_folder):
    rows = json.loads(ctm("compare", run_folder[0], "--json").stdout)
    assert {"measure", "ranking", "mean", "low", "high", "n"} == set(rows[0])
    assert "hit@1" in ctm("compare", run_folder[0]).stdout


def test_a_recipe_with_an_unknown_option_is_refused(tmp_path):
    (tmp_path / "recipe.yaml").write_text("n_sample: 4\n")
    done = ctm("build-dataset", "--config", "recipe.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "unknown options: n_sample" in " ".join(done.stderr.split())


def test_a_recipe_whose_aliases_grow_without_end_is_refused(tmp_path):
    """Ten lists of ten of the one before: 10^10 texts in a few hundred bytes."""
    lines = ["model:", "- &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"- &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    (tmp_path / "recipe.yaml").write_text("\n".join(lines))
    done = ctm("build-dataset", "--config", "recipe.yaml", cwd=tmp_path, timeout=60)
    assert done.returncode == 2
    assert "model must be one value, or a list of values" in " ".join(done.stderr.split())


def test_a_broken_line_is_named_by_its_number(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"question": "?", "answer": "#### 1"}\n{"question"\n')
    done = ctm("build-dataset", "--benchmark", "gsm8k", "--data-file", "rows.jsonl", cwd=tmp_path)
    assert done.returncode == 2
    assert "rows.jsonl, line 2 is not JSON" in done.stderr
    assert os.listdir(tmp_path) == ["rows.jsonl"]


def test_a_folder_of_another_recipe_is_refused(run_folder):
    folder, *_ = run_folder
    done = ctm("build-dataset", "--limit", 7, "--output-dir", folder)
    assert done.returncode == 2
    assert "belongs to another recipe (limit: 6 there, 7 here" in done.stderr


def test_work_that_fails_exits_with_1(run_folder, tmp_path):
    """A truncated part is damage, not a wrong call."""
    import shutil

    folder, *_ = run_folder
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / "rollouts" / "part-00000.parquet").write_bytes(b"PAR1")
    done = ctm("show", tmp_path / "run")
    assert done.returncode == 1
    assert "part-00000.parquet cannot be read" in done.stderr


def test_an_unknown_id_names_some_that_there_are(run_folder):
    folder, *_ = run_folder
    done = ctm("show", folder, "--id", "nobody")
    assert done.returncode == 2
    assert "such as pocket-test-0-" in done.stderr


def test_an_interrupted_run_says_how_to_go_on(tmp_path):
    process = Typed(CTM, "build-dataset", "--limit", 200, cwd=tmp_path)
    while not (tmp_path / "runs" / "pocket" / "manifest.json").exists():
        assert process.returncode is None
        time.sleep(0.05)
    time.sleep(1)
    process.interrupt()
    assert process.wait(60) == 130
    assert "run the same command again to resume" in process.stderr


def test_debug_shows_the_traceback(tmp_path):
    done = ctm("--debug", "show", tmp_path)
    assert "Traceback" in done.stderr


COMMANDS = [
    "build-dataset",
    "compare",
    "eval",
    "export",
    "grade",
    "import",
    "publish",
    "pull",
    "query",
    "report",
    "runs",
    "sandbox",
    "score",
    "show",
    "train",
    "verify",
    "view",
]


def test_every_command_is_known_to_this_test():
    from ctm_cli.main import app

    assert sorted(command.name for command in app.registered_commands) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_and_is_in_the_readme(command):
    done = ctm(command, "--help")
    assert "Examples:" in done.stdout
    examples = [line for line in done.stdout.splitlines() if line.strip().startswith("ctm ")]
    assert any(line.split()[1] == command for line in examples)
    assert f"ctm {command}" in (ROOT / "README.md").read_text()


def test_help_answers_without_loading_anything_heavy():
    code = "import sys\nfrom ctm_cli.main import run\ntry: run()\nexcept SystemExit: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True)
    assert not {"torch", "transformers", "pyarrow", "numpy"} & set(done.stdout.split())


def test_more_than_a_twentieth_cut_off_is_said_with_the_option_to_raise(capsys):
    from ctm_cli._output import tell_truncated

    tell_truncated(1, 0, 20, {"max_new_tokens": 64})
    assert capsys.readouterr().err == ""
    tell_truncated(2, 0, 20, {"max_new_tokens": 64})
    said = capsys.readouterr().err
    assert "2 of 20 samples (10%)" in said
    assert "raise --max-new-tokens (now 64)" in said
