"""Powers too long to write, compared by their prime factors: 100^(5·10^9) is 10^(10^10).

A positive number made of rationals by products, quotients and powers is a product of primes to
exponents that are expressions themselves; by unique factorisation two whole towers are equal just
when the exponents of every prime are.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from ctm_eval.grading.maths.rationals import rational
from ctm_eval.grading.maths.tree import ZERO, Tree, number

LARGEST_FACTOR = 1_000
Factors = dict[int, Tree]


def same(first: Tree, second: Tree, equal: Callable[[Tree, Tree], bool | None]) -> bool | None:
    """Return whether two towers are equal; None if either is no product of prime powers.

    `equal` compares exponents, which have to be rational numbers of any size.
    """
    one, other = _factors(first), _factors(second)
    if one is None or other is None:
        return None
    results = [equal(one.get(p, ZERO), other.get(p, ZERO)) for p in {*one, *other}]
    return True if all(results) else None


def _factors(tree: Tree) -> Factors | None:
    exact = rational(tree)
    if exact is not None:
        return _prime_powers(exact)
    op, args = tree
    if op == "pow":
        inside = _factors(args[0])
        if inside is None:
            return None
        return {prime: _product(power, args[1]) for prime, power in inside.items()}
    if op == "mul" or op == "div":
        total: Factors = {}
        for index, arg in enumerate(args):
            part = _factors(arg)
            if part is None:
                return None
            for prime, power in part.items():
                signed = Tree("neg", (power,)) if op == "div" and index else power
                total[prime] = _sum(total[prime], signed) if prime in total else signed
        return total
    return None


def _prime_powers(value: Fraction) -> Factors | None:
    if value <= 0:
        return None
    found: Factors = {}
    for part, sign in ((value.numerator, 1), (value.denominator, -1)):
        for prime in _PRIMES:
            count = 0
            while part % prime == 0:
                part, count = part // prime, count + 1
            if count:
                found[prime] = number(sign * count)
        if part >= LARGEST_FACTOR**2:
            return None
        if part > 1:
            found[part] = number(sign)
    return found


def _product(power: Tree, exponent: Tree) -> Tree:
    return exponent if power == number(1) else _short(Tree("mul", (power, exponent)))


def _sum(first: Tree, second: Tree) -> Tree:
    return _short(Tree("add", (first, second)))


def _short(tree: Tree) -> Tree:
    exact = rational(tree)
    return tree if exact is None else number(exact)


_PRIMES = tuple(
    n for n in range(2, LARGEST_FACTOR) if all(n % k for k in range(2, int(n**0.5) + 1))
)
