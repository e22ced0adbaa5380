"""Kinds of cliff and pivotal tokens, by hand."""

import json

import pytest
from handmade import made_by_hand
from typed import ctm

from ctm_data.kinds import SURE, kinds, of_cliffs
from ctm_eval.errors import CtmError


def test_a_greedy_token_is_deterministic_up_to_the_entropy_of_a_coin_of_99_percent():
    """-0.99 ln 0.99 - 0.01 ln 0.01 = 0.00995 + 0.04605."""
    assert pytest.approx(0.0560, abs=1e-4) == SURE
    row = {"token_ids": [1, 1, 2], "greedy_id": [1, 1, 1], "entropy": [0.056, 0.0561, 0.0]}
    assert of_cliffs(row) == ["deterministic", "uncertain", "sampled-off"]


def test_the_kinds_of_a_run_by_hand(tmp_path):
    """With two rollouts a value a drop of 0.75 is a cliff (above 0.1 + 1.645 * 0.306), one of 0.5 is none;
    all three drops of 0.2 or more are pivotal."""
    found = {(one.rule, one.kind): one for one in kinds(str(made_by_hand(tmp_path / "run")))}
    assert [one.tokens for one in found.values()] == [1, 0, 0, 0, 3]
    sure = found["cliff", "deterministic"]
    assert (sure.share.value, sure.drop, sure.of_all) == (1.0, 0.75, pytest.approx(1 / 7))
    assert found["cliff", "uncertain"].of_all == pytest.approx(5 / 7)
    falls = found["pivotal", "negative"]
    assert (falls.share.value, falls.drop, falls.of_all) == (1.0, 0.5, None)
    assert found["pivotal", "positive"].drop is None


def test_a_run_of_an_older_version_has_no_entropy(run, change):
    change(run, "rollouts", lambda rows: [row.update(entropy=None) for row in rows])
    with pytest.raises(CtmError, match="made by an older version"):
        kinds(str(run))


def test_compare_prints_the_kinds(tmp_path):
    made_by_hand(tmp_path / "run")
    said = ctm("compare", "run", "--kinds", cwd=tmp_path).stdout
    assert "cliff, deterministic" in said and "pivotal, negative" in said
    rows = json.loads(ctm("compare", "run", "--kinds", "--json", cwd=tmp_path).stdout)
    assert [row["kind"] for row in rows] == [
        "deterministic",
        "uncertain",
        "sampled-off",
        "positive",
        "negative",
    ]
