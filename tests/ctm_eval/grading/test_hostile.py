"""Hostile inputs: each takes little time and memory, writes nothing, and harms no later call."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile import CASES

from ctm_eval.grading import equal, explain, grade
from ctm_eval.grading.maths import symbolic

pytestmark = pytest.mark.alone

IDS = [name.replace(" ", "_") for name, _, _ in CASES]


@pytest.fixture(scope="module", autouse=True)
def warm_pool():
    symbolic.warm_up()


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("name", "gold", "answer"), CASES, ids=IDS)
def test_hostile_answer_is_refused_within_a_second(name, gold, answer):
    for text in (rf"\boxed{{{answer}}}", f"#### {answer}", answer):
        start = time.perf_counter()
        verdict = grade(gold, text)
        assert time.perf_counter() - start < 1
        assert not verdict.correct


@pytest.mark.parametrize(("name", "gold", "answer"), CASES, ids=IDS)
def test_hostile_answer_equals_itself_and_not_the_gold(name, gold, answer):
    start = time.perf_counter()
    assert not equal(gold, answer)
    assert not equal(answer, gold)
    assert equal(answer, answer) or not answer.strip()
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(("name", "gold", "answer"), CASES, ids=IDS)
def test_hostile_answer_can_be_explained(name, gold, answer):
    start = time.perf_counter()
    explain(gold, rf"\boxed{{{answer}}}")
    assert time.perf_counter() - start < 1


def test_pool_is_alive_after_all_of_them():
    assert equal(r"\sqrt{-x^2-1}", r"\sqrt{-1-x^2}").layer == "sympy"


def test_all_of_them_together_take_little_memory():
    code = (
        "import json, resource, sys; sys.path.insert(0, sys.argv[1]); from hostile import CASES\n"
        "from ctm_eval.grading import grade\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for _, gold, answer in CASES: grade(gold, answer); grade(gold, '\\\\boxed{' + answer + '}')\n"
        "own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(json.dumps([(own - before) / 1024]))"
    )
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", code, here], capture_output=True, check=True)
    assert json.loads(done.stdout)[0] < 200
