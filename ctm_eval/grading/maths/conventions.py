"""Conventions that depend on which side is the gold."""

from __future__ import annotations

import re
from fractions import Fraction

from ctm_eval.grading.maths import equations, identity, numeric, units
from ctm_eval.grading.maths.exact_numbers import Number
from ctm_eval.grading.maths.rationals import rational
from ctm_eval.grading.maths.tree import EXPRESSIONS, Tree, number, symbols


def of_gold(gold: Number, answer: Tree) -> str | None:
    """Return the convention by which an answer that is not equal to the gold still counts.

    A gold such as 0.33 is a rounded value when the exact answer is no decimal fraction. Where the
    gold is a bare number, `x + y = 5` answers a question for x + y.
    """
    if answer.op == "rel":
        value = equations.named_combination(answer)
        same = value is not None and identity.same(number(gold.value), value)
        return "a named combination" if same else None
    if gold.places and is_rounded(gold, answer):
        return "gold is rounded"
    return None


def with_metres(answer: str) -> str | None:
    """Return an answer that ends in `m^2` or `m^3` with that as a unit, None for any other.

    Where the gold is a number, the m of `10 m^2` can only be the metre; a blank has to stand before it.
    """
    found = _METRES.fullmatch(answer.strip().strip("$")) if len(answer) < 80 else None
    return rf"{found[1]}\text{{ m}}^{found[2]}" if found else None


def is_rounded(gold: Number, answer: Tree) -> bool:
    """Return whether a decimal gold is the rounded value of an exact answer without one.

    Two significant digits behind the point, or three in all, are needed: 0.33 for 1/3, not 0.3.
    """
    if answer.op == "quantity" and gold.unit is not None:
        one, other = units.read(gold.unit), units.read(answer.args[1])
        if one is not None and other is not None and units.ratio(one, other) != 1:
            return False
    if answer.op == "quantity" or answer.op in ("percent", "degree"):
        answer = answer.args[0]
    assert gold.places is not None
    digits = len(str(abs(gold.top)))
    if (
        digits < 2
        or digits < 3
        and gold.places < 2
        or answer.op not in EXPRESSIONS
        or symbols(answer)
    ):
        return False
    exact = rational(answer)
    if exact is not None:
        if _terminates(exact.denominator):
            return False
        return abs(exact - gold.value) * 2 * 10**gold.places <= 1
    return numeric.is_near(answer, gold.value, Fraction(1, 2 * 10**gold.places))


_METRES = re.compile(r"(-?[\d.,]+)(?:\s|~|\\,|\\ )+m\^\{?([23])\}?")


def _terminates(denominator: int) -> bool:
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator == 1
