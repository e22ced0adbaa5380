"""Grading in bulk: in order, over processes, from files."""

import json

import pytest

from ctm_eval.errors import CtmError
from ctm_eval.grading import explain, grade, grade_file, grade_many

ROWS = [
    {
        "problem_id": "a",
        "text": "so\n#### 4",
        "gold": "4",
        "finish_reason": "stop",
        "correct": True,
    },
    {
        "problem_id": "b",
        "text": r"\boxed{5}",
        "gold": "6",
        "finish_reason": "stop",
        "correct": True,
    },
    {
        "problem_id": "c",
        "text": "it is 7 and",
        "gold": "7",
        "finish_reason": "length",
        "correct": False,
    },
]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_verdicts_come_in_the_order_of_the_rows_from_several_processes():
    rows = [(str(k), rf"\boxed{{{k // 2 * 2}}}") for k in range(700)]
    verdicts = list(grade_many(iter(rows), processes=2))
    assert [verdict.correct for verdict in verdicts] == [k % 2 == 0 for k in range(700)]


def test_processes_and_one_process_agree(response_rows):
    rows = [(r["gold"], r["text"], r.get("finished", True)) for r in response_rows] * 2
    assert list(grade_many(rows, processes=2)) == list(grade_many(rows, processes=1))


@pytest.fixture
def response_rows():
    from conftest import table

    return table("responses.jsonl")


def test_progress_counts_up_to_all_rows():
    seen: list[int] = []
    list(grade_many([("1", "1")] * 600, processes=1, progress=seen.append))
    assert seen[-1] == 600 and seen == sorted(seen)


def test_a_wrong_benchmark_is_refused_from_other_processes_too():
    with pytest.raises(CtmError, match="gsm9k"):
        list(grade_many([("1", "1")] * 600, "gsm9k", processes=2))


def test_a_file_is_graded_and_compared_with_its_saved_verdicts(tmp_path):
    grades = grade_file(write_lines(tmp_path / "outputs.jsonl", ROWS))
    assert (grades.total, grades.correct) == (3, 1)
    assert grades.reasons == {"correct": 1, "wrong": 1, "truncated": 1}
    assert grades.changed == (1,)


def test_a_parquet_file_gives_the_same_grades(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "outputs.parquet")
    lines = grade_file(write_lines(tmp_path / "outputs.jsonl", ROWS))
    assert grade_file(tmp_path / "outputs.parquet").verdicts == lines.verdicts


def test_golds_are_joined_from_a_file_of_problems(tmp_path):
    rows = [{k: v for k, v in row.items() if k != "gold"} for row in ROWS]
    problems = [{"problem_id": row["problem_id"], "answer": row["gold"]} for row in ROWS]
    outputs = write_lines(tmp_path / "outputs.jsonl", rows)
    grades = grade_file(outputs, problems=write_lines(tmp_path / "problems.jsonl", problems))
    assert grades.correct == 1


@pytest.mark.parametrize(
    ("problems", "rows", "message"),
    [
        ([{}, {}], [{}, {}], "problems.jsonl, line 1 has no problem_id"),
        ([{"problem_id": "a"}], [{}], "row 1 has no problem_id"),
        ([{"problem_id": [1]}], [{"problem_id": [1]}], "line 1 has no problem_id"),
        ([{"problem_id": 1, "answer": "5"}, {"problem_id": 1}], [], "line 2 has another gold"),
    ],
)
def test_golds_are_found_by_ids_that_are_there_and_name_one_gold(tmp_path, problems, rows, message):
    golds = write_lines(tmp_path / "problems.jsonl", [{"answer": "4", **row} for row in problems])
    outputs = write_lines(
        tmp_path / "outputs.jsonl", [{"text": "4", **row} for row in rows or [{}]]
    )
    with pytest.raises(CtmError, match=message):
        grade_file(outputs, problems=golds)


def test_graded_rows_are_written_with_the_new_verdicts(tmp_path):
    outputs = write_lines(tmp_path / "outputs.jsonl", ROWS)
    grade_file(outputs, output=tmp_path / "graded.jsonl")
    graded = [json.loads(line) for line in (tmp_path / "graded.jsonl").read_text().splitlines()]
    assert [row["correct"] for row in graded] == [True, False, False]
    assert [row["verdict"] for row in graded] == ["correct", "wrong", "truncated"]
    assert [row["problem_id"] for row in graded] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.jsonl", None, "there is no file"),
        ("outputs.csv", "text,gold\n", "only .jsonl and .parquet"),
        ("empty.jsonl", "", "no rows"),
        ("broken.jsonl", '{"text": "4"\n', "line 1"),
        ("list.jsonl", "[1]\n", "a JSON object"),
        ("nocolumn.jsonl", '{"prompt": "4"}\n', "--text-column"),
        ("nogold.jsonl", '{"text": "4"}\n', "--gold-column"),
        ("null.jsonl", '{"text": null, "gold": "4"}\n', "row 1"),
        ("broken.parquet", "PAR1", "not a Parquet file"),
    ],
)
def test_a_file_that_cannot_be_graded_is_refused_with_the_way_out(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(CtmError, match=message):
        grade_file(tmp_path / name)


def test_explanation_shows_forms_and_the_deciding_layer():
    lines = explain(r"\frac{1}{2}", r"\boxed{\sqrt{\frac14}}").splitlines()
    assert lines[0] == "verdict   correct (correct)"
    assert "layer     typed" in lines
    assert any("root(2, div(1, 4))" in line for line in lines)


def test_explanation_names_the_convention():
    assert "because   unit left out" in explain("5", r"\boxed{5\text{ cm}}")


def test_explanation_agrees_with_the_verdict_where_nothing_is_found():
    assert grade("5", "nothing").reason == "no_answer"
    assert "answer    none found" in explain("5", "nothing")
