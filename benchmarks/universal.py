"""The hunt: one answer that is right for every gold, which a policy under training would find.

    python benchmarks/universal.py --seconds 1800 --data-file ../shared/data/math-500/test.jsonl
    python benchmarks/universal.py --quick                                 # half a minute

Draws answers (magnitudes from 10^-5000 to 10^5000, nested roots and powers, zero times infinity,
towers, words with conjunctions, sets, intervals, units, Unicode) and grades each against *every*
gold through `matches`. Golds are those of the files, or pocket's and the labelled pairs'. An
answer that is accepted is put to an independent judge: mpmath at 2,000 digits for constants, sympy
for formulas, and for everything else the rule that an answer is right for few golds (it lists them).
Prints each answer accepted for a gold that it does not equal, how many acceptances no judge could
decide, and the answer with the most golds; ends with 1 if there was any of the first.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from hypothesis import strategies as st  # noqa: E402

from ctm_eval.grading import gold_answer, matches  # noqa: E402
from ctm_eval.grading.maths import text, values  # noqa: E402
from ctm_eval.grading.maths.tree import EXPRESSIONS, Tree, Unreadable, symbols  # noqa: E402

DIGITS = 2_000
MANY = 10
"""An answer that no judge can weigh and that has more golds than these is reported."""


def constants() -> st.SearchStrategy[str]:
    """Expressions of numbers from 10^-5000 to 10^5000: sums, roots, powers, functions of them."""
    exponents = st.sampled_from([1, 2, 3, 7, 10, 16, 30, 100, 300, 700, 1000, 2021, 4000, 5000])
    small = st.integers(0, 12).map(str)
    large = st.builds(lambda b, k, s: f"{b}^{{{s}{k}}}", st.sampled_from("2 3 10".split()), exponents,
                      st.sampled_from(["", "-"]))  # fmt: skip
    leaves = st.one_of(
        small, small, large, st.sampled_from([r"\pi", "e", "i", "0", "1", "0.1", "100!"])
    )

    def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        pair = st.tuples(inner, inner)
        return st.one_of(
            inner.map(lambda a: rf"\sqrt{{{a}}}"),
            st.builds(lambda n, a: rf"\sqrt[{n}]{{{a}}}", st.integers(2, 2021), inner),
            pair.map(lambda p: rf"\frac{{{p[0]}}}{{{p[1]}}}"),
            pair.map(lambda p: f"({p[0]})+({p[1]})"),
            pair.map(lambda p: f"({p[0]})-({p[1]})"),
            pair.map(lambda p: rf"({p[0]})\cdot({p[1]})"),
            pair.map(lambda p: f"({p[0]})^{{{p[1]}}}"),
            inner.map(lambda a: rf"0\cdot({a})"),
            inner.map(lambda a: rf"({a})^0"),
            inner.map(lambda a: f"e^{{{a}}}"),
            st.builds(lambda f, a: rf"\{f}({a})",
                      st.sampled_from("sin cos tan ln arctan tanh sinh".split()), inner),
            inner.map(lambda a: rf"\lfloor {a} \rfloor"),
            inner.map(lambda a: rf"|{a}|"),
        )  # fmt: skip

    return st.recursive(leaves, grow, max_leaves=6)


def near(golds: list[str]) -> st.SearchStrategy[str]:
    """A gold with something done to it that keeps its value nearly, or its text nearly."""
    gold = st.sampled_from(golds)
    return st.one_of(
        st.builds(lambda g, c: f"({g})+({c})", gold, constants()),
        st.builds(lambda g, c: rf"({g})\cdot({c})", gold, constants()),
        st.builds(lambda g, w: rf"{g}\text{{ {w}}}", gold, st.sampled_from(WORDS)),
        st.builds(lambda g, h, w: rf"{g} \text{{ {w} }} {h}", gold, gold, st.sampled_from(JOINTS)),
        st.builds(lambda g, h, w: f"{g}{w}{h}", gold, gold, st.sampled_from(SIGNS)),
        st.builds(lambda w, g: f"{w} {g}", st.sampled_from(WORDS), gold),
    )


def structures(golds: list[str]) -> st.SearchStrategy[str]:
    """Sets, intervals, tuples, lists, matrices, choices, units and strange characters."""
    item = st.one_of(
        st.sampled_from(golds), constants(), st.sampled_from(["x", r"\infty", r"-\infty", "n"])
    )
    pair = st.tuples(item, item)
    return st.one_of(
        st.lists(item, max_size=5).map(", ".join),
        st.lists(item, max_size=3).map(lambda i: r"\{" + ", ".join(i) + r"\}"),
        pair.map(lambda p: rf"({p[0]}, {p[1]})"),
        pair.map(lambda p: rf"[{p[0]}, {p[1]}) \cup ({p[1]}, \infty)"),
        pair.map(lambda p: rf"{p[0]} \le x \le {p[1]}"),
        pair.map(lambda p: f"{p[0]} = {p[1]}"),
        pair.map(lambda p: rf"{p[0]} \pm {p[1]}"),
        pair.map(lambda p: rf"{p[0]} \approx {p[1]}"),
        st.sampled_from([r"\mathbb{R}", r"\emptyset", r"\infty", r"0\cdot\infty", r"\infty-\infty", "1/0",
                         "0/0", "0^0", r"x \in \mathbb{R}", "(A) or (B)", "(A) (B) (C) (D)", "any",
                         r"\text{units}", r"\text{all}", "all of the above", "correct", "the answer", "",
                         "{}", r"\boxed{}", "?", "x", "x=x", "*", r"\cdot", r"\ldots", "1..100"]),
        st.lists(st.sampled_from(ODD), min_size=1, max_size=8).map("".join),
    )  # fmt: skip


WORDS = (
    "and a half,tenths,or more,(or 7),not,units,percent,dozen,is wrong,or not,at least,halves,to 7,mod 7,"
    "and,or,cm,kg,dollars,degrees,radians,apples,squared,negative,thirds,twice,times 2,plus 2,million"
).split(",")
JOINTS = [
    "and",
    "or",
    "not",
    "but not",
    "either",
    "to",
    "if",
    "unless",
    "is not",
    "nor",
    "xor",
    "vs",
]
SIGNS = [
    ", ",
    "; ",
    " = ",
    r" \ne ",
    r" \approx ",
    r" \quad ",
    " | ",
    "/",
    r" \cup ",
    " : ",
    "\n",
    r" \\ ",
    "+",
]
ODD = [
    "½", "√", "²", "−", "∞", "π", "×", "°", "\u200b", "\u202e", "１", "٣", "㊀", "Ⅷ", "٫", "\u0305", "(",
    ")", "{", "}", "$", "\\", "^", "_", "0", "1", "x", "A", " ", r"\text", r"\frac", r"\sqrt", "%", "!",
    "'", ",",
]  # fmt: skip


def golds_of(files: list[Path]) -> list[str]:
    """Return the different golds of JSONL files, or pocket's and the labelled pairs'."""
    if files:
        rows = [json.loads(line) for path in files for line in path.read_text().splitlines()]
        return list(dict.fromkeys(gold_answer(str(row["answer"])) for row in rows))
    from ctm_eval.pocket.generator import problems

    table = ROOT / "tests" / "ctm_eval" / "grading" / "pairs.jsonl"
    pairs = [json.loads(line)["gold"] for line in table.read_text().splitlines()]
    pocket = [gold_answer(problem.solution) for problem in problems("test", 200)]
    return list(dict.fromkeys([*pocket, *(g for g in pairs if g.strip() and len(g) < 300)]))


def judge(gold: str, answer: str) -> bool | None:
    """Return whether an answer is its gold by mpmath or sympy, None if neither can say."""
    trees = _tree(gold), _tree(answer)
    if None in trees or any(tree.op not in EXPRESSIONS for tree in trees if tree):
        return None
    first, second = trees
    assert first and second
    if not symbols(first) and not symbols(second):
        import mpmath

        with mpmath.workdps(DIGITS):
            try:
                a, b = _value(first, mpmath), _value(second, mpmath)
                size = max(abs(a), abs(b))
                if a == b or size > mpmath.mpf(10) ** (-DIGITS // 4):
                    return bool(abs(a - b) <= size * mpmath.mpf(10) ** (-DIGITS // 2))
                # What is left of tan(pi), or a number so small: digits cannot tell, sympy may.
            except (ArithmeticError, ValueError, OverflowError, KeyError, MemoryError):
                return None
    import sympy

    from ctm_eval.grading.maths import symbolic

    try:
        a, b = (symbolic._expression(sympy, symbolic._to_json(tree)) for tree in (first, second))
        return bool(sympy.simplify(a - b) == 0)
    except Exception:
        return None


def _tree(written: str) -> Tree | None:
    try:
        return values.read(text.clean(written))
    except Unreadable:
        return None


def _value(tree: Tree, mp: Any) -> Any:
    op, args = tree
    if op == "num":
        return mp.mpf(args[0].numerator) / args[0].denominator
    if op == "const":
        return {"pi": mp.pi, "e": mp.e, "i": mp.mpc(0, 1)}[args[0]] * 1
    if op == "fn":
        name = {"arctan": "atan", "arcsin": "asin", "arccos": "acos"}.get(args[0], args[0])
        return getattr(mp, name)(_value(args[1], mp))
    x = [_value(arg, mp) for arg in args]
    if op in ("pow", "root"):
        base, exponent = x if op == "pow" else (x[1], 1 / x[0])
        if op == "root" and x[0] % 2 == 1 and not mp.im(base) and mp.re(base) < 0:
            return -((-base) ** exponent)
        if base and abs(exponent * mp.log(abs(base), 2)) > 10**7:
            raise OverflowError
        return base**exponent
    if op == "fact":
        return mp.factorial(x[0]) if abs(x[0]) < 3000 else mp.mpf("nan")
    return {
        "add": lambda: sum(x), "mul": lambda: mp.fprod(x), "div": lambda: x[0] / x[1],
        "neg": lambda: -x[0], "abs": lambda: abs(x[0]), "floor": lambda: mp.floor(x[0]),
        "ceil": lambda: mp.ceil(x[0]), "percent": lambda: x[0] / 100, "binom": lambda: mp.binomial(*x),
        "degree": lambda: x[0] * mp.pi / 180,
    }[op]()  # fmt: skip


def answers(golds: list[str], seed: int) -> Iterator[str]:
    """Yield answers without end, the same for the same seed."""
    kinds = st.one_of(constants(), near(golds), structures(golds))
    for turn in range(10**9):
        yield from _batch(kinds, random.Random(f"{seed} {turn}").getrandbits(64))


def _batch(kinds: st.SearchStrategy[str], seed: int) -> list[str]:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    drawn: list[str] = []

    @seeded(seed)
    @settings(max_examples=200, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(kinds)
    def draw(answer: str) -> None:
        drawn.append(answer)

    draw()
    return drawn


@dataclass
class Hunt:
    """What a hunt has found: `champion` is the answer with the most golds, and how many it has.

    `unjudged` counts acceptances of another text that neither mpmath nor sympy could decide (text, units,
    choices): about these the hunt says nothing. `conventions` counts those that differ by a stated rule.
    """

    answers: int = 0
    wrong: list[str] = field(default_factory=list)
    champion: tuple[int, str] = (0, "")
    judged: int = 0
    unjudged: int = 0
    conventions: int = 0


def hunt(golds: list[str], seconds: float, seed: int) -> Hunt:
    """Grade drawn answers against all golds for so many seconds."""
    start, found = time.monotonic(), Hunt()
    for answer in answers(golds, seed):
        if found.answers and time.monotonic() - start > seconds:
            break
        found.answers += 1
        accepted = [gold for gold in golds if matches(gold, answer)]
        found.champion = max(found.champion, (len(accepted), answer))
        for gold in (gold for gold in accepted[:20] if gold != answer):
            says = judge(gold, answer)
            if says is None:
                found.unjudged += 1
            elif not says and matches(gold, answer).convention:
                found.conventions += 1
            else:
                found.judged += 1
                if not says:
                    found.wrong.append(f"{answer!r} is accepted for {gold!r}")
        if len(accepted) > MANY:
            found.wrong.append(f"{answer!r} is accepted for {len(accepted)} golds: {accepted[:12]}")
    return found


def main(arguments: argparse.Namespace) -> int:
    golds = golds_of(arguments.data_file)
    seconds = 30.0 if arguments.quick else arguments.seconds
    found = hunt(golds, seconds, arguments.seed)
    (most, answer), count = found.champion, found.answers
    print(f"{count:,} answers against {len(golds):,} golds: {count * len(golds):,} comparisons")
    print(
        f"accepted as another text: {found.judged:,} judged, {found.conventions:,} by a convention, "
        f"{found.unjudged:,} that neither mpmath nor sympy can judge"
    )
    print(f"the answer with the most golds has {most}: {answer[:200]!r}")
    for line in found.wrong:
        print("WRONG", line[:400])
    return 1 if found.wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-file", type=Path, nargs="*", default=[], help="JSONL with 'answer'")
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="half a minute")
    sys.exit(main(parser.parse_args()))
