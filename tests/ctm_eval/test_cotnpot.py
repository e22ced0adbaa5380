"""CoTnPoT: whatever a coder writes is survived and counted, and the filter's figures are those by hand."""

from collections import Counter
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from ctm_eval.cotnpot import (
    RESULTS,
    Check,
    check,
    counts,
    describe,
    fenced,
    filter_counts,
    filter_figures,
    keep,
    with_description,
)
from ctm_eval.engines import Completion
from ctm_eval.engines.tokenizer import WithTokenizer
from ctm_eval.errors import CtmError
from ctm_eval.pocket import MODEL_DIR
from ctm_eval.sandbox import Limits, Sandbox
from ctm_eval.types import Problem

PROBLEM = Problem("p", "pocket", "test", "Ann has 3 bags of 6 pens. How many pens?", "18")


@cache
def tokenizer():
    return AutoTokenizer.from_pretrained(str(MODEL_DIR))


class Coder(WithTokenizer):
    """An engine that writes what the test says, after every prompt that contains the given words."""

    def __init__(self, writes, max_length=1024):
        self.tokenizer, self.name, self.max_length = tokenizer(), "coder", max_length
        self.writes, self.requests = writes, []

    def sample(self, requests, sampling, progress=None):
        self.requests += requests
        return [Completion(self.ids(self._text(r)), "stop") for r in requests]

    def ids(self, text):
        return (*self.tokenizer(text, add_special_tokens=False).input_ids, 2)

    def _text(self, request):
        prompt = self.decode(request.prompt_ids)
        return next(text for words, text in self.writes.items() if words in prompt)


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(2, limits=Limits(cpu_seconds=1, wall_seconds=5)) as sandbox:
        yield sandbox


PROGRAMS = {
    "the steps": ("a = 3 * 6\nprint(a)\n```", "agrees"),
    "the steps, and it goes on after the block": ("print(18)\n```\nprint(19)", "agrees"),
    "the answer behind a label": ("print('Pens:', 3 * 6)", "agrees"),
    "the same answer twice": ("print(18)\nprint(18.0)", "agrees"),
    "a float": ("print(36 / 2)", "agrees"),
    "other steps": ("print(3 + 6)", "disagrees"),
    "words": ("I do not know!", "unparsed"),
    "half a program": ("print(18", "unparsed"),
    "nothing": ("", "no_program"),
    "nothing but the end of the block": ("```", "no_program"),
    "a program that never ends": ("while True: pass", "timeout"),
    "a program that waits": ("import time\ntime.sleep(60)", "timeout"),
    "a program that fails after the right answer": ("print(18)\n1 / 0", "failed"),
    "a program that leaves early": ("print(18)\nimport os\nos._exit(0)", "failed"),
    "a program that prints nothing": ("a = 3 * 6", "silent"),
    "a program that prints blanks": ("print('\\n \\n')", "silent"),
    "two answers": ("print(17)\nprint(18)", "several"),
    "a thousand answers": ("for i in range(1000): print(i)", "several"),
    "a million answers": ("for i in range(10**6): print(i)", "refused"),
    "one enormous answer": ("print('9' * 10**6)", "refused"),
    "a number of fifty thousand digits": ("print('9' * 50_000)", "disagrees"),
    "a power that is never done": ("print(9 ** 9 ** 9)", "timeout"),
    "a list that fills the memory": ("print(len([0] * 10**9))", "refused"),
    "a program that wants a socket": ("import socket\nsocket.socket()", "refused"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_kind_of_program_has_its_result(name, sandbox):
    text, result = PROGRAMS[name]
    [checked] = check(Coder({"": text}), [(PROBLEM, "3 * 6 = 18\n#### 18", "18")], sandbox)
    assert checked.result == result
    assert checked.agrees == (result == "agrees")


def test_a_check_keeps_the_coders_ids_the_program_and_what_it_printed(sandbox):
    coder = Coder({"": "print(3 * 6)\n```"})
    [checked] = check(coder, [(PROBLEM, " 3 * 6 = 18\n#### 18", "18")], sandbox)
    prompt = (
        f"Question: {PROBLEM.question}\nAnswer: 3 * 6 = 18\n#### 18\n\n"
        "These steps as a Python program that prints the answer:\n```python\n"
    )
    ids = coder.ids("print(3 * 6)\n```")
    assert checked == Check("agrees", "print(3 * 6)", "18", ids, len(coder.encode(prompt)))
    assert list(coder.requests[0].prompt_ids) == coder.encode(prompt)


def test_checks_come_in_the_order_of_the_solutions_and_equal_ones_are_asked_about_once(sandbox):
    coder = Coder({"first": "print(18)", "second": "print(9)"})
    solutions = [
        (PROBLEM, "first", "18"),
        (PROBLEM, "second", "18"),
        (PROBLEM, "first", "18"),
        (PROBLEM, "second", "9"),
    ]
    checks = check(coder, solutions, sandbox)
    assert [c.result for c in checks] == ["agrees", "disagrees", "agrees", "agrees"]
    assert len(coder.requests) == 2


def test_the_coder_is_not_asked_about_a_solution_without_an_answer(sandbox):
    coder = Coder({"": "print(18)"})
    [checked] = check(coder, [(PROBLEM, "Well.", None)], sandbox)
    assert checked == Check("unanswered")
    assert coder.requests == []


def test_a_solution_that_leaves_no_room_is_counted_and_not_asked_about(sandbox):
    coder = Coder({"": "print(18)"}, max_length=40)
    [checked] = check(coder, [(PROBLEM, "so " * 50, "18")], sandbox)
    assert (checked.result, checked.program, checked.token_ids) == ("too_long", None, ())
    assert checked.prompt_length > 40
    assert coder.requests == []


def test_a_program_gets_the_room_that_its_prompt_leaves(sandbox):
    coder = Coder({"": "print(18)"}, max_length=100)
    [checked] = check(coder, [(PROBLEM, "3 * 6 = 18", "18")], sandbox)
    assert coder.requests[0].max_new_tokens == 100 - checked.prompt_length


def test_a_chat_is_refused_by_a_coder_without_a_template(sandbox):
    with pytest.raises(CtmError, match="no chat template"):
        check(Coder({"": ""}), [(PROBLEM, "18", "18")], sandbox, chat=True)


def test_results_are_counted_by_name():
    found = counts([Check("agrees"), Check("silent"), Check("agrees")])
    assert found == dict.fromkeys(RESULTS, 0) | {"agrees": 2, "silent": 1}


def test_the_filters_figures_by_hand():
    """p: two of four right; one right and one wrong agree: both are kept. q: one of two right, none
    agrees: both are kept. r: one of two right, the wrong one agrees and is kept, r is lost."""
    p = filter_counts([(True, True), (True, False), (False, True), (False, False)])
    q = filter_counts([(True, False), (False, False)])
    r = filter_counts([(True, False), (False, True)])
    figures = filter_figures(p + q + r)
    assert (figures.problems, figures.solutions, figures.fallbacks) == (3, 8, 1)
    assert figures.agreeing == 3 / 8
    assert figures.kept == 5 / 8
    assert figures.accuracy == 4 / 8
    assert figures.precision == 2 / 5
    assert figures.recall == 2 / 4
    assert figures.recall_lost == 1 / 3


def test_nothing_has_no_shares():
    figures = filter_figures(Counter())
    assert (figures.problems, figures.accuracy, figures.recall_lost) == (0, None, None)


CHECKS = st.lists(st.sampled_from(RESULTS).map(Check), min_size=1, max_size=12)
PROBLEMS = st.lists(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=10), max_size=3
)


def filtered(problems):
    """The figures of problems, each a list of (the solution is right, its program agrees)."""
    return filter_figures(sum(map(filter_counts, problems), Counter()))


@given(CHECKS)
def test_those_that_agree_are_kept_and_all_where_none_does(checks):
    kept = [c for c, is_kept in zip(checks, keep(checks), strict=True) if is_kept]
    assert kept == ([c for c in checks if c.agrees] or checks)


@given(PROBLEMS)
def test_the_figures_are_those_of_what_is_kept(problems):
    """The figures count what `keep` keeps, problem by problem."""
    kept = []
    for own in problems:
        chosen = keep([Check("agrees" if agrees else "silent") for _, agrees in own])
        kept += [right for (right, _), is_kept in zip(own, chosen, strict=True) if is_kept]
    figures = filtered(problems)
    assert figures.kept == (len(kept) / sum(map(len, problems)) if problems else None)
    assert figures.precision == (sum(kept) / len(kept) if problems else None)


@given(PROBLEMS)
def test_where_every_right_solution_agrees_the_filter_loses_none_and_can_only_help(problems):
    figures = filtered([[(right, agrees or right) for right, agrees in own] for own in problems])
    if problems:
        assert figures.precision >= figures.accuracy
        assert figures.recall in (1.0, None)
        assert figures.recall_lost in (0.0, None)


CODE = "def solve(a, b):\n    c = a * b\n    return c"


def test_a_description_is_the_first_paragraph_that_the_model_writes():
    engine = Coder({CODE: " Multiply a by b.\n\nQuestion: another"})
    assert describe(engine, [(PROBLEM, CODE)]) == ["Multiply a by b."]
    prompt = engine.decode(engine.requests[0].prompt_ids)
    assert prompt == f"Question: {PROBLEM.question}\nAnswer:\n{fenced(CODE)}\n\n" + (
        "Step by step, the program does this:"
    )


def test_a_program_that_leaves_no_room_is_not_described():
    assert describe(Coder({}, max_length=10), [(PROBLEM, CODE)]) == [""]


def test_a_verifier_reads_the_program_and_its_description():
    assert with_description(CODE, "It multiplies.") == (
        f"```python\n{CODE}\n```\n\nStep by step, the program does this: It multiplies."
    )
    assert with_description(CODE, "") == f"```python\n{CODE}\n```"
