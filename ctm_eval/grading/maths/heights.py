"""How near to zero an expression can be without being zero.

`separation` is the bound of Burnikel, Funke, Mehlhorn, Schirra and Schmitt (BFMSS, 'A separation
bound for real algebraic expressions', 2001): with E = U/L, both algebraic integers, u and l bounds
on all their conjugates and D the product of the degrees of all roots in E, either E = 0 or
|E| >= 1/(u^(D-1) l). It makes a zero test of an interval around E an exact one.
All sizes here are binary logarithms.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

from ctm_eval.grading.maths.rationals import rational
from ctm_eval.grading.maths.tree import Tree

MAX_DEGREE = 4_096


class Height(NamedTuple):
    """Bounds on numerator and denominator, the roots that occur, and the degree in variables."""

    top: float
    bottom: float
    roots: frozenset[tuple[int, object]] = frozenset()
    variables: float = 0.0

    @property
    def degree(self) -> int:
        """The degree of the field that the roots generate, at most; 0 for more than MAX_DEGREE."""
        product = 1
        for degree, _ in self.roots:
            product *= degree
            if product > MAX_DEGREE:
                return 0
        return product


def separation(tree: Tree) -> float | None:
    """Return b such that a constant is zero or at least 2^-b; None if it may be transcendental."""
    bound = height(tree, formal=False)
    if bound is None or not bound.degree:
        return None
    return (bound.degree - 1) * bound.top + bound.bottom


def norm(tree: Tree) -> float | None:
    """Return a bound on the norm of a numerator, with variables, π and e as indeterminates."""
    bound = height(tree, formal=True)
    if bound is None or not bound.degree:
        return None
    return bound.degree * (bound.top + math.log2(1 + bound.variables))


def height(tree: Tree, formal: bool) -> Height | None:
    """Return the bounds of an expression, None if it is none of algebraic numbers.

    `formal` takes variables, π and e for indeterminates: the bounds are then of coefficients.
    """
    exact = rational(tree)
    if exact is not None:
        return Height(_log2(exact.numerator), _log2(exact.denominator))
    op, args = tree
    if op == "const" and args[0] == "i":
        return Height(0.0, 0.0, frozenset({(2, "i")}))
    if op == "sym" or op == "const" and args[0] in ("pi", "e"):
        return Height(0.0, 0.0, variables=1.0) if formal else None
    if op == "fn":
        return _function(tree, formal)
    if op == "pow":
        power = rational(args[1])
        return None if power is None else _power(args[0], power, formal)
    if op == "root":
        degree = rational(args[0])
        return _power(args[1], 1 / degree, formal) if degree else None
    if op not in ("add", "mul", "div", "neg", "percent", "abs", "degree"):
        return None
    if op == "degree" and not formal:
        return None
    parts = [height(arg, formal) for arg in args]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    roots = frozenset().union(*(part.roots for part in known))
    variables = sum(part.variables for part in known)
    if op == "add":
        bottom = sum(part.bottom for part in known)
        top = max(part.top + bottom - part.bottom for part in known) + math.log2(len(known))
        return Height(top, bottom, roots, variables)
    if op == "mul":
        return Height(
            sum(part.top for part in known), sum(part.bottom for part in known), roots, variables
        )
    first = known[0]
    if op == "div":
        second = known[1]
        return Height(first.top + second.bottom, first.bottom + second.top, roots, variables)
    if op == "percent":
        return Height(first.top, first.bottom + math.log2(100), roots, variables)
    if op == "degree":
        return Height(first.top, first.bottom + math.log2(180), roots, variables + 1)
    if op == "abs":  # the square root of a number times its conjugate
        conjugates = frozenset((degree, ("conjugate", key)) for degree, key in roots)
        square = Height(2 * first.top, 2 * first.bottom, roots | conjugates, 2 * variables)
        return None if formal else _root(square, 2, tree)
    return first


def pi_multiple(tree: Tree) -> Fraction | None:
    """Return r for an expression that is plainly r·π: 60°, 2π/3, -π/4; None for any other."""
    op, args = tree
    if tree == _PI:
        return Fraction(1)
    if op == "degree":
        exact = rational(args[0])
        return None if exact is None else exact / 180
    if op == "neg":
        inside = pi_multiple(args[0])
        return None if inside is None else -inside
    if op == "div":
        inside, by = pi_multiple(args[0]), rational(args[1])
        return inside / by if inside is not None and by else None
    if op == "mul":
        product, found = Fraction(1), 0
        for arg in args:
            exact = rational(arg)
            if exact is None:
                exact, found = pi_multiple(arg), found + 1
            if exact is None:
                return None
            product *= exact
        return product if found == 1 else None
    if op == "add":
        parts = [pi_multiple(arg) for arg in args]
        return None if None in parts else sum((p for p in parts if p is not None), Fraction(0))
    return None


def _function(tree: Tree, formal: bool) -> Height | None:
    name, *arguments = tree.args
    if name in ("f", "g", "h") and formal:
        inside = height(arguments[0], formal)
        return inside and Height(inside.top + inside.bottom, 0.0, inside.roots, 1.0)
    turn = pi_multiple(arguments[0]) if name in _TRIGONOMETRIC and len(arguments) == 1 else None
    if turn is None:
        return None
    order = 2 * turn.denominator  # sines and cosines are (z ± 1/z)/2 or /2i of a root of unity
    if order > MAX_DEGREE:
        return None
    size = 1.0 if name in ("sin", "cos") else 2.0
    return Height(size, size, frozenset({(order, "unity"), (2, "i")}))


def _power(base: Tree, power: Fraction, formal: bool) -> Height | None:
    below = height(base, formal)
    if below is None or abs(power.numerator) > 10**9 or power.denominator > MAX_DEGREE:
        return None
    if power.denominator > 1:
        if formal and below.variables:
            return None
        below = _root(below, power.denominator, base)
    times = abs(power.numerator)
    top, bottom = (below.top, below.bottom) if power > 0 else (below.bottom, below.top)
    return Height(top * times, bottom * times, below.roots, below.variables * times)


def _root(inside: Height, degree: int, key: object) -> Height:
    top, bottom = inside.top, inside.bottom
    if top >= bottom:
        top = (top + (degree - 1) * bottom) / degree
    else:
        bottom = ((degree - 1) * top + bottom) / degree
    return Height(top, bottom, inside.roots | {(degree, key)}, inside.variables)


def _log2(n: int) -> float:
    return float(n.bit_length())


_PI = Tree("const", ("pi",))
_TRIGONOMETRIC = frozenset("sin cos tan cot sec csc".split())
