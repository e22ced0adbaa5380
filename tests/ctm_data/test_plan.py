"""What a run will cost, before it is begun: figures by hand, and the built-in model against a real run."""

from pathlib import Path

import pytest

from ctm_data.build import build_dataset
from ctm_data.config import BuildConfig
from ctm_data.pages.summary import summarize
from ctm_data.plan import Range, plan, total
from ctm_eval.errors import CtmError

SMALL = {"limit": 24, "n_samples": 8, "n_rollouts": 4, "chunk_size": 4, "max_new_tokens": 96,
         "stages": ("rollouts",), "reliability_sample": 2}  # fmt: skip


def test_costs_of_a_few_are_scaled_with_a_prediction_interval():
    # Mean 2, deviation sqrt(2); t(0.975, 1) = 12.706; 12.706 * 8 * sqrt(2) * sqrt((1 - 2/8) / 2) = 88.03.
    found = total([1, 3], 8)
    assert (found.likely, found.low) == (16, 0)
    assert found.high == pytest.approx(16 + 88.03, abs=0.01)


def test_a_run_that_was_measured_whole_has_no_interval():
    assert total([1, 3], 2) == Range(4, 4, 4)


def test_a_run_costs_what_was_planned_and_the_plan_writes_nothing(tmp_path):
    config = BuildConfig(tmp_path / "run", **SMALL)
    planned = plan(config)
    assert not (tmp_path / "run").exists()
    store = build_dataset(config)
    spent = summarize(store).generated_tokens
    size = sum(path.stat().st_size for path in Path(store.folder).rglob("*.parquet"))
    assert planned.tokens.low <= spent <= planned.tokens.high
    assert planned.bytes.low <= size <= planned.bytes.high
    assert planned.seconds.low < planned.seconds.high
    assert 0 < planned.leaving < 1


def test_a_plan_of_a_run_without_rollouts_is_refused(tmp_path):
    with pytest.raises(CtmError, match="--plan is for runs of one model with rollouts"):
        plan(BuildConfig(tmp_path / "run", stages=("verifier",)))
