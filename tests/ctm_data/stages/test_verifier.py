"""What a verifier learns from: labels without repeats, balance, pairs, step labels, several generators."""

import dataclasses
import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctm_data.build import build_dataset
from ctm_data.config import BuildConfig
from ctm_data.pages.summary import summarize
from ctm_data.run.store import Store
from ctm_data.stages.verifier import labelled, right_and_wrong
from ctm_data.step_targets import step_targets
from ctm_data.train import train, training_rows
from ctm_data.verify import verify
from ctm_eval.errors import CtmError
from ctm_eval.types import Problem, Solution

PROBLEM = Problem("p", "pocket", "train", "What is 1 + 1?", "2")
SOLUTION = Solution(
    "p-000", "p", 0, "pocket", [1], [5, 2], " 2", "2", True, "correct", "stop", 1.0, 1.0, 0
)


def solution(index, text, correct):
    return dataclasses.replace(
        SOLUTION, solution_id=f"p-{index:03d}", sample_index=index, text=text, correct=correct
    )


def test_solutions_that_differ_in_white_space_are_one():
    own = [
        solution(0, " one\ntwo", True),
        solution(1, "one  two ", True),
        solution(2, "three", False),
    ]
    assert [row["solution_id"] for row in labelled(PROBLEM, own)] == ["p-000", "p-002"]


def test_a_row_says_what_was_asked_and_by_whom_it_was_answered():
    [row] = labelled(PROBLEM, [SOLUTION])
    assert row["prompt"] == "Question: What is 1 + 1?\nAnswer:"
    assert (row["generator"], row["kind"], row["correct"]) == ("pocket", "math", True)


sides = st.lists(st.tuples(st.text("ab", min_size=1, max_size=4), st.booleans()), max_size=20)


@given(sides)
def test_balanced_rows_are_as_many_right_as_wrong(rows):
    own = [solution(i, text, correct) for i, (text, correct) in enumerate(rows)]
    plain = list(labelled(PROBLEM, own))
    kept = list(labelled(PROBLEM, own, balance=True))
    right = [row["correct"] for row in plain].count(True)
    assert [row["correct"] for row in kept].count(True) == min(right, len(plain) - right)
    assert len(kept) == 2 * min(right, len(plain) - right)
    assert [row for row in plain if row in kept] == kept


@given(st.lists(st.tuples(st.sampled_from("pqr"), st.booleans()), max_size=20), st.integers(0, 5))
def test_pairs_are_a_right_and_a_wrong_solution_of_one_problem_each_used_once(rows, seed):
    rows = [{"problem_id": p, "correct": c, "id": i} for i, (p, c) in enumerate(rows)]
    pairs = list(right_and_wrong(rows, seed))
    for right, wrong in pairs:
        assert right["problem_id"] == wrong["problem_id"]
        assert right["correct"] and not wrong["correct"]
    used = [row["id"] for pair in pairs for row in pair]
    assert len(used) == len(set(used))
    assert len(pairs) == sum(
        min(rows_of.count(True), rows_of.count(False))
        for p in "pqr"
        for rows_of in [[row["correct"] for row in rows if row["problem_id"] == p]]
    )


def test_soft_labels_are_the_values_at_the_ends_of_steps():
    """Three steps: two line breaks and the end; what lies within a step has no label."""
    pieces, value = ["a", "\n", "b", "\n", "c"], [0.9, 0.8, 0.5, 0.1, 0.0]
    assert step_targets(pieces, value, "soft") == [None, 0.8, None, 0.1, 0.0]


def test_hard_labels_are_one_where_any_rollout_ends_well():
    pieces, value = ["a", "\n", "b", "\n", "c"], [0.9, 0.8, 0.5, 0.1, 0.0]
    assert step_targets(pieces, value, "hard") == [None, 1.0, None, 1.0, 0.0]


FIVE = ["a\n", "b\n", "c\n", "d\n", "e"]


def test_confident_labels_are_soft_for_the_two_steps_before_the_lost_one_alone():
    """The prompt's value is 0.8: 0.4 of it is a half, 0.1 an eighth; what is earlier is right."""
    found = step_targets(FIVE, [0.9, 0.3, 0.4, 0.1, 0.0], "confident", prompt_value=0.8)
    assert found == pytest.approx([1.0, 1.0, 0.5, 0.125, 0.0])


def test_confident_labels_end_with_the_first_step_below_the_resolution():
    """0.1 counts as lost; 0.9 of 0.8 is no more than right; the last step has no label."""
    value, known = [0.9, 0.9, 0.4, 0.1, 0.0], {"prompt_value": 0.8, "resolution": 0.2}
    found = step_targets(FIVE, value, "confident", **known)
    assert found[:4] == pytest.approx([1.0, 1.0, 0.5, 0.0])
    assert found[4] is None


def test_confident_labels_need_a_lost_step():
    assert step_targets(FIVE, [0.9, 0.9, 0.9, 0.9, 0.9], "confident") == [None] * 5


def test_a_value_that_was_not_looked_at_is_no_label():
    assert step_targets(["a\n", "b"], [None, 0.0], "hard") == [None, 0.0]


OPTIONS = {"split": "train", "limit": 6, "n_samples": 4, "max_new_tokens": 120, "chunk_size": 3}


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A second generator: pocket, taken a few steps further."""
    rows = tmp_path_factory.mktemp("other") / "rows.jsonl"
    row = {"prompt": "Question: What is 1 + 1?\nAnswer:", "completion": " 1 + 1 = 2.\n#### 2"}
    rows.write_text(json.dumps(row) + "\n")
    folder = rows.parent / "model"
    train("sft", rows, folder, learning_rate=1e-3, save_steps=0)
    return str(folder)


@pytest.fixture(scope="module")
def run(other, tmp_path_factory):
    folder = tmp_path_factory.mktemp("verifier") / "run"
    return build_dataset(
        BuildConfig(folder, model=["pocket", other], stages=["verifier"], **OPTIONS)
    )


def test_every_generator_samples_every_problem(run, other):
    rows = run.read("solutions").to_pylist()
    assert [row["model"] for row in rows].count("pocket") == 24
    assert [row["model"] for row in rows].count(other) == 24
    assert len({(row["problem_id"], row["sample_index"]) for row in rows}) == 48


def test_a_generators_samples_do_not_depend_on_the_others(run, tmp_path):
    alone = build_dataset(
        BuildConfig(tmp_path / "alone", model="pocket", stages=["verifier"], **OPTIONS)
    )
    texts = {row["solution_id"]: row["text"] for row in run.read("solutions").to_pylist()}
    for row in alone.read("solutions").to_pylist():
        assert texts[row["solution_id"]] == row["text"]


def test_a_run_of_several_generators_passes_verify(run):
    report = verify(run.folder)
    assert report.ok, report
    assert not [check.skipped for check in report.checks if check.skipped]


def test_a_label_that_is_not_the_solutions_does_not_pass_verify(run, change, tmp_path):
    copy = shutil.copytree(run.folder, tmp_path / "run")
    change(copy, "verifier", lambda rows: rows[0].update(correct=not rows[0]["correct"]))
    failures = [failure for check in verify(copy).checks for failure in check.failures]
    assert any("a label that is not the solution's" in failure for failure in failures)


def test_the_summary_and_the_card_count_a_generators_right_and_wrong_solutions(run, other):
    rows = run.read("verifier").to_pylist()
    counts = summarize(run).generators
    assert sum(map(sum, counts.values())) == len(rows)
    right = sum(row["correct"] and row["generator"] == "pocket" for row in rows)
    assert counts["pocket"][0] == right > 0
    card = (run.folder / "README.md").read_text()
    assert f"| `pocket` | {right} | {right / 6:.2f} |" in card


def test_a_finished_run_is_left_as_it_is(run, other):
    before = {path: path.stat().st_mtime_ns for path in run.folder.glob("*/*.parquet")}
    build_dataset(BuildConfig(run.folder, model=["pocket", other], stages=["verifier"], **OPTIONS))
    assert {path: path.stat().st_mtime_ns for path in run.folder.glob("*/*.parquet")} == before


def test_preference_methods_pair_the_labelled_solutions_where_there_is_no_contrast(run):
    rows = training_rows(run, "simpo")
    right = {row["solution"]: row["correct"] for row in run.read("verifier").to_pylist()}
    assert len(rows) > 0
    assert all(right[row["chosen"]] and not right[row["rejected"]] for row in rows)


def test_an_orm_takes_all_labelled_solutions(run):
    assert len(training_rows(run, "orm")) == run.read("verifier").num_rows


@pytest.fixture(scope="module")
def rolled_out(tmp_path_factory):
    sizes = {"limit": 6, "n_samples": 8, "n_rollouts": 8, "max_new_tokens": 120}
    folder = tmp_path_factory.mktemp("rolled") / "run"
    return build_dataset(BuildConfig(folder, stages=["rollouts"], **sizes))


@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_a_prm_takes_the_values_of_the_steps_and_a_right_solution_a_problem(rolled_out, labels):
    rows = training_rows(rolled_out, "prm", prm_labels=labels)
    rolled = rolled_out.read("rollouts").num_rows
    assert rolled < len(rows) <= 2 * rolled
    for number, row in enumerate(rows):
        known = [target for target in row["targets"] if target is not None]
        assert len(row["targets"]) == len(row["completion_ids"])
        assert labels != "hard" or set(known) <= {0.0, 1.0}
        if number < rolled:
            assert known[-1] == 0.0
        else:  # a right answer was reached from every step of a right one
            assert set(known) == {1.0}


def test_labels_are_hard_unless_others_are_asked_for(rolled_out):
    unasked, hard, soft = (
        training_rows(rolled_out, "prm", **labels).to_list()
        for labels in ({}, {"prm_labels": "hard"}, {"prm_labels": "soft"})
    )
    assert unasked == hard != soft


def test_confident_labels_are_of_problems_that_the_model_mostly_solves(rolled_out):
    sure = [
        row["prompt_ids"]
        for row in rolled_out.read("rollouts").to_pylist()
        if row["prompt_value"] >= 0.75
    ]
    rows = list(training_rows(rolled_out, "prm", prm_labels="confident"))
    wrong = [row for row in rows if 0.0 in row["targets"]]
    assert sure and [row["prompt_ids"] for row in wrong] == sure
    for row in rows[len(wrong) :]:
        assert row["prompt_ids"] in sure
        assert set(row["targets"]) <= {1.0, None}


def test_programs_are_labelled_by_their_tests(tmp_path):
    """A file of tasks with a `prompt` and `tests`, as MagiCoder's rows can be put."""
    file = tmp_path / "tasks.jsonl"
    row = {
        "prompt": "Return 1.",
        "tests": ["assert one() == 1"],
        "code": "def one():\n    return 1",
    }
    file.write_text(json.dumps(row) + "\n")
    run = build_dataset(
        BuildConfig(
            tmp_path / "run",
            benchmark="code",
            data_file=file,
            n_samples=2,
            max_new_tokens=30,
            stages=["verifier"],
        )
    )
    rows = run.read("verifier").to_pylist()
    assert {row["kind"] for row in rows} == {"code"}
    assert not any(row["correct"] for row in rows)


def test_programs_come_with_descriptions_by_who_wrote_them(tmp_path):
    run = build_dataset(
        BuildConfig(
            tmp_path / "run",
            model="pocket-coder",
            benchmark="pocket-code",
            stages=["verifier"],
            describe=True,
            **{**OPTIONS, "limit": 3, "max_new_tokens": 192},
        )
    )
    rows = run.read("verifier").to_pylist()
    assert all(row["description"] is not None for row in rows)
    read = training_rows(run, "orm")["completion"]
    for row, text in zip(rows, read, strict=True):
        assert text.endswith(row["description"])
        assert "def solve" in text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": ["pocket", "pocket"], "stages": ["verifier"]}, "given twice"),
        ({"model": ["pocket", "x"]}, "--stages verifier and no other stage"),
        ({"benchmark": "pocket-code"}, "--stages verifier"),
        ({"benchmark": "code", "stages": ["verifier"]}, "--data-file"),
        ({"describe": True}, "--stages verifier"),
        ({"describe": True, "stages": ["verifier"]}, "asks for answers"),
    ],
)
def test_what_cannot_go_together_is_said_and_nothing_is_left_behind(options, says, tmp_path):
    with pytest.raises(CtmError, match=says):
        build_dataset(BuildConfig(tmp_path / "run", **options))
    assert not (tmp_path / "run").exists()


def test_a_run_without_labels_says_how_to_get_them(tmp_path):
    run = build_dataset(
        BuildConfig(tmp_path / "run", limit=2, n_samples=2, stages=[], max_new_tokens=60)
    )
    for method, stage in (("orm", "verifier"), ("prm", "rollouts")):
        with pytest.raises(CtmError, match=f"--stages {stage}"):
            training_rows(Store(run.folder), method)
