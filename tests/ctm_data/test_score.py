"""Scores in a run and of a file, programs in a run, and the figures that `ctm eval` makes of them."""

import json
import shutil

import pytest

from ctm_data.config import EvalConfig
from ctm_data.eval import evaluate
from ctm_data.pages.evaluation import summarize
from ctm_data.programs import check_run
from ctm_data.run.store import Store
from ctm_data.score import score_file, score_run
from ctm_data.train import train
from ctm_data.verify import verify
from ctm_eval.cotnpot import RESULTS
from ctm_eval.errors import CtmError
from ctm_eval.report import shown

QUESTION = "What is 1 + 1?"


@pytest.fixture(scope="module")
def orm(tmp_path_factory):
    rows = tmp_path_factory.mktemp("orm") / "rows.jsonl"
    row = {"prompt": f"Question: {QUESTION}\nAnswer:", "completion": " #### 2", "correct": True}
    rows.write_text(json.dumps(row) + "\n")
    train("orm", rows, rows.parent / "model", learning_rate=1e-3, epochs=8, save_steps=0)
    return rows.parent / "model"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    evaluate(EvalConfig(folder, limit=6, n_samples=4, chunk_size=3, max_new_tokens=100))
    return folder


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def test_every_solution_of_a_run_gets_a_score_that_says_whose_it_is(run, orm):
    rows = score_run(run, orm).read("scores").to_pylist()
    solutions = Store(run).read("solutions", ["solution_id"])["solution_id"].to_pylist()
    assert sorted(row["solution_id"] for row in rows) == sorted(solutions)
    assert {(row["verifier"], row["method"], row["pool"]) for row in rows} == {
        (str(orm), "orm", "last")
    }
    assert all(0 <= row["score"] <= 1 for row in rows)


def test_a_scored_run_passes_verify_and_has_the_figures_in_its_results(run, orm):
    score_run(run, orm)
    assert verify(run).ok
    figures = json.loads((run / "results_ctm.json").read_text())["results"]["pocket"]
    assert {"best@4,none", "weighted@4,none", "maj@4,none", "pass@4,none"} <= set(figures)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"solution_id": "nobody"}, "a score of a solution that is not there"),
        ({"score": float("nan")}, "a score that is no number"),
    ],
)
def test_an_unsound_score_does_not_pass_verify(run, orm, change, row, says):
    score_run(run, orm)
    change(run, "scores", lambda rows: rows[0].update(row))
    failures = [failure for check in verify(run).checks for failure in check.failures]
    assert any(says in failure for failure in failures), failures


def test_scoring_goes_on_where_it_was_stopped(run, orm, monkeypatch):
    """The second part is not written; the next call leaves the first as it is and ends up the same."""
    stamp = (run / "manifest.json").read_text()
    score_run(run, orm)
    first, second = sorted((run / "scores").glob("*.parquet"))
    content, made = second.read_bytes(), first.stat().st_mtime_ns
    second.unlink()
    (run / "manifest.json").write_text(stamp)
    score_run(run, orm)
    assert (second.read_bytes(), first.stat().st_mtime_ns) == (content, made)


def test_scores_of_two_pools_stand_beside_each_other(run, orm):
    score_run(run, orm)
    score_run(run, orm, pool="mean")
    assert Store(run).read("scores").num_rows == 48
    assert f"best ({orm}, mean)" in summarize(run).chosen


def test_best_of_one_is_the_sample_and_the_oracle_is_pass_at_k(run, orm):
    results = summarize(score_run(run, orm))
    assert results.chosen["best"][1].value == pytest.approx(results.accuracy.value)
    for k, best in results.chosen["best"].items():
        assert best.value <= results.pass_at[k].value + 1e-12


def test_select_shows_one_way_to_choose(run, orm):
    results = summarize(score_run(run, orm))
    assert list(shown(results, "first")) == ["avg@4"]
    assert list(shown(results, "majority")) == ["maj@4"]
    assert list(shown(results, "best-of-n")) == ["best@2", "best@4"]
    assert list(shown(results, "weighted")) == ["weighted@2", "weighted@4"]
    assert list(shown(results, "oracle")) == ["pass@1", "pass@2", "pass@4"]


def test_select_says_what_it_needs(run):
    with pytest.raises(CtmError, match="--verifier"):
        shown(summarize(run), "best-of-n")
    with pytest.raises(CtmError, match="first, majority"):
        shown(summarize(run), "best")


def test_every_solution_of_a_run_gets_a_program_and_what_came_of_it(run):
    store = check_run(run, "pocket-coder")
    rows = store.read("programs").to_pylist()
    assert len(rows) == Store(run).read("solutions").num_rows
    assert {row["result"] for row in rows} <= set(RESULTS)
    assert all(row["agrees"] == (row["result"] == "agrees") for row in rows)
    assert verify(run).ok


def test_the_filter_is_in_the_figures(run, orm):
    score_run(run, orm)
    results = summarize(check_run(run, "pocket-coder"))
    assert {"cotnpot maj", "cotnpot best", "cotnpot weighted"} <= set(results.chosen)
    assert results.filters["pocket-coder"].solutions == 24
    said = json.loads((run / "results_ctm.json").read_text())["ctm"]["cotnpot"]["pocket-coder"]
    assert said["precision"] == results.filters["pocket-coder"].precision


def test_a_coder_has_to_be_named_for_worked_solutions(run):
    with pytest.raises(CtmError, match="--coder"):
        check_run(run)


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs") / "run"
    return evaluate(
        EvalConfig(folder, model="pocket-coder", benchmark="pocket-code", limit=3, n_samples=2)
    ).folder


@pytest.fixture(scope="module")
def reader(orm, tmp_path_factory):
    """A verifier that says of itself that it was trained on programs with descriptions."""
    folder = shutil.copytree(orm, tmp_path_factory.mktemp("reader") / "model")
    record = json.loads((folder / "training.json").read_text())
    record["data"]["descriptions"] = True
    (folder / "training.json").write_text(json.dumps(record))
    return folder


def test_programs_are_described_by_the_model_that_wrote_them(programs, reader, tmp_path):
    """And the verifier that learned from both reads both: the score is another than the program's own."""
    run = shutil.copytree(programs, tmp_path / "run")
    with pytest.raises(CtmError, match="--cotnpot first"):
        score_run(run, reader)
    rows = check_run(run).read("programs").to_pylist()
    assert {row["coder"] for row in rows} == {"pocket-coder"}
    assert any(row["description"] for row in rows)
    score_run(run, reader)
    both = Store(run).read("scores")["score"].to_pylist()
    record = json.loads((reader / "training.json").read_text())
    del record["data"]["descriptions"]
    plain = shutil.copytree(reader, tmp_path / "plain")
    (plain / "training.json").write_text(json.dumps(record))
    alone = score_run(run, plain).read("scores")["score"].to_pylist()[len(both) :]
    assert alone != both
    assert "best (" in " ".join(summarize(run).chosen)
    assert verify(run).ok


def test_the_rows_of_a_file_come_back_with_their_scores(orm, tmp_path):
    file = tmp_path / "rows.jsonl"
    rows = [
        {"question": QUESTION, "solution": " #### 2", "mine": 1},
        {"prompt": f"Question: {QUESTION}\nAnswer:", "text": " #### 2"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = score_file(file, orm)
    assert {key: first[key] for key in rows[0]} == rows[0]
    assert first["score"] == second["score"]


def test_a_row_that_cannot_be_scored_is_named(orm, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"question": "?", "solution": "!"}\n{"question": "?"}\n')
    with pytest.raises(CtmError, match="line 2"):
        list(score_file(tmp_path / "rows.jsonl", orm))


def test_an_unfinished_run_is_not_scored(run, orm):
    manifest = json.loads((run / "manifest.json").read_text())
    del manifest["parts"]
    (run / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CtmError, match="not a finished run"):
        score_run(run, orm)
