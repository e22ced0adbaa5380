"""Scoring: answers are graded, programs are run, and a broken scorer stops the run."""

import subprocess
import sys
from dataclasses import replace

import pytest

from ctm_eval.benchmarks import load_problems
from ctm_eval.errors import CtmError
from ctm_eval.sandbox import Limits
from ctm_eval.scoring import CANARIES, Scorer, program_of
from ctm_eval.types import Problem

TASK = Problem(
    "t", "mbpp", "test", "?", "def twice(x):\n    return 2 * x", tests=("assert twice(2) == 4",)
)
SUM = Problem("s", "gsm8k", "test", "?", "18")


@pytest.fixture(scope="module")
def scorer():
    with Scorer(processes=2, limits=Limits(cpu_seconds=1)) as scorer:
        yield scorer


RESPONSES = {
    "a fenced program that passes": (
        TASK,
        "```python\ndef twice(x): return x + x\n```",
        True,
        "correct",
    ),
    "a bare program that passes": (TASK, "def twice(x): return x + x", True, "correct"),
    "a program that fails": (TASK, "```python\ndef twice(x): return x\n```", True, "wrong"),
    "a program that never ends": (TASK, "def twice(x):\n    while True: pass", True, "timeout"),
    "a program that wants a socket": (TASK, "import socket\nsocket.socket()", True, "refused"),
    "words instead of a program": (TASK, "I would double it.", True, "unparsed"),
    "a program that was cut off": (TASK, "```python\ndef twice(x):\n    ret", False, "truncated"),
    "nothing": (TASK, "\n", True, "no_answer"),
    "nothing, cut off": (TASK, "", False, "truncated"),
    "an answer": (SUM, "9 * 2 = 18\n#### 18", True, "correct"),
    "another answer": (SUM, "9 + 2 = 11\n#### 11", True, "wrong"),
    "no answer": (SUM, "I do not know.", True, "no_answer"),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_every_kind_of_response_has_its_verdict(name, scorer):
    problem, text, finished, reason = RESPONSES[name]
    [verdict] = scorer.score([(problem, text, finished)])
    assert (verdict.reason, verdict.correct) == (reason, reason == "correct")


def test_verdicts_keep_the_order_of_mixed_responses(scorer):
    names = ["an answer", "a program that fails", "nothing", "a bare program that passes"]
    verdicts = scorer.score([RESPONSES[name][:3] for name in names])
    assert [v.reason for v in verdicts] == ["correct", "wrong", "no_answer", "correct"]


def test_a_program_that_decides_its_own_comparison_is_suspicious(scorer):
    cheat = (
        "class A:\n    def __eq__(self, other):\n        return True\ndef twice(x):\n    return A()"
    )
    names = ["a bare program that passes", "nothing", "an answer"]
    verdicts = scorer.score([(TASK, cheat, True), *(RESPONSES[name][:3] for name in names)])
    assert [v.correct for v in verdicts] == [False, True, False, True]
    assert "an equality of its own" in str(verdicts[0].suspicious)
    assert [v.suspicious for v in verdicts[1:]] == ["", None, None]


BLOCKS = {
    "the block that defines something": (
        "First `pip install x`:\n```\npip install x\n```\nThen:\n```python\ndef f(): pass\n```\nUse:\n"
        "```python\nprint(f())\n```",
        "def f(): pass",
    ),
    "a block without a definition": ("So:\n```py\nf = abs\n```", "f = abs"),
    "a block in a list": (
        "1. So:\n   ```python\n   def f():\n       return 1\n   ```",
        "def f():\n    return 1",
    ),
    "a block of python3": ("```bash\nls\n```\n```python3\nf = abs\n```", "f = abs"),
    "a block of another language is none": ("```bash\nls\n```", None),
    "a block that is not closed": ("```python\ndef f():\n    return 1", "def f():\n    return 1"),
    "indentation is kept": ("\n    def f(): pass", "    def f(): pass"),
    "nothing but space": (" \n ", None),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_the_program_in_a_response(name):
    text, program = BLOCKS[name]
    assert program_of(text) == program


@pytest.mark.parametrize("benchmark", ["pocket", "pocket-code"])
def test_every_reference_is_scored_as_correct(benchmark, scorer):
    assert scorer.check(load_problems(benchmark, limit=60, seed=5)) == []


def test_there_is_a_canary_for_every_layer_of_the_grader():
    assert {layer for *_, layer in CANARIES} == {"text", "number", "typed", "sympy"}


def test_one_wrong_reference_is_named_and_many_stop_the_run(scorer):
    wrong = replace(TASK, problem_id="bad", answer="def twice(x):\n    return x")
    assert scorer.check([TASK, TASK, wrong]) == ["bad"]
    with pytest.raises(CtmError, match=r"2 of 3 references .* that of bad \(wrong\)"):
        scorer.check([wrong, TASK, wrong])
    with pytest.raises(CtmError, match="1 of 1 references"):
        scorer.check([wrong])


@pytest.mark.parametrize("module", ["sympy", "mpmath"])
def test_a_parser_that_does_not_load_stops_the_run(module, tmp_path):
    """With a broken library first on the path `ctm eval` ends with exit code 1, no figure, no folder."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / f"{module}.py").write_text("raise ImportError('planted')")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'broken')!r})\n"
        "from ctm_cli.main import run; run()"
    )
    arguments = ["eval", "--limit", "4", "--output-dir", str(tmp_path / "run")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 1
    assert "the grader is broken here: its " in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "run").exists()
