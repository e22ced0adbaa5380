"""How well a ranking finds the critical token: worked examples."""

import json
import shutil

import numpy as np
import pytest

from ctm_data.build import build_dataset
from ctm_data.compare import (
    COST,
    MEASURES,
    RELIABILITY,
    Trajectory,
    _agreement,
    compare,
    measures,
    read,
)
from ctm_data.config import BuildConfig
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError


def trajectory(suspicion, critical_index, drop=None):
    length = len(suspicion)
    drop = [0.0] * length if drop is None else drop
    values = np.array(suspicion, dtype=float)
    return Trajectory({"CE": values}, np.array(drop, dtype=float), critical_index)


def measured(suspicion, critical_index, drop=None):
    one = trajectory(suspicion, critical_index, drop)
    return dict(zip(MEASURES, measures(one.suspicion["CE"], one), strict=True))


def test_a_critical_token_that_is_the_most_suspicious():
    """Five tokens, the third is critical and first in the ranking; a tenth of five is one token."""
    result = measured([1, 2, 9, 3, 4], 2)
    assert (result["auc"], result["hit@1"], result["hit@10%"]) == (1.0, 1.0, 1.0)


def test_a_critical_token_that_is_second_of_five():
    """One of the other four is more suspicious: AUC 3/4."""
    result = measured([1, 2, 8, 9, 4], 2)
    assert (result["auc"], result["hit@1"], result["hit@3"]) == (0.75, 0.0, 1.0)


def test_ties_count_as_broken_at_random():
    """All five alike: each is first with a probability of 1/5, and AUC is 1/2."""
    result = measured([7, 7, 7, 7, 7], 2)
    assert result["auc"] == 0.5
    assert (result["hit@1"], result["hit@3"], result["hit@5"]) == (0.2, pytest.approx(0.6), 1.0)


def test_the_reciprocal_rank_of_a_tie_is_the_mean_over_its_places():
    """Two are ahead, three share the places 3 to 5: (1/3 + 1/4 + 1/5) / 3."""
    assert measured([9, 8, 5, 5, 5, 1], 3)["mrr"] == pytest.approx(47 / 180)


def test_a_tenth_is_rounded_up():
    """Of eleven tokens two may be looked at; the critical one is second."""
    result = measured([10, 9, *range(9)], 1)
    assert (result["hit@1"], result["hit@10%"]) == (0.0, 1.0)


def test_suspicion_in_the_order_of_the_drops_correlates_by_one():
    assert measured([1, 2, 3], 2, [0.0, 0.1, 0.6])["correlation"] == pytest.approx(1)
    assert measured([3, 2, 1], 2, [0.0, 0.1, 0.6])["correlation"] == pytest.approx(-1)


def test_positions_that_were_not_looked_at_are_left_out_of_the_correlation():
    """As with --label-only; the NaN would have been the exception to the order."""
    drop = [float("nan"), 0.1, 0.2, 0.6]
    assert measured([9, 1, 2, 3], 3, drop)["correlation"] == pytest.approx(1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare") / "run"
    return build_dataset(
        BuildConfig(
            folder, limit=16, n_samples=8, n_rollouts=8, max_new_tokens=120, reliability_sample=16
        )
    ).folder


def test_a_run_is_compared_by_every_measure_with_intervals(run):
    rows = compare(run)
    assert {row.measure for row in rows} == {*MEASURES, RELIABILITY}
    cheap = ["surprisal", "entropy", "margin"]
    rankings = {row.ranking for row in rows if row.measure in MEASURES}
    assert rankings == {"CE", "chance", *cheap, *(f"CE - {name}" for name in cheap)}
    assert all(row.low <= row.mean <= row.high for row in rows)


def test_chance_is_half_of_the_auc(run):
    [row] = [row for row in compare(run) if (row.measure, row.ranking) == ("auc", "chance")]
    assert (row.mean, row.low, row.high) == (0.5, 0.5, 0.5)


def test_the_same_seed_gives_the_same_intervals(run):
    assert compare(run, seed=3) == compare(run, seed=3)


def test_of_many_trajectories_only_a_random_few_are_read(run):
    everything = {one.solution_id for one in read(Store(run), None, np.random.default_rng(0))}
    drawn = [
        [one.solution_id for one in read(Store(run), 3, np.random.default_rng(seed))]
        for seed in (0, 1)
    ]
    assert [len(own) for own in drawn] == [3, 3] and drawn[0] != drawn[1]
    assert everything.issuperset(drawn[0] + drawn[1])


def test_a_run_that_was_rolled_out_twice_says_how_reliable_its_labels_are(run):
    rows = {row.ranking: row for row in compare(run) if row.measure == RELIABILITY}
    table = Store(run).read("rollouts").to_pylist()
    same = [row["repeat_index"] == row["critical_index"] for row in table]
    assert rows["checked"].mean == pytest.approx(sum(same) / len(same))
    assert (rows["checked"].n, rows["predicted"].n) == (len(table), len(table))
    assert "two runs give the same critical token, checked" in (run / "README.md").read_text()


def test_a_run_without_scores_measures_what_the_policy_says(run, tmp_path):
    bare = shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(bare / "contrast")
    manifest = json.loads((bare / "manifest.json").read_text())
    manifest["parts"] = {p: d for p, d in manifest["parts"].items() if "contrast" not in p}
    (bare / "manifest.json").write_text(json.dumps(manifest))
    rankings = {row.ranking for row in compare(bare) if row.measure in MEASURES}
    assert rankings == {"surprisal", "entropy", "margin", "chance"}


def test_intervals_are_over_problems():
    """Ten problems of one trajectory each, half of them 1: 0.5, and more or less by chance. Four times the
    same trajectories are no more problems, so the interval stays."""
    values, problem = np.array([0.0, 1.0] * 5), np.arange(10)
    resamples = np.random.default_rng(0).integers(10, size=(2000, 10))
    once = _agreement("auc", "CE", values, problem, resamples)
    often = _agreement("auc", "CE", np.tile(values, 4), np.tile(problem, 4), resamples)
    assert (once.mean, once.low, once.high) == (often.mean, often.low, often.high)
    assert (once.n, often.n) == (10, 40)
    assert 0.1 <= once.low < 0.5 < once.high <= 0.9


@pytest.fixture(scope="module")
def with_curve(run):
    return {(row.measure, row.ranking): row for row in compare(run, curve=8)}


def test_a_second_curve_finds_more_than_chance(with_curve):
    assert with_curve["auc", "value drop"].low > 0.5
    assert ("auc", "CE - value drop") in with_curve


def test_a_second_curve_says_what_it_cost(run, with_curve):
    """As many rollouts as for the label cost about as many tokens."""
    rows = Store(run).read("rollouts").to_pylist()
    own = [row["generated_tokens"] for row in rows if row["critical_index"] is not None]
    assert with_curve[COST, "label"].mean == pytest.approx(np.mean(own))
    assert with_curve[COST, "value drop, N = 8"].mean == pytest.approx(np.mean(own), rel=0.2)


def test_a_second_curve_draws_anew(with_curve):
    """With the draws of the label, 8 a token as well, it would be the label's curve."""
    assert with_curve["correlation", "value drop"].mean < 0.99


def test_a_run_without_rollouts_says_which_stages_are_needed(tmp_path):
    options = {"limit": 2, "n_samples": 4, "stages": ["verifier"]}
    bare = build_dataset(BuildConfig(tmp_path / "run", **options)).folder
    with pytest.raises(CtmError, match="stages rollouts and contrast"):
        compare(bare, curve=2)
