"""The figures of a run and of an evaluation, by hand; and the files that they become."""

import csv
import io

import pytest
from handmade import evaluated_by_hand, made_by_hand

from ctm_data.figures import figures, overview
from ctm_data.pages.drawing import write
from ctm_data.query import connect
from ctm_data.report import write_figures
from ctm_data.run.store import Store
from ctm_eval.errors import CtmError


def drawn(*folders):
    with connect(*folders) as con:
        return {one.name: one for one in figures(con, *map(Store, folders))}


def values(figure, series):
    return {p.x: round(p.value, 4) for p in figure.points if p.series == series}


@pytest.fixture
def run(tmp_path):
    return made_by_hand(tmp_path / "run")


def test_figure_2_is_pass_at_k_without_and_with_the_critical_token(run):
    """Without: 0.25 and 0.75 at k = 1. With: the value after it is 0 in both."""
    figure = drawn(run)["critical-token-replaced"]
    assert values(figure, "another token in its place") == {1: 0.5, 2: 1.0}
    assert values(figure, "the critical token kept") == {1: 0.0, 2: 0.0}


def test_table_2_is_the_kinds_of_critical_tokens(run):
    """` 4` is a number, ` the` of ` theft` a part of a content word. Of seven tokens three are numbers."""
    figure = drawn(run)["word-classes"]
    assert values(figure, "critical tokens") == {
        "function": 0, "content": 0.5, "number": 0.5, "operator": 0, "punctuation": 0,
    }  # fmt: skip
    assert values(figure, "all tokens")["number"] == round(3 / 7, 4)


def test_critical_tokens_stand_in_the_first_tenth_and_the_third(run):
    """Index 0 of 3, and 1 of 4."""
    assert values(drawn(run)["positions"], "critical tokens")["0 to 10%"] == 0.5
    assert values(drawn(run)["positions"], "critical tokens")["20 to 30%"] == 0.5


def test_the_cost_is_beside_that_of_rollouts_after_every_token(run):
    """10 tokens a trajectory. Two rollouts after each of 3 and 4 tokens: 12 and 20, 16 in the mean."""
    figure = drawn(run)["cost"]
    assert values(figure, "tokens a trajectory") == {
        "this run (branch)": 10,
        "after every token": 16,
    }
    assert figure.note.startswith("1.6 times fewer") and "50.0% of the policy's mass" in figure.note


def test_a_second_run_finds_the_sure_label_again_and_not_the_unsure_one(run):
    rows = Store(run).read("rollouts").to_pylist()
    again = {"a": ([0.9, 0.1, 0.0], 0), "b": ([0.3, 0.5, 0.1, 0.1], 3)}
    for row in rows:
        row["critical_prob"], row["repeat_index"] = again[row["solution_id"]]
        row["repeat_tokens"] = 10
    with Store.open(run, Store(run).manifest["recipe"]) as store:
        store.write("rollouts", 0, rows)
    assert values(drawn(run)["reliability"], "checked") == {
        "all labels": 0.5,
        "80% sure or more": 1.0,
        "less than 80% sure": 0.0,
    }


def test_contrastive_scores_are_compared_with_rollouts(run):
    """Only the second solution has scores: its critical token has the second lowest of four."""
    figure = drawn(run)["ce-against-rollouts"]
    assert {p.x: round(p.value, 3) for p in figure.points if p.series == "AUC"}["CE"] == 0.667


def test_an_evaluation_has_its_curves_levels_and_verdicts(tmp_path):
    """Right are 2 of 3 and 1 of 3. pass@2: 1 and 2/3. A vote of three: right and wrong."""
    found = drawn(evaluated_by_hand(tmp_path / "run", "110 100"))
    assert list(found) == ["best-of-n", "accuracy-by-level", "verdicts"]
    assert values(found["best-of-n"], "pass@k") == {1: 0.5, 2: round(5 / 6, 4), 3: 1.0}
    assert values(found["best-of-n"], "majority")[3] == 0.5
    assert values(found["best-of-n"], "best")[2] == round(5 / 6, 4)  # the verifier knows
    assert values(found["accuracy-by-level"], "samples") == {"1": 0.6667, "2": 0.3333}
    assert values(found["verdicts"], "samples") == {"correct": 0.5, "wrong": 0.5}


def test_an_evaluation_that_is_not_finished_has_what_needs_no_equal_samples(tmp_path):
    folder = evaluated_by_hand(tmp_path / "run", "110 1")
    assert list(drawn(folder)) == ["accuracy-by-level", "verdicts"]
    with connect(folder) as con:
        assert "Not finished" in dict(overview(con, Store(folder))["facts"])


def test_two_evaluations_have_a_series_each(tmp_path):
    folders = [
        evaluated_by_hand(tmp_path / "before", "110 100"),
        evaluated_by_hand(tmp_path / "after", "111 000"),
    ]
    found = drawn(*folders)
    assert values(found["accuracy-by-level"], "before") == {"1": 0.6667, "2": 0.3333}
    assert values(found["accuracy-by-level"], "after") == {"1": 1.0, "2": 0.0}
    with connect(*folders) as con:
        facts = dict(overview(con, *map(Store, folders))["facts"])
    assert facts["Better, worse"] == "1 problems, 1 problems"


def test_every_figure_is_written_twice_with_its_numbers(tmp_path):
    names = write_figures(evaluated_by_hand(tmp_path / "run"), tmp_path / "figures")
    found = ("best-of-n", "accuracy-by-level", "verdicts")
    pictures = ("-column.svg", "-column.png", "-page.svg", "-page.png")
    assert set(names) == {f"{one}{kind}" for one in found for kind in (".csv", *pictures)}
    rows = list(csv.reader(io.StringIO((tmp_path / "figures" / "verdicts.csv").read_text())))
    assert [row[:3] for row in rows] == [
        ["series", "verdict", "share"], ["samples", "correct", "0.5"], ["samples", "wrong", "0.5"],
    ]  # fmt: skip


def test_a_file_is_no_folder_for_figures(run, tmp_path):
    (tmp_path / "figures").write_text("")
    with pytest.raises(CtmError, match="is a file; give a folder as --figures"):
        write_figures(run, tmp_path / "figures")


def test_the_same_numbers_give_the_same_files(run, tmp_path):
    for folder in ("one", "two"):
        names = write([drawn(run)["cost"]], tmp_path / folder)
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), (
            name
        )


def test_a_damaged_part_is_no_unfinished_evaluation(tmp_path):
    run = evaluated_by_hand(tmp_path / "run")
    part = next((run / "scores").glob("*.parquet"))
    content = bytearray(part.read_bytes())
    content[4:200] = bytes(196)  # its data, not its footer
    part.write_bytes(content)
    with connect(run) as con, pytest.raises(CtmError, match="part-00000"):
        overview(con, Store(run))


def test_two_runs_of_one_name_have_series_of_their_own(tmp_path):
    folders = [evaluated_by_hand(tmp_path / name / "run") for name in ("a", "b")]
    series = {point.series for point in drawn(*folders)["verdicts"].points}
    assert series == {str(tmp_path / name / "run") for name in ("a", "b")}
