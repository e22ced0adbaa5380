"""Exact values of constant expressions, of bounded size."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from operator import mul

from ctm_eval.grading.maths.tree import EXPRESSIONS, Tree

MAX_BITS = 8_192
"""The longest exact integer that is built."""


def rational(tree: Tree) -> Fraction | None:
    """Return the exact value of a rational constant of bounded size, None for anything else."""
    op, args = tree
    if op == "num":
        return args[0]
    if op not in EXPRESSIONS or op in ("sym", "const", "pm", "mp", "degree"):
        return None
    if op == "fn" and args[0] not in _OF_SEVERAL:
        return None
    values: list[Fraction] = []
    for arg in args:
        if not isinstance(arg, Tree):
            continue
        value = rational(arg)
        if value is None or bits(value) > MAX_BITS:
            return None
        values.append(value)
    if op == "fn":
        if any(value.denominator != 1 for value in values) and args[0] in ("gcd", "lcm"):
            return None
        return Fraction(_OF_SEVERAL[args[0]](*values)) if len(values) > 1 else None
    if op == "add":
        return _bounded_sum(values)
    if op == "mul":
        return reduce(mul, values) if sum(map(bits, values)) <= MAX_BITS else None
    if op == "div":
        return values[0] / values[1] if values[1] else None
    if op == "neg":
        return -values[0]
    if op == "percent":
        return values[0] / 100
    if op == "abs":
        return abs(values[0])
    if op == "floor":
        return Fraction(math.floor(values[0]))
    if op == "ceil":
        return Fraction(math.ceil(values[0]))
    if op == "pow":
        return rational_power(*values)
    if op == "root":
        degree, radicand = values
        return rational_power(radicand, 1 / degree) if degree else None
    if op == "fact":
        n = values[0]
        return Fraction(math.factorial(int(n))) if n.denominator == 1 and 0 <= n <= 1000 else None
    if op == "binom":
        n, k = values
        whole = n.denominator == k.denominator == 1 and k >= 0 and 0 <= n <= 2000
        return Fraction(math.comb(int(n), int(k))) if whole else None
    return None


def bits(value: Fraction) -> int:
    """Return how many bits a rational takes to write."""
    return value.numerator.bit_length() + value.denominator.bit_length()


def _bounded_sum(values: list[Fraction]) -> Fraction | None:
    total = Fraction(0)
    for value in values:
        total += value
        if bits(total) > MAX_BITS:
            return None
    return total


def rational_power(base: Fraction, exponent: Fraction) -> Fraction | None:
    """Return a power if it is rational and short; an odd root of a negative number is negative."""
    if exponent.denominator == 1:
        power = int(exponent)
        if power < 0 and not base or abs(power) * bits(base) > MAX_BITS and abs(base) not in (0, 1):
            return None
        return base**power if abs(base) != 1 else base ** (power % 2)
    degree = exponent.denominator
    if degree > 64 or bits(base) > 1024 or base < 0 and degree % 2 == 0:
        return None
    top, bottom = _whole_root(abs(base.numerator), degree), _whole_root(base.denominator, degree)
    if top is None or bottom is None:
        return None
    root = Fraction(top if base >= 0 else -top, bottom)
    return rational_power(root, Fraction(exponent.numerator))


def _whole_root(n: int, degree: int) -> int | None:
    """Return the root of n where it is whole, by Newton's method on integers."""
    if degree == 2 or n == 0:
        root = math.isqrt(n)
    else:
        root = 1 << -(-n.bit_length() // degree)
        while (step := ((degree - 1) * root + n // root ** (degree - 1)) // degree) < root:
            root = step
    return root if root**degree == n else None


_OF_SEVERAL: dict[str, Callable[..., Fraction | int]] = {
    "gcd": lambda *values: math.gcd(*map(int, values)),
    "lcm": lambda *values: math.lcm(*map(int, values)),
    "min": min,
    "max": max,
}
