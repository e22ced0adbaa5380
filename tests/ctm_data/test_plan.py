"""What a run will cost, before it is begun: figures by hand, and the built-in model against a real run."""

from pathlib import Path

import pytest

from ctm_data.build import build_dataset
from ctm_data.config import BuildConfig
from ctm_data.pages.summary import summarize
from ctm_data.plan import Range, duration, plan, total
from ctm_eval.errors import CtmError

SMALL = {"limit": 4, "n_samples": 4, "n_rollouts": 1, "chunk_size": 2, "max_new_tokens": 96,
         "stages": ("rollouts",), "reliability_sample": 0}  # fmt: skip


def test_costs_of_a_few_are_scaled_with_a_prediction_interval():
    # Mean 2, deviation sqrt(2); t(0.975, 1) = 12.706; 12.706 * 8 * sqrt(2) * sqrt((1 - 2/8) / 2) = 88.03.
    found = total([1, 3], 8)
    assert (found.likely, found.low) == (16, 0)
    assert found.high == pytest.approx(16 + 88.03, abs=0.01)


def test_a_run_that_was_measured_whole_has_no_interval():
    assert total([1, 3], 2) == Range(4, 4, 4)


def test_rollouts_that_none_of_the_few_needed_may_be_needed_by_others():
    # 0 of 2: up to 1 - sqrt(0.025) = 0.842 of the other 6 may need them: 6 * 0.842 * 100 = 505.1.
    found = total([3, 3], 8, unseen=100)
    assert (found.likely, found.low) == (24, 24)
    assert found.high == pytest.approx(24 + 505.1, abs=0.1)


def test_a_pilot_without_a_rollout_leaves_room_for_them(tmp_path):
    """With one token there is no answer, and so no trajectory."""
    planned = plan(BuildConfig(tmp_path / "run", **{**SMALL, "limit": 40, "max_new_tokens": 1}))
    assert planned.tokens.likely == 40 * 4
    # 8 of 40 problems, 1 rollout after the one token of a solution: 32 * (1 - 0.025^(1/8)) = 11.8.
    assert planned.tokens.high == pytest.approx(160 + 11.8, abs=0.1)


def test_a_steady_speed_leaves_the_interval_of_the_tokens():
    found = duration(Range(100, 50, 200), [2, 4], [20, 40])
    assert (found.likely, found.low, found.high) == pytest.approx((10, 5, 20))


def test_the_speed_of_a_run_is_one_more_draw_of_what_was_measured():
    # Logarithms 0 and ln 2, deviation ln(2) / sqrt(2); times t(0.975, 1) = 12.706 and sqrt(3 / 2): 7.627.
    found = duration(Range(30, 30, 30), [10, 20], [10, 10])
    assert found.likely == pytest.approx(45)
    assert found.high == pytest.approx(45 * 2053, rel=0.01)


def test_a_run_as_small_as_its_pilot_costs_exactly_what_was_planned(tmp_path):
    config = BuildConfig(tmp_path / "run", **SMALL)
    told = []
    planned = plan(config, lambda stage, done, total, **_: told.append(done / total))
    assert told == sorted(told) and len(told) > 4 and told[-1] == 1
    assert not (tmp_path / "run").exists()
    store = build_dataset(config)
    spent = summarize(store).generated_tokens
    size = sum(path.stat().st_size for path in Path(store.folder).rglob("*.parquet"))
    assert planned.tokens == Range(spent, spent, spent)
    assert planned.bytes.likely == pytest.approx(size, rel=0.05)  # another order of the problems
    assert 0 < planned.leaving < 1


def test_a_plan_of_a_run_without_rollouts_is_refused(tmp_path):
    with pytest.raises(CtmError, match="--plan is for runs of one model with rollouts"):
        plan(BuildConfig(tmp_path / "run", stages=("verifier",)))
