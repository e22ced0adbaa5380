"""Benchmarks read from files with the Hub's own fields."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ctm_eval.benchmarks import BENCHMARKS, QUESTION_MOST, load_problems
from ctm_eval.errors import CtmError
from ctm_eval.prompts import Prompting
from ctm_eval.sandbox import Program, Sandbox
from ctm_eval.types import Problem

GSM8K = {"question": "What is 6 times 3?", "answer": "It is 6 * 3 = <<6*3=18>>18.\n#### 18"}
MATH500 = {
    "problem": "Half of 1?",
    "solution": r"It is $\boxed{\frac12}$.",
    "answer": r"\frac{1}{2}",
    "subject": "Prealgebra",
    "level": 1,
    "unique_id": "test/prealgebra/1.json",
}


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_gsm8k_rows(tmp_path):
    [problem] = load_problems("gsm8k", data_file=write(tmp_path / "test.jsonl", GSM8K))
    assert (problem.problem_id, problem.answer) == ("gsm8k-test-00000", "18")


def test_math500_rows(tmp_path):
    [problem] = load_problems("math500", data_file=write(tmp_path / "test.jsonl", MATH500))
    assert (problem.answer, problem.subject, problem.level) == (r"\frac{1}{2}", "Prealgebra", "1")


def test_parquet_reads_like_jsonl(tmp_path):
    pq.write_table(pa.Table.from_pylist([GSM8K]), tmp_path / "test.parquet")
    lines = load_problems("gsm8k", data_file=write(tmp_path / "test.jsonl", GSM8K))
    assert load_problems("gsm8k", data_file=tmp_path / "test.parquet") == lines


def test_limit_takes_the_first(tmp_path):
    path = write(tmp_path / "test.jsonl", GSM8K, {**GSM8K, "question": "And twice?"})
    assert [p.question for p in load_problems("gsm8k", data_file=path, limit=1)] == [
        GSM8K["question"]
    ]


def test_a_broken_line_is_named_by_its_number(tmp_path):
    path = write(tmp_path / "test.jsonl", GSM8K, GSM8K)
    path.write_text(path.read_text() + '{"question": "What')
    with pytest.raises(CtmError, match=r"test\.jsonl, line 3 is not JSON"):
        load_problems("gsm8k", data_file=path)


def test_a_row_of_another_benchmark_is_named_by_its_number(tmp_path):
    path = write(tmp_path / "test.jsonl", GSM8K, MATH500)
    with pytest.raises(
        CtmError, match=r"line 2 is not a row of gsm8k: there is no field 'question'"
    ):
        load_problems("gsm8k", data_file=path)


def test_a_line_that_is_no_object_is_named(tmp_path):
    path = write(tmp_path / "test.jsonl", [1, 2])
    with pytest.raises(CtmError, match="line 1 is not a JSON object"):
        load_problems("gsm8k", data_file=path)


def test_an_answer_that_is_no_answer_is_named(tmp_path):
    path = write(tmp_path / "test.jsonl", {"question": "?", "answer": ""})
    with pytest.raises(CtmError, match="line 1 is not a row of gsm8k: no answer in the gold"):
        load_problems("gsm8k", data_file=path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CtmError, match="there is no file"):
        load_problems("gsm8k", data_file=tmp_path / "none.jsonl")


def test_an_empty_file_is_named(tmp_path):
    with pytest.raises(CtmError, match="has no problems in the split test"):
        load_problems("gsm8k", data_file=write(tmp_path / "test.jsonl"))


def test_an_unknown_benchmark_names_the_known_ones_with_the_endless_ones_first():
    with pytest.raises(CtmError) as raised:
        load_problems("gsm9k")
    known = str(raised.value).split("there are: ")[1].split(", ")
    assert known[:2] == ["pocket", "pocket-code"]
    assert known[2:] == sorted({*BENCHMARKS} - {"pocket", "pocket-code"})


def test_pocket_takes_no_file_and_has_three_splits(tmp_path):
    with pytest.raises(CtmError, match="leave out --data-file"):
        load_problems("pocket", data_file=tmp_path)
    with pytest.raises(CtmError, match="train, dev and test"):
        load_problems("pocket", split="validation")


MATH = {
    "problem": "Half of 1?",
    "solution": r"It is $\boxed{\frac12}$.",
    "level": "Level 1",
    "type": "Prealgebra",
}
MBPP = {
    "task_id": 11,
    "text": "Write a function to double a number.",
    "code": "def twice(x):\r\n    return 2 * x",
    "test_list": ["assert twice(2) == 4", "assert twice(0) == 0"],
    "test_setup_code": "",
    "challenge_test_list": [],
}


def test_the_answers_of_math_are_in_its_solutions(tmp_path):
    [problem] = load_problems("math", data_file=write(tmp_path / "test.jsonl", MATH))
    assert (problem.answer, problem.subject, problem.level) == (r"\frac12", "Prealgebra", "1")


def test_mbpp_shows_its_tests_and_keeps_its_program(tmp_path):
    [problem] = load_problems("mbpp", data_file=write(tmp_path / "mbpp.jsonl", MBPP))
    assert problem.problem_id == "mbpp-test-00011"
    assert problem.tests == ("assert twice(2) == 4", "assert twice(0) == 0")
    assert all(test in problem.question for test in problem.tests)
    assert problem.answer == MBPP["code"]


def test_a_task_of_mbpp_without_tests_is_named(tmp_path):
    path = write(tmp_path / "mbpp.jsonl", {**MBPP, "test_list": []})
    with pytest.raises(CtmError, match="line 1 is not a row of mbpp: the programming task has no"):
        load_problems("mbpp", data_file=path)


def test_the_setup_of_a_task_runs_before_each_of_its_tests(tmp_path):
    row = {**MBPP, "test_setup_code": "import math"}
    [problem] = load_problems("mbpp", data_file=write(tmp_path / "mbpp.jsonl", row))
    assert problem.tests[0] == "import math\nassert twice(2) == 4"


def test_a_question_that_no_model_can_read_is_named_before_a_tokenizer_sees_it(tmp_path):
    most = {"question": "x" * QUESTION_MOST, "answer": "1"}
    path = write(tmp_path / "q.jsonl", most, {**most, "question": "x" * (QUESTION_MOST + 1)})
    assert len(load_problems("qa", data_file=path, limit=1)) == 1
    with pytest.raises(CtmError, match="line 2 has a question of 1,000,001 characters"):
        load_problems("qa", data_file=path)


def test_a_revision_of_a_local_file_is_refused(tmp_path):
    path = write(tmp_path / "q.jsonl", {"question": "1 + 1?", "answer": "2"})
    with pytest.raises(CtmError, match=r"q\.jsonl is here: leave it out"):
        load_problems("gsm8k", data_file=path, revision="main")


def test_a_file_of_all_of_mbpp_is_split_by_task_id(tmp_path):
    """10 is a prompt, 11 and 510 are the test's borders, 511 is for validation."""
    rows = [{**MBPP, "task_id": task} for task in (10, 11, 510, 511, 601)]
    path = write(tmp_path / "mbpp.jsonl", *rows)
    ids = [p.problem_id for p in load_problems("mbpp", data_file=path)]
    assert ids == ["mbpp-test-00011", "mbpp-test-00510"]
    assert len(load_problems("mbpp", data_file=path, limit=1)) == 1
    assert [p.problem_id for p in load_problems("mbpp", data_file=path, split="train")] == [
        "mbpp-train-00601"
    ]


def test_two_rows_of_one_task_are_refused_with_both_lines_and_the_id(tmp_path):
    path = write(tmp_path / "mbpp.jsonl", MBPP, {**MBPP, "task_id": 12}, MBPP)
    with pytest.raises(
        CtmError, match=r"line 3 is the problem mbpp-test-00011 again, which .*line 1"
    ):
        load_problems("mbpp", data_file=path)


def test_pocket_code_is_generated(tmp_path):
    problems = load_problems("pocket-code", limit=5)
    assert all(len(problem.tests) == 3 for problem in problems)
    assert load_problems("pocket-code", limit=2) == problems[:2]
    with pytest.raises(CtmError, match="leave out --revision"):
        load_problems("pocket-code", revision="main")


def test_no_hub_is_one_clear_line(monkeypatch):
    """HF_HUB_OFFLINE is set for all tests."""
    from ctm_eval.benchmarks import revision_of

    with pytest.raises(
        CtmError, match=r"cannot load openai/gsm8k from the Hub: .* with --data-file"
    ):
        load_problems("gsm8k")
    with pytest.raises(CtmError, match="cannot load openai/gsm8k from the Hub"):
        revision_of("gsm8k")
    assert revision_of("pocket") is None


@pytest.mark.parametrize("name", ["code", "mbpp"])
def test_a_programming_task_is_asked_for_a_program_in_a_chat(name):
    """And not, as maths is, for `####` and a number."""
    benchmark = BENCHMARKS[name]
    problem = Problem("p", name, "test", "Add two numbers.", "A", tests=("assert add(1, 2) == 3",))
    [message] = Prompting(chat=True, instruction=benchmark.instruction).messages(problem)
    assert "```python" in message["content"]
    assert "####" not in message["content"]


MBPP_ROW = {"task_id": 11, "text": "Add.", "code": "def f(): pass", "test_list": ["assert True"]}
BROKEN_FIELDS = {  # benchmark, row, what is said of it
    "a numeric question": ("gsm8k", {**GSM8K, "question": 7}, "'question' must be text, not 7 (a number)"),
    "a null answer": ("gsm8k", {**GSM8K, "answer": None}, "'answer' must be text, not null"),
    "a numeric problem": ("math500", {**MATH500, "problem": 1.5}, "'problem' must be text, not 1.5"),
    "a list as a solution": ("math", {"problem": "?", "solution": []}, "'solution' must be text, not"),
    "a task id of text": ("mbpp", {**MBPP_ROW, "task_id": "11"}, "'task_id' must be a whole number"),
    "tests that are numbers": ("mbpp", {**MBPP_ROW, "test_list": [1]}, "must be a list of texts"),
    "no tests": ("code", {"prompt": "Add."}, "there is no field 'tests' or 'test_list'"),
    "an object as an answer": ("qa", {"question": "?", "answer": {}}, "not an object"),
    "no answer": ("qa", {"question": "?"}, "'answer' must be text or a number, not missing"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN_FIELDS)
def test_a_broken_field_is_named_with_its_line_and_the_form_expected(case, tmp_path):
    benchmark, row, said = BROKEN_FIELDS[case]
    path = write(tmp_path / "own.jsonl", row)
    with pytest.raises(CtmError, match=f"own.jsonl, line 1 is not a row of {benchmark}: ") as error:
        load_problems(benchmark, data_file=path)
    assert said in str(error.value)
    assert error.value.usage


def test_a_parquet_column_of_another_type_is_named_by_its_row(tmp_path):
    table = pa.table({"question": [1, 2], "answer": ["#### 1", "#### 2"]})
    pq.write_table(table, tmp_path / "own.parquet")
    with pytest.raises(CtmError, match=r"own.parquet, row 1 .* 'question' must be text, not 1"):
        load_problems("gsm8k", data_file=tmp_path / "own.parquet")


def test_latin_1_is_named_by_its_line(tmp_path):
    (tmp_path / "own.jsonl").write_bytes('{"question": "Où?", "answer": "1"}\n'.encode("latin-1"))
    with pytest.raises(CtmError, match=r"own.jsonl, line 1 is not UTF-8"):
        load_problems("qa", data_file=tmp_path / "own.jsonl")


def test_a_benchmark_of_ones_own_is_questions_with_answers(tmp_path):
    rows = [{"question": "6 times 3?", "answer": 18}, {"question": "?", "answer": "So\n#### 1/2"}]
    problems = load_problems("qa", data_file=write(tmp_path / "own.jsonl", *rows))
    assert [p.answer for p in problems] == ["18", "1/2"]
    assert problems[0].problem_id == "qa-test-00000"


def test_more_generated_problems_than_fit_are_refused_at_once():
    with pytest.raises(CtmError, match="--limit is at most 100,000 for pocket"):
        load_problems("pocket", limit=99_999_999)


@pytest.mark.parametrize("name", ["gsm1k", "gsm-symbolic"])
def test_relatives_of_gsm8k_have_its_form_or_the_number_alone(name, tmp_path):
    rows = [GSM8K, {"question": "1 + 1?", "answer": "2"}]
    problems = load_problems(name, data_file=write(tmp_path / "test.jsonl", *rows))
    assert [problem.answer for problem in problems] == ["18", "2"]
    assert problems[0].problem_id == f"{name}-test-00000"


@pytest.mark.parametrize(
    "row",
    [
        {"problem": "?", "answer": 73},
        {"problem": "?", "answer": "073"},
        {"Problem": "?", "Answer": "73"},
        {"problem": "?", "solution": r"So \boxed{73}."},
    ],
)
def test_aime_rows_in_the_forms_they_come_in(row, tmp_path):
    [problem] = load_problems("aime24", data_file=write(tmp_path / "test.jsonl", row))
    assert (problem.question, problem.answer) == ("?", "73")


@pytest.mark.parametrize("answer", ["1000", "-1", "7.5", "²", ""])
def test_an_answer_that_is_none_of_aimes_is_refused(answer, tmp_path):
    row = {"problem": "?", "answer": answer}
    with pytest.raises(CtmError, match="a whole number from 0 to 999"):
        load_problems("aime25", data_file=write(tmp_path / "test.jsonl", row))


def test_a_humaneval_task_is_a_function_with_its_check(tmp_path):
    row = {
        "task_id": "HumanEval/0",
        "prompt": 'def two():\n    """Two."""\n',
        "entry_point": "two",
        "canonical_solution": "    return 2\n",
        "test": "def check(candidate):\n    assert candidate() == 2\n",
    }
    [problem] = load_problems("humaneval", data_file=write(tmp_path / "test.jsonl", row))
    assert "def two():" in problem.question
    assert "check" not in problem.question
    with Sandbox(1) as sandbox:
        right, wrong = sandbox.run(
            [Program(code, problem.tests) for code in (problem.answer, "def two():\n    return 3")]
        )
    assert (right.status, wrong.status) == ("passed", "failed")
    with pytest.raises(CtmError, match="the name of a function"):
        load_problems(
            "humaneval", data_file=write(tmp_path / "bad.jsonl", {**row, "entry_point": "a b"})
        )
