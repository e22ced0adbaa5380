"""The benchmark of labels goes on where it was cut off, and its shards add up to the whole."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

import labels


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(
        labels, "twice", lambda seed, i: {"code": labels.code(), "seed": seed, "i": i}
    )


def measured(results, seed=1):
    return [row["i"] for row in labels.read(results, seed)]


def test_shards_measure_every_trajectory_once(tmp_path):
    results = tmp_path / "results.jsonl"
    labels.measure(range(0, 5, 2), 1, results, 60)
    labels.measure(range(1, 5, 2), 1, results, 60)
    labels.measure(range(5), 1, results, 60)
    assert measured(results) == [0, 1, 2, 3, 4]
    assert len(results.read_text().splitlines()) == 5


def test_half_a_line_of_a_killed_run_is_measured_again(tmp_path):
    results = tmp_path / "results.jsonl"
    labels.measure(range(2), 1, results, 60)
    results.write_text(results.read_text()[:-9])
    labels.measure(range(3), 1, results, 60)
    assert measured(results) == [0, 1, 2]


def test_results_of_other_code_and_of_other_seeds_are_not_mixed_in(tmp_path):
    results = tmp_path / "results.jsonl"
    results.write_text(json.dumps({"code": "older", "seed": 1, "i": 0}) + "\n")
    labels.measure(range(1), 2, results, 60)
    assert measured(results) == [] and measured(results, seed=2) == [0]
