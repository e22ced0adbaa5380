"""Prompts: exemplars, chats, and the hash of what was rendered."""

import json

import pytest

from ctm_eval.benchmarks import BENCHMARKS
from ctm_eval.errors import CtmError
from ctm_eval.grading import grade
from ctm_eval.prompts import Exemplar, Prompting, exemplars, fingerprint, prompt
from ctm_eval.sandbox import Program, Sandbox
from ctm_eval.scoring import program_of
from ctm_eval.types import Problem

PROBLEM = Problem("p", "gsm8k", "test", "How many?", "3")
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"


def test_without_exemplars_the_prompt_is_that_of_the_dataset_builder():
    assert Prompting().text(PROBLEM) == prompt(PROBLEM)


def test_exemplars_come_first_with_a_blank_line_between():
    prompting = Prompting((Exemplar("One?", "It is 1.\n#### 1"), Exemplar("Two?", "\ncode")))
    assert prompting.text(PROBLEM) == (
        "Question: One?\nAnswer: It is 1.\n#### 1\n\nQuestion: Two?\nAnswer:\ncode\n\n"
        "Question: How many?\nAnswer:"
    )


@pytest.mark.parametrize(
    "benchmark", [b for b in BENCHMARKS.values() if b.shots], ids=lambda b: b.name
)
def test_there_are_as_many_exemplars_of_our_own_as_are_asked_for_by_default(benchmark):
    assert len(exemplars(benchmark, benchmark.shots)) == benchmark.shots


@pytest.mark.parametrize("benchmark", ["gsm8k", "math"])
def test_the_grader_reads_the_answer_of_every_exemplar(benchmark):
    for exemplar in exemplars(BENCHMARKS[benchmark], BENCHMARKS[benchmark].shots):
        assert grade(exemplar.solution, exemplar.solution, benchmark).correct


@pytest.mark.parametrize("number", range(3))
def test_the_program_of_every_exemplar_passes_the_tests_in_its_question(number):
    exemplar = exemplars(BENCHMARKS["mbpp"], 3)[number]
    tests = tuple(line for line in exemplar.question.splitlines() if line.startswith("assert"))
    with Sandbox(1) as sandbox:
        assert sandbox.run([Program(program_of(exemplar.solution), tests)])[0].status == "passed"


ROWS = {
    "our own fields": {"question": "Q", "solution": "S"},
    "GSM8K's": {"question": "Q", "answer": "S"},
    "MATH's": {"problem": "Q", "solution": "S", "level": "Level 1", "type": "Algebra"},
}


@pytest.mark.parametrize("name", ROWS)
def test_exemplars_are_read_from_the_rows_of_other_datasets(name, tmp_path):
    (tmp_path / "shots.jsonl").write_text(json.dumps(ROWS[name]) + "\n")
    assert exemplars(BENCHMARKS["gsm8k"], 1, tmp_path / "shots.jsonl") == (Exemplar("Q", "S"),)


def test_programs_of_mbpps_rows_are_fenced(tmp_path):
    (tmp_path / "shots.jsonl").write_text(json.dumps({"text": "Q", "code": "x = 1"}))
    [exemplar] = exemplars(BENCHMARKS["mbpp"], 1, tmp_path / "shots.jsonl")
    assert program_of(exemplar.solution) == "x = 1"


def test_too_few_exemplars_are_refused(tmp_path):
    with pytest.raises(CtmError, match="9 exemplars wanted, 8 are for gsm8k"):
        exemplars(BENCHMARKS["gsm8k"], 9)
    (tmp_path / "shots.jsonl").write_text('{"question": "Q", "solution": "S"}\n')
    with pytest.raises(CtmError, match=r"2 exemplars wanted, 1 are in .*shots\.jsonl"):
        exemplars(BENCHMARKS["gsm8k"], 2, tmp_path / "shots.jsonl")


def test_a_row_that_is_no_exemplar_is_named(tmp_path):
    (tmp_path / "shots.jsonl").write_text('{"question": "Q"}\n')
    with pytest.raises(CtmError, match="line 1 has no text called solution or answer or code"):
        exemplars(BENCHMARKS["gsm8k"], 1, tmp_path / "shots.jsonl")


def test_a_model_without_a_chat_template_is_refused(engine):
    with pytest.raises(CtmError, match="has no chat template: leave out --chat"):
        Prompting(chat=True).encode(engine, PROBLEM)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"tokenize": False}, "'tokenize' is none"),
        ({"add_generation_prompt": False}, "'add_generation_prompt' is none"),
        ({"tools": 5}, "refuses the chat"),
    ],
)
def test_what_is_no_variable_of_a_template_is_refused(engine, monkeypatch, variables, message):
    monkeypatch.setattr(engine.tokenizer, "chat_template", TEMPLATE)
    with pytest.raises(CtmError, match=message):
        Prompting(chat=True, template_args=variables).encode(engine, PROBLEM)


def test_a_chat_ends_with_the_question_and_a_word_on_the_form(engine, monkeypatch):
    monkeypatch.setattr(engine.tokenizer, "chat_template", TEMPLATE)
    form = "Think step by step. End with a line `#### ` and the number that is the answer."
    ids = Prompting((Exemplar("One?", "1"),), chat=True, instruction=form).encode(engine, PROBLEM)
    rendered = f"<user>One?\n\n{form}<assistant>1<user>How many?\n\n{form}<assistant>"
    assert ids == engine.tokenizer(rendered, add_special_tokens=False).input_ids


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=lambda b: b.name)
def test_every_benchmark_says_in_a_chat_what_form_an_answer_has(benchmark):
    word = {"####": "####", "box": "boxed", None: "```python"}[benchmark.answer_format]
    assert word in benchmark.instruction
    assert (benchmark.kind == "code") == (benchmark.answer_format is None)


def test_the_fingerprint_knows_every_token_and_every_border():
    assert fingerprint([[1, 2], [3]]) == fingerprint([(1, 2), (3,)])
    assert (
        len({fingerprint(p) for p in ([[1, 2], [3]], [[1], [2, 3]], [[1, 2, 3]], [[12], [3]])}) == 4
    )
