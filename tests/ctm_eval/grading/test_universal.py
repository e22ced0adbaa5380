"""No answer is right for every gold: fifty forms of each kind of attack, and a short hunt."""

import sys
from itertools import islice, product
from pathlib import Path

import pytest
from conftest import DATA

from ctm_eval.grading import Equality, matches

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "benchmarks"))

import universal  # noqa: E402

FILES = [DATA / "math-500" / "test.jsonl", DATA / "openai-gsm8k" / "test.jsonl"]
BASES = ("2", "3", "7", "10", r"\pi", "e")
SIZES = ("700", "2021", "4000", "5000", "10^4", "10^6", "10^{10}", "100!", "2^{64}", "9^{9^9}")

KINDS = {
    "huge powers and their roots": (
        rf"\sqrt[{n}]{{{b}^{{{s}}}+1}}" for n, b, s in product((2, 3, 2021), BASES, SIZES)
    ),
    "tiny values": (
        rf"\frac{{1}}{{\sqrt{{{b}^{{{s}}}+{k}}}}}" for k, b, s in product((0, 1), BASES, SIZES)
    ),
    "exponentials of tiny values": (
        rf"{b}^{{{c}^{{-{s}}}}}" for b, c, s in product(("7919", "e"), BASES, SIZES)
    ),
    "zero times the huge": (
        rf"7919.5+0\cdot\sqrt{{{b}^{{{s}}}}}{t}" for b, s, t in product(BASES, SIZES, ("", "x"))
    ),
    "zero times infinity": (
        f"{z}{d}{i}" for z, d, i in product(("0", "(1-1)", r"0^{5}", r"\sin 0", "0x"),
                                            (r"\cdot ", r"\times ", "*", "/", "^"),
                                            (r"\infty", r"\frac{1}{0}", r"(-\infty)"))
    ),
    "sets of everything": (
        f"{a}{b}{c}" for a, b, c in product(
            (r"\{x \mid ", r"\{n : ", r"x : ", r"\forall x, ", r"\exists n, "),
            ("x=x", "n=n", r"x \in \mathbb{R}", r"n \ge 0", "1=1", "0<1", r"\text{any}", r"x \ne x+1",
             r"\text{true}", "x^2 \\ge 0"), (r"\}",))
    ),
    "wide intervals": (
        f"{o}{a}, {b}{c}" for o, a, b, c in product("[(", ("-10^{9}", r"-\infty", "-7919"),
                                                    ("10^{9}", r"\infty", "7919"), "])", )
        if a != r"-\infty" or b != r"\infty"
    ),
    "conjunctions": (
        rf"\text{{{a} {w} {b}}}" for a, w, b in product(
            ("A", "yes", "east", "5"), ("or", "and", "nor", "but not", "either", "xor", "versus"),
            ("C", "no", "west", "7"))
    ),
    "units alone": (
        f"{a}{b}" for a, b in product((rf"\text{{{u}}}" for u in "units|unit|square units|all|cm|any"
                                       "|dollars|answer|correct|true|value|number".split("|")),
                                      ("", r"^2", r"^3", r"\cdot 1", "?"))
    ),
    "strange characters": (
        a + b + c for a, b, c in product("½√²−∞π", "\u200b\u202e\u0305１٣Ⅷ", ("", "\u2063", "٫", "$"))
        if a + b not in ("π\u200b", "π\u202e", "½\u200b", "½\u202e", "∞\u200b", "∞\u202e")
    ),
}  # fmt: skip


# Golds of the labelled tables that these forms do equal, or equal by a convention of docs/grading.md.
EQUAL = {
    (r"\{x \mid x \in \mathbb{R}\}", r"\mathbb{R}"),
    (r"\{n : n \ge 0\}", r"[0, \infty)"),
    (r"\{n : n \ge 0\}", r"[0,\infty)"),
    (r"\text{A or C}", r"\text{A, C}"),
    (r"\text{A and C}", r"\text{A, C}"),
    (r"\text{true}", r"\mathrm{True}"),
    *((half, ratio) for half in ("½１", "½１\u2063") for ratio in ("1:2", "1 : 2")),
    ("√１", "1 hour"),
    ("√１\u2063", "1 hour"),
}


@pytest.fixture(scope="module")
def golds():
    return universal.golds_of([path for path in FILES if path.exists()])


@pytest.mark.parametrize("kind", KINDS)
def test_fifty_forms_are_refused_for_every_gold(kind, golds):
    forms = list(islice(KINDS[kind], 50))
    pairs = [(form, gold) for form in forms for gold in golds if (form, gold) not in EQUAL]
    accepted = [(form, gold) for form, gold in pairs if matches(gold, form)]
    wrong = [pair for pair in accepted if universal.judge(pair[1], pair[0]) is not True]
    assert wrong == []


def test_the_judge_knows_a_value_from_another():
    assert universal.judge("9", r"(2^{2021})^{1/2021}") is False
    assert universal.judge(r"2\sqrt{2}", r"\sqrt{8}") is True
    assert universal.judge("x+1", "1+x") is True


def test_the_judge_knows_0_from_a_value_that_no_digits_show():
    assert universal.judge("0", r"\sqrt{\tan(\pi)}") is True
    assert universal.judge("0", r"10^{-3000}") is False
    assert universal.judge("0", r"\sqrt{2}^{-9000}") is False


def test_the_hunt_reports_an_answer_that_every_gold_takes(monkeypatch):
    monkeypatch.setattr(universal, "matches", lambda gold, answer: Equality(True, "text"))
    found = universal.hunt([str(n) for n in range(40)], 1.0, seed=0)
    assert found.answers and found.wrong and found.champion[0] == 40


def test_the_hunt_counts_what_no_judge_can_decide(monkeypatch):
    """A reader who sees none wrong must see how many of them were looked at."""
    monkeypatch.setattr(universal, "matches", lambda gold, answer: Equality(True, "text"))
    monkeypatch.setattr(universal, "judge", lambda gold, answer: None)
    monkeypatch.setattr(universal, "answers", lambda golds, seed: iter(["one", "two"]))
    found = universal.hunt(["a", "b", "one"], 60.0, seed=0)
    assert (found.answers, found.judged, found.unjudged, found.wrong) == (2, 0, 5, [])


def test_a_short_hunt_finds_nothing(golds):
    found = universal.hunt(golds[:400], 15.0, seed=2026)
    assert found.answers > 20 and found.wrong == []
