"""Hostile inputs: each takes little time and memory, writes nothing, and harms no later call."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from hostile import CASES

from ctm_eval.grading import equal, explain, grade
from ctm_eval.grading.maths import symbolic

IDS = [name.replace(" ", "_") for name, _, _ in CASES]


@pytest.fixture(scope="module", autouse=True)
def warm_pool():
    symbolic.warm_up()


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert os.listdir(tmp_path) == []


@contextmanager
def a_second():
    """At most a second of this process, and no wait: other processes may slow the clock on the wall."""
    wall, own = time.perf_counter(), time.process_time()
    yield
    assert time.process_time() - own < 1
    assert time.perf_counter() - wall < 5


@pytest.mark.parametrize(("name", "gold", "answer"), CASES, ids=IDS)
def test_hostile_answer_is_refused_within_a_second(name, gold, answer):
    for text in (rf"\boxed{{{answer}}}", f"#### {answer}", answer):
        with a_second():
            verdict = grade(gold, text)
        assert not verdict.correct


@pytest.mark.parametrize(("name", "gold", "answer"), CASES, ids=IDS)
def test_hostile_answer_equals_itself_and_not_the_gold(name, gold, answer):
    with a_second():
        assert not equal(gold, answer)
        assert not equal(answer, gold)
        assert equal(answer, answer) or not answer.strip()


@pytest.mark.parametrize(("name", "gold", "answer"), CASES, ids=IDS)
def test_hostile_answer_can_be_explained(name, gold, answer):
    with a_second():
        explain(gold, rf"\boxed{{{answer}}}")


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
