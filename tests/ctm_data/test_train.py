"""What a run's pairs weigh, and training on a run, a file, and what is neither."""

import json

import pytest

from ctm_data.build import build_dataset
from ctm_data.config import BuildConfig
from ctm_data.train import train, training_rows, weigh
from ctm_eval.errors import CtmError
from ctm_train.errors import TrainError

PAIR = {"rejected_ids": [5, 6, 2], "rejected_ce": [0.9, 0.25, 1.0]}
ROLLOUT = {
    "token_ids": [5, 6, 2],
    "prompt_value": 0.5,
    "value": [0.75, 0.0, 0.0],
    "critical_index": 1,
}


def test_contrast_weighs_a_token_by_one_minus_its_score():
    assert weigh(PAIR, None, "contrast") == pytest.approx([0.1, 0.75, 0.0])


def test_value_weighs_a_token_by_the_drop_and_a_rise_by_nothing():
    """0.5 → 0.75 is a rise; 0.75 → 0 a drop of 0.75; 0 → 0 nothing."""
    assert weigh(PAIR, ROLLOUT, "value") == [0.0, 0.75, 0.0]


def test_critical_weighs_the_critical_token_alone():
    assert weigh(PAIR, ROLLOUT, "critical") == [0.0, 1.0, 0.0]


def test_uniform_weighs_every_token_alike():
    assert weigh(PAIR, None, "uniform") == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("weights", "pair", "rollout"),
    [
        ("contrast", {**PAIR, "rejected_ce": None}, ROLLOUT),
        ("value", PAIR, None),
        ("value", PAIR, {**ROLLOUT, "value": [None, 0.0, 0.0]}),
        ("critical", PAIR, {**ROLLOUT, "critical_index": None}),
    ],
)
def test_weights_that_are_not_known_are_none(weights, pair, rollout):
    assert weigh(pair, rollout, weights) is None


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


def test_weights_from_rollouts_need_rollouts(tmp_path):
    options = {"limit": 6, "n_samples": 8, "stages": ["contrast"], "max_new_tokens": 120}
    models = {"positive_model": "pocket", "negative_model": "pocket"}
    bare = build_dataset(BuildConfig(tmp_path / "run", **options, **models))
    with pytest.raises(CtmError, match="rollouts stage"):
        train("cdpo", bare.folder, tmp_path / "m", weights="value")
