"""The table of labelled responses: where an answer stands, and what is no answer."""

import pytest

from ctm_eval.errors import CtmError
from ctm_eval.grading import extract, gold_answer, grade


def test_response_is_graded_as_labelled(response):
    verdict = grade(
        response["gold"],
        response["text"],
        response.get("benchmark"),
        finished=response.get("finished", True),
    )
    assert verdict.reason == response["reason"]
    assert verdict.correct is (response["reason"] == "correct")


def test_only_a_verdict_without_an_answer_lacks_one(response):
    verdict = grade(response["gold"], response["text"], finished=response.get("finished", True))
    if verdict.reason in ("correct", "wrong", "timeout", "unparsed"):
        assert verdict.answer is not None
    if verdict.reason == "no_answer":
        assert verdict.answer is None


@pytest.mark.parametrize(
    ("text", "answer", "source"),
    [
        (r"so \boxed{\frac{1}{2}}", r"\frac{1}{2}", "box"),
        ("so\n#### 12", "12", "####"),
        ("The answer is 12.", "12", "answer is"),
        ("It is $x=3$.", "x=3", "math"),
        ("She has 3 left, or 4.", "4", "number"),
    ],
)
def test_extraction_names_its_source(text, answer, source):
    found = extract(text)
    assert (found.answer, found.source) == (answer, source)


def test_hashes_come_before_a_box_where_the_benchmark_uses_them():
    text = "\\boxed{3}\n#### 4"
    assert grade("4", text, "gsm8k").correct
    assert grade("3", text, "math500").correct


def test_gold_may_be_a_worked_solution():
    assert gold_answer("2 + 3 = <<2+3=5>>5\n#### 5") == "5"
    assert gold_answer(r"Thus $x = \boxed{\frac{1}{2}}$.") == r"\frac{1}{2}"
    assert gold_answer(r"\frac{1}{2}") == r"\frac{1}{2}"


def test_gold_without_an_answer_is_refused():
    with pytest.raises(CtmError, match="no answer in the gold"):
        grade("####", "5")


def test_unknown_benchmark_is_refused_by_name():
    with pytest.raises(CtmError, match="gsm9k"):
        grade("5", "5", "gsm9k")
