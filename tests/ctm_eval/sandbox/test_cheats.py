"""Programs that try to forge their verdict (`cheats`), and honest ones by the same means (`honest`)."""

import importlib.util
import time
from pathlib import Path

import pytest

from ctm_eval.benchmarks import load_problems
from ctm_eval.sandbox import Limits, Outcome, Program, Sandbox, _outcome

DATA = Path(__file__).parents[4] / "shared" / "data" / "mbpp" / "mbpp.jsonl"


def table(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cheats, honest = table("cheats"), table("honest")


PATIENT = Limits(cpu_seconds=100, wall_seconds=300.0)  # a verdict does not depend on the machine


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(2, limits=PATIENT) as sandbox:
        yield sandbox


@pytest.mark.parametrize("name", [n for n, cheat in cheats.CHEATS.items() if cheat[1] != "timeout"])
def test_a_program_that_does_not_solve_its_task_does_not_pass(name, sandbox):
    [outcome] = sandbox.run([Program(*_case(name))])
    assert outcome.status == cheats.CHEATS[name][1], outcome


@pytest.mark.parametrize("name", [n for n, cheat in cheats.CHEATS.items() if cheat[1] == "timeout"])
def test_a_program_that_keeps_its_tests_busy_runs_out_of_time(name):
    with Sandbox(1, limits=Limits(cpu_seconds=1)) as short:
        assert short.run([Program(*_case(name))])[0].status == "timeout"


def test_the_tests_of_the_cheats_are_passed_by_a_program_that_solves_them(sandbox):
    square = Program("def f(n):\n    return n * n + 1", cheats.TESTS)
    close = Program("def f(n):\n    return n * n + 1.25", cheats.CLOSE)
    assert [outcome.status for outcome in sandbox.run([square, close])] == ["passed"] * 2


@pytest.mark.parametrize("name", honest.HONEST)
def test_an_honest_program_passes_and_is_not_suspected(name, sandbox):
    assert sandbox.run([Program(*honest.HONEST[name])]) == [Outcome("passed")]


def test_an_equality_of_its_own_is_suspicious(sandbox):
    [outcome] = sandbox.run([Program(*_case("an object equal to everything"))])
    assert "an equality of its own" in outcome.suspicious


def _case(name):
    code, _, *tests = cheats.CHEATS[name]
    return code, tests[0] if tests else cheats.TESTS


def test_the_tests_are_nowhere_in_the_memory_of_the_program(sandbox):
    """The same search finds a text of the program's own. Later ones come after the tests were judged."""
    code = (
        "import gc\nown = 'a word of the program'\n"
        "def everything():\n"
        "    seen, stack, texts = set(), list(gc.get_objects()), []\n"
        "    while stack:\n        thing = stack.pop()\n"
        "        if id(thing) in seen: continue\n        seen.add(id(thing))\n"
        "        if type(thing) in (str, bytes): texts.append(str(thing))\n"
        "        else: stack += gc.get_referents(thing)\n    return texts\n"
        "def found():\n    t = [x for x in everything() if 'a word of' in x]\n"
        "    return [any(x.endswith(' of the ' + y) for x in t) for y in ('program', 'test')]"
    )
    tests = ("x = found()\nassert x == [True, False], x  # a word of the test",)
    assert sandbox.run([Program(code, tests)] * 3) == [Outcome("passed")] * 3


@pytest.mark.parametrize(
    "code",
    [
        "x = 'a'\nwhile True:\n    x = x + x",
        "x = []\nwhile True:\n    x.append([])",
        "def f(n):\n    try:\n        bytearray(1 << 40)\n    except MemoryError:\n        1 / 0",
        "def f(n):\n    return 'x' * (100 << 20)",
    ],
)
def test_a_lack_of_memory_is_refused_and_not_failed(code, sandbox):
    assert sandbox.run([Program(code, ("assert f(2) == 5",))])[0].status == "refused"


def test_the_wall_clock_holds_while_the_output_and_the_channel_are_flooded():
    """Writing for ever to every descriptor: the limit of 2 s ends it, not the 12 s of a lost server."""
    code = (
        "import os, threading\nos.close(1)\n"
        'def f(n):\n    message = b\'["ask","isinstance",[1,1]]\'\n'
        "    data = (len(message).to_bytes(4, 'big') + message) * 1000\n"
        "    while True:\n        try: os.write(4, data)\n        except OSError: pass\n"
    )
    with Sandbox(1, limits=Limits(cpu_seconds=60, wall_seconds=2.0)) as short:
        short.run([Program("x = 1", ())])
        started = time.monotonic()
        assert short.run([Program(code, ("assert f(2) == 5",))])[0].status in ("failed", "timeout")
        assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "reply",
    [
        {"status": "hacked"},
        {"status": "passed", "detail": 3, "stdout": "", "suspicious": ""},
        [],
        None,
    ],
)
def test_only_known_answers_of_the_server_are_taken(reply):
    assert _outcome(reply).status == "refused"


def test_sympy_can_be_imported(sandbox):
    code = "import sympy\nx = sympy.Symbol('x')\nprint(sympy.integrate(x**2, (x, 0, 3)))"
    assert sandbox.run([Program(code)]) == [Outcome("passed", "", "9\n")]


def test_nothing_but_sympy_is_there_of_what_is_installed(sandbox):
    code = "\n".join(
        f"try:\n    import {name}\n    print({name!r})\nexcept ImportError:\n    pass"
        for name in ("numpy", "torch", "datasets", "ctm_data", "pytest")
    )
    assert sandbox.run([Program(code)])[0].stdout == ""


def test_every_reference_of_mbpp_passes_and_none_is_suspected(sandbox):
    if not DATA.exists():
        pytest.skip(f"wants MBPP at {DATA}")
    problems = load_problems("mbpp", data_file=DATA)
    outcomes = sandbox.run([Program(p.answer, tuple(p.tests)) for p in problems])
    both = zip(problems, outcomes, strict=True)
    bad = {p.problem_id: o for p, o in both if (o.status, o.suspicious) != ("passed", "")}
    assert (len(problems), bad) == (500, {})
