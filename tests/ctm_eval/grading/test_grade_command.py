"""`ctm grade`: exit codes, output for people and for programs."""

import json

import pytest
from typer.testing import CliRunner

from ctm_cli.main import app
from ctm_eval.errors import CtmError

ROWS = [
    {"text": "so\n#### 4", "gold": "4", "correct": True},
    {"text": r"\boxed{5}", "gold": "6", "correct": True},
]


@pytest.fixture
def outputs(tmp_path):
    path = tmp_path / "outputs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["grade", *map(str, arguments)])


def test_a_graded_file_prints_its_summary(outputs):
    result = run(outputs)
    assert result.exit_code == 0
    assert "1 of 2 correct (50.0%)" in result.output
    assert "changed  1" in result.output


def test_json_is_one_object(outputs):
    summary = json.loads(run(outputs, "--json").output)
    assert summary["reasons"] == {"correct": 1, "wrong": 1}
    assert summary["changed"] == 1


def test_check_fails_when_a_verdict_changed(outputs):
    result = run(outputs, "--check")
    assert isinstance(result.exception, CtmError) and not result.exception.usage


def test_rows_are_written_with_their_verdicts(outputs, tmp_path):
    assert run(outputs, "--output", tmp_path / "graded.jsonl").exit_code == 0
    lines = (tmp_path / "graded.jsonl").read_text().splitlines()
    assert [json.loads(line)["verdict"] for line in lines] == ["correct", "wrong"]


def test_one_response_is_explained():
    result = run("--explain", "1/2", "The answer is 50%.")
    assert result.exit_code == 0
    assert "verdict   correct" in result.output and "layer     number" in result.output


@pytest.mark.parametrize("arguments", [[], ["missing.jsonl"]])
def test_a_wrong_call_is_a_wrong_call(arguments):
    result = run(*arguments)
    assert isinstance(result.exception, CtmError) and result.exception.usage


def test_solutions_of_a_run_find_their_problems(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    solutions = [
        {"problem_id": "p", "text": "#### 4", "answer": "4", "verdict": "wrong", "correct": False}
    ]
    for name, rows in (
        ("problems", [{"problem_id": "p", "answer": "4"}]),
        ("solutions", solutions),
    ):
        (tmp_path / name).mkdir()
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name / "part-0.parquet")
    assert "1 of 1 correct" in run(tmp_path / "solutions").output


@pytest.mark.parametrize(("benchmarks", "right"), [(["gsm8k"], 1), (["gsm8k", "math500"], 0)])
def test_solutions_of_a_run_are_read_as_the_benchmark_of_all_its_problems(
    tmp_path, benchmarks, right
):
    """In gsm8k's form the number behind #### is the answer, whatever stands in a box."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = "#### 4\n\\boxed{5}"
    solutions = [{"problem_id": "0", "text": text, "answer": "4", "verdict": "wrong"}]
    problems = [
        {"problem_id": str(i), "answer": "4", "benchmark": benchmark}
        for i, benchmark in enumerate(benchmarks)
    ]
    for name, rows in (("problems", problems), ("solutions", solutions)):
        (tmp_path / name).mkdir()
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name / "part-0.parquet")
    assert f"{right} of 1 correct" in run(tmp_path / "solutions").output
