"""What a run's pairs weigh, and training on a run, a file, and what is neither."""

import json
import math
import os
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from handmade import made_by_hand

from ctm_data.build import build_dataset
from ctm_data.config import BuildConfig
from ctm_data.run.store import Store
from ctm_data.train import importance_weighted, start_model, train, training_rows, weigh, weighted
from ctm_data.verify import verify
from ctm_eval.errors import CtmError
from ctm_train.errors import TrainError

PAIR = {
    "rejected_ids": [5, 6, 2],
    "rejected_ce": [0.9, 0.25, 1.0],
    "rejected_value_drop": [-0.25, 0.75, 0.0],
    "rejected_critical": 1,
}


def test_contrast_weighs_a_token_by_one_minus_its_score():
    assert weigh(PAIR, "contrast") == pytest.approx([0.1, 0.75, 0.0])


def test_value_weighs_a_token_by_the_drop_and_a_rise_by_nothing():
    assert weigh(PAIR, "value") == [0.0, 0.75, 0.0]


def test_critical_weighs_the_critical_token_alone():
    assert weigh(PAIR, "critical") == [0.0, 1.0, 0.0]


def test_uniform_weighs_every_token_alike():
    assert weigh(PAIR, "uniform") == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("weights", "pair"),
    [
        ("contrast", {**PAIR, "rejected_ce": None}),
        ("value", {**PAIR, "rejected_value_drop": None}),
        ("value", {**PAIR, "rejected_value_drop": [None, 0.75, 0.0]}),
        ("critical", {**PAIR, "rejected_critical": None}),
        ("critical", {"rejected_ids": [5, 6, 2]}),
    ],
)
def test_weights_that_are_not_known_are_none(weights, pair):
    assert weigh(pair, weights) is None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training") / "run"
    return build_dataset(
        BuildConfig(folder, limit=12, n_samples=8, n_rollouts=8, max_new_tokens=120)
    )


@pytest.mark.parametrize("weights", ["contrast", "value", "critical", "uniform"])
def test_every_rejected_token_of_a_run_has_a_weight(run, weights):
    rows = training_rows(run, "cdpo", weights)
    assert len(rows) > 2
    for row in rows:
        assert len(row["rejected_weights"]) == len(row["rejected_ids"])


def test_chosen_weights_are_the_scores_of_the_chosen_side(run):
    scores = [row["chosen_ce"] for row in run.read("contrast").to_pylist()]
    rows = training_rows(run, "cdpo", chosen_weights=True)
    assert rows["chosen_weights"][:] == scores


def test_sft_takes_the_chosen_side(run):
    chosen = [row["chosen_ids"] for row in run.read("contrast").to_pylist()]
    assert training_rows(run, "sft")["completion_ids"][:] == chosen


def test_training_on_a_run_writes_a_model_that_a_run_can_use(run, tmp_path):
    outcome = train("cdpo", run.folder, tmp_path / "cdpo", batch_size=4)
    assert outcome.steps > 0
    record = json.loads((tmp_path / "cdpo" / "training.json").read_text())
    assert (record["model"], record["data"]["weights"]) == ("pocket", "contrast")
    options = {"limit": 1, "n_samples": 2, "n_rollouts": 2, "max_new_tokens": 60}
    build_dataset(BuildConfig(tmp_path / "again", model=str(tmp_path / "cdpo"), **options))


@pytest.mark.parametrize(
    ("wrote", "preset", "start"),
    [
        ("./my-model", None, "./my-model"),
        (["one", "two"], None, "one"),
        (None, None, "pocket"),
        ("./my-model", "pocket", "pocket"),
    ],
)
def test_a_run_trains_the_model_that_wrote_it_where_none_is_named(wrote, preset, start, tmp_path):
    with Store.open(tmp_path, {"model": wrote}):
        pass
    assert start_model(tmp_path, preset) == start


def test_samples_of_a_server_train_pocket_as_its_name_for_a_model_need_not_be_weights(tmp_path):
    with Store.open(tmp_path, {"model": "my-model", "engine": "openai"}):
        pass
    assert start_model(tmp_path) == "pocket"


def test_a_file_trains_pocket_where_no_model_is_named(tmp_path):
    assert start_model(tmp_path / "rows.jsonl") == "pocket"


def test_training_on_a_file_of_ones_own(tmp_path):
    rows = [{"prompt": "Question: 1 + 1?\nAnswer:", "completion": " 2\n#### 2"}] * 4
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert train("sft", tmp_path / "rows.jsonl", tmp_path / "m", batch_size=2).steps == 2


def test_pairs_for_sft_are_refused_with_the_columns_it_needs(tmp_path):
    row = {"prompt": "a", "chosen": "b", "rejected": "c"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(TrainError, match=r"needs the columns prompt, completion"):
        train("sft", tmp_path / "rows.jsonl", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CtmError, match=r"no file or folder .*rows.jsonl"):
        train("sft", tmp_path / "rows.jsonl", tmp_path / "m")


def test_unknown_weights_are_answered_with_the_known_ones(run, tmp_path):
    with pytest.raises(CtmError, match="contrast, value, critical, uniform"):
        train("cdpo", run.folder, tmp_path / "m", weights="entropy")


MARKS = tuple(f"#### {digit}" for digit in range(10))


def test_what_a_stop_string_ended_is_learnt_without_it_and_with_eos(monkeypatch, tmp_path):
    """Invented ones for the built-in model, which end a solution at the first digit of its answer."""
    monkeypatch.setattr("ctm_data.config._stop", lambda models: MARKS)
    monkeypatch.setattr("ctm_eval.prompts.STOP", MARKS)
    options = {"limit": 24, "n_samples": 16, "n_rollouts": 4, "max_new_tokens": 120}
    stages = ("rollouts", "contrast", "verifier")
    run = build_dataset(BuildConfig(tmp_path / "run", stages=stages, **options))
    sampled = {row["solution_id"]: row for row in run.read("solutions").to_pylist()}
    pairs = run.read("contrast").to_pylist()
    assert pairs
    for pair in pairs:
        for side in ("chosen", "rejected"):
            assert "####" in sampled[pair[f"{side}_id"]]["text"]
            assert sampled[pair[f"{side}_id"]]["token_ids"][-1] != 2
            assert "####" not in pair[side]
            assert pair[f"{side}_ids"][-1] == 2
        assert len(pair["rejected_value_drop"]) == len(pair["rejected_ids"])
    assert not any("####" in row["solution"] for row in run.read("verifier").to_pylist())
    for method, ids in (
        ("sft", "completion_ids"),
        ("prm", "completion_ids"),
        ("dpo", "chosen_ids"),
    ):
        assert all(row[ids][-1] == 2 for row in training_rows(run, method))
    assert not [check.failures for check in verify(run.folder).checks if check.failures]


def losses(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [row["loss"] for row in map(json.loads, lines) if "loss" in row]


@pytest.fixture(scope="module")
def dpo_losses(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dpo") / "m"
    train("dpo", run.folder, folder, batch_size=2, warmup=0, beta=0.3)
    return losses(folder)


@pytest.mark.parametrize("weights", ["contrast", "value", "critical"])
def test_a_run_and_its_table_as_a_file_train_alike_and_not_as_dpo_does(
    weights, run, dpo_losses, tmp_path
):
    rows = run.read("contrast").to_pylist()
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(run.read("contrast"), tmp_path / "rows.parquet")
    seen = {}
    sources = [run.folder, tmp_path / "rows.jsonl", tmp_path / "rows.parquet"]
    for number, data in enumerate([*sources, f"{run.folder}:contrast"]):
        folder = tmp_path / str(number)
        options = {"weights": weights, "batch_size": 2, "warmup": 0, "beta": 0.3}
        train("cdpo", data, folder, **options)
        seen[number] = losses(folder)
    assert seen[0] == seen[1] == seen[2] == seen[3] != dpo_losses
    assert len(seen[0]) > 1


FROM_THE_HUB = """
import json, sys
from ctm_data.train import train
for weights in ("contrast", "value", "critical"):
    for number, data in enumerate(sys.argv[2:]):
        folder = f"{sys.argv[1]}/{weights}-{number}"
        train("cdpo", data, folder, weights=weights, batch_size=2, warmup=0, beta=0.3)
"""


def test_a_published_dataset_and_the_pulled_run_train_as_the_run_does(run, dpo_losses, tmp_path):
    """For every kind of weights; stock clients in fresh processes, against a Hub on loopback."""
    from hub import Hub

    with Hub() as hub:
        environment = {**os.environ, **hub.env(tmp_path / "home"), "OMP_NUM_THREADS": "1"}

        def python(code, *arguments):
            command = [sys.executable, "-c", code, *map(str, arguments)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            return done

        ctm = "from ctm_cli.main import run; run()"
        python(ctm, "publish", run.folder, "alice/tokens")
        python(ctm, "pull", "alice/tokens", "--output-dir", tmp_path / "pulled")
        sources = [run.folder, "alice/tokens:contrast", tmp_path / "pulled"]
        python(FROM_THE_HUB, tmp_path, *sources)
    for weights in ("contrast", "value", "critical"):
        own, published, pulled = (losses(tmp_path / f"{weights}-{number}") for number in range(3))
        assert own == published == pulled != dpo_losses


def test_a_run_whose_table_has_no_value_drops_takes_them_from_its_rollouts(run, tmp_path):
    """As runs of older versions are."""
    rows = run.read("contrast").to_pylist()
    expected = training_rows(run, "cdpo", "value")["rejected_weights"][:]
    older = shutil.copytree(run.folder, tmp_path / "run")
    later = ["rejected_value_drop", "rejected_critical", "chosen_log_ratio", "rejected_log_ratio"]
    for part in (older / "contrast").iterdir():
        table = pq.read_table(part, partitioning=None)
        pq.write_table(table.drop_columns(later), part)
    assert training_rows(Store(older), "cdpo", "value")["rejected_weights"][:] == expected
    assert len(expected) == len(rows)


def test_weights_of_ones_own_are_taken_as_they_are():
    row = {"prompt_ids": [1], "chosen_ids": [5, 2], "rejected_ids": [6, 2]}
    rows, dropped = weighted([{**row, "rejected_weights": [0.25, 1.0]}])
    assert (rows["rejected_weights"][:], dropped) == ([[0.25, 1.0]], 0)


@pytest.mark.parametrize("weights", [None, "contrast", "value", "critical"])
def test_rows_without_weights_are_refused_with_the_way_out(weights, tmp_path):
    row = {"prompt_ids": [1], "chosen_ids": [5, 2], "rejected_ids": [6, 2]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(CtmError, match="or train dpo, which needs no weights"):
        train("cdpo", tmp_path / "rows.jsonl", tmp_path / "m", weights=weights)
    assert not (tmp_path / "m").exists()


def test_text_alone_has_no_tokens_to_weigh(tmp_path):
    row = {"prompt": "a", "chosen": "b", "rejected": "c", "rejected_ce": [0.5]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(CtmError, match="no token ids for the weights"):
        train("cdpo", tmp_path / "rows.jsonl", tmp_path / "m")


def test_pairs_without_weights_are_dropped_and_counted_in_the_record(run, tmp_path):
    rows = run.read("contrast").to_pylist()
    rows[0]["rejected_ce"] = None
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    outcome = train("cdpo", tmp_path / "rows.jsonl", tmp_path / "m")
    assert outcome.dropped == 1
    record = json.loads((tmp_path / "m" / "training.json").read_text())
    assert record["data"]["pairs_without_weights"] == 1
    assert record["rows"] == len(rows) - 1


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("dpo", {"weights": "value"}, "--weights goes with cdpo"),
        ("dpo", {"chosen_weights": True}, "--chosen-weights goes with cdpo"),
        ("cdpo", {"prm_labels": "hard"}, "--prm-labels goes with prm"),
        (
            "cdpo",
            {"simpo_gamma": 0.5},
            "--simpo-gamma goes with simpo, confpo; cdpo has no use for it",
        ),
        ("sft", {"beta": 0.5}, "--beta goes with"),
        ("cdpo", {"lora_r": 4}, "--lora-r needs --lora"),
    ],
)
def test_an_option_that_the_method_does_not_use_is_refused(method, given, message, run, tmp_path):
    with pytest.raises((CtmError, TrainError), match=message):
        train(method, run.folder, tmp_path / "m", **given)
    assert not (tmp_path / "m").exists()


def test_weights_from_rollouts_need_rollouts(tmp_path):
    options = {"limit": 6, "n_samples": 8, "stages": ["contrast"], "max_new_tokens": 120}
    models = {"positive_model": "pocket", "negative_model": "pocket"}
    bare = build_dataset(BuildConfig(tmp_path / "run", **options, **models))
    with pytest.raises(CtmError, match="its rollouts stage"):
        train("cdpo", bare.folder, tmp_path / "m", weights="value")


def test_a_critical_token_is_paired_with_its_best_replacement(tmp_path):
    """Of the run made by hand: token 1 of solution b, after token 0, against its one replacement."""
    rows = training_rows(Store(made_by_hand(tmp_path / "run")), "cliff-dpo")
    assert rows.to_list() == [
        {"prompt_ids": [1], "chosen_ids": [9], "rejected_ids": [0]},
        {"prompt_ids": [1, 0], "chosen_ids": [9], "rejected_ids": [1]},
    ]


def test_weights_of_the_chosen_side_alone_leave_the_other_at_one():
    row = {"prompt": "Q", "chosen": "a b", "rejected": "c", "chosen_weights": [1.0, 0.5]}
    rows, dropped = weighted([row])
    assert (rows.to_list(), dropped) == ([row], 0)


def test_tis_dpo_weighs_tokens_by_the_ratio_of_the_two_models():
    """exp(1) for a chosen token that p+ likes e times as well, its inverse for a rejected one."""
    ids = {"prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [3]}
    known = {**ids, "chosen_log_ratio": [1.0], "rejected_log_ratio": [1.0]}
    rows, dropped = importance_weighted([known, ids])
    assert dropped == 1
    assert rows[0]["chosen_weights"] == pytest.approx([math.e])
    assert rows[0]["rejected_weights"] == pytest.approx([1 / math.e])


def test_weights_of_ones_own_win_over_the_ratios():
    row = {"prompt": "1 + 1?", "chosen": " 2", "rejected": " 3", "chosen_weights": [2.0],
           "rejected_weights": [0.5]}  # fmt: skip
    rows, _ = importance_weighted([{**row, "rejected_log_ratio": [9.0]}])
    assert rows[0] == row


def test_tis_dpo_on_a_run_is_recorded_with_what_it_left_out(run, tmp_path):
    outcome = train("tis-dpo", run.folder, tmp_path / "m", batch_size=4)
    assert outcome.dropped == 0 and not outcome.still
    with pytest.raises(CtmError, match="chosen_log_ratio"):
        file = tmp_path / "rows.jsonl"
        file.write_text(json.dumps({"prompt": "a", "chosen": "b", "rejected": "c"}) + "\n")
        train("tis-dpo", file, tmp_path / "n")
