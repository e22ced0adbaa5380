"""Whether two expressions have the same value, certified by balls of growing precision.

Two constants are different when the ball around their difference does not hold zero. They are equal
when it still does below the *separation bound* of their difference (`heights`), which is a proof;
for values that may be transcendental, when it does within a relative tolerance of 2^-TOLERANCE_BITS
and as much finer as the sizes of all numbers in them ask for. What needs more than the precision
that is affordable stays undecided. Functions are compared at fixed points, near and far.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from ctm_eval.grading.maths import balls
from ctm_eval.grading.maths.balls import Ball, OutOfBounds
from ctm_eval.grading.maths.heights import separation
from ctm_eval.grading.maths.rationals import bits, rational
from ctm_eval.grading.maths.tree import Tree, symbols, walk

MAX_NODES = 1_500
FIRST_BITS = 128
TOLERANCE_BITS = 1_000
"""Two values whose difference is not known to be zero are equal within 2^-this of their size."""
MARGIN = 4
"""Times the sizes in the expressions, which the tolerance is finer by."""
MAX_BITS = 2**17


def same(first: Tree, second: Tree) -> bool | None:
    """Return whether two expressions agree as functions of real variables, None if undecided.

    They are compared where both are defined: a point where one of them is not real is left out,
    unless the imaginary unit is written in them.
    """
    nodes = [*walk(first), *walk(second)]
    if len(nodes) > MAX_NODES:
        return None
    names = sorted(symbols(first) | symbols(second))
    if not names:
        return _same_at(first, second, {}, nodes, False).equal
    real_only = not any(node.op == "const" and node.args[0] == "i" for node in nodes)
    agreed = defined_on_one_side = 0
    for point in _points(tuple(names), nodes):
        found = _same_at(first, second, point, nodes, real_only)
        if found.defined == 2:
            if not found.equal:
                return found.equal
            agreed += 1
        defined_on_one_side += found.defined == 1
    if agreed:
        return True if agreed > 1 else None
    return False if defined_on_one_side > 1 else None


class _Found(NamedTuple):
    """What two expressions are at a point: whether equal, and how many of them are defined."""

    equal: bool | None
    defined: int


def _same_at(
    first: Tree, second: Tree, at: dict[str, Fraction], nodes: list[Tree], real_only: bool
) -> _Found:
    precision, most = FIRST_BITS, _affordable(nodes)
    proof, tolerance = None, 0.0
    while True:
        values = [_value(tree, at, precision, real_only) for tree in (first, second)]
        if POLE in values and not at:
            return _Found(None if values == [POLE, POLE] else False, 2)
        known = [value for value in values if isinstance(value, Ball)]
        if None in values:  # out of bounds
            return _Found(None, 2 if not at else 0)
        if len(known) < 2:
            return _Found(None, len(known))
        try:
            gap = balls.gap(known[0], known[1], precision)
        except OutOfBounds:
            return _Found(None, 2)
        if gap.apart:
            return _Found(False, 2)
        if not tolerance:
            tolerance = TOLERANCE_BITS + MARGIN * sum(map(bits, (*at.values(), *_literals(nodes))))
            proof = None if at else separation(Tree("add", (first, Tree("neg", (second,)))))
        if proof is not None and proof < most - 64:
            needed = proof
            if gap.width < -proof:
                return _Found(True, 2)
        else:
            extent = max(known[0].extent, known[1].extent)
            needed = max(tolerance, TOLERANCE_BITS + MARGIN * extent)
            if needed < most and gap.relative < -needed:
                return _Found(True, 2)
        if precision >= most:
            return _Found(None, 2)
        precision = min(most, max(precision * 4, int(needed) + 128 if needed < most else 0))


def _value(
    tree: Tree, at: dict[str, Fraction], precision: int, real_only: bool
) -> Ball | str | None:
    """Return a value; POLE for a division by zero, NOT_REAL, None for what cannot be computed."""
    try:
        ball = balls.evaluate(tree, at, precision)
    except ZeroDivisionError:
        return POLE
    except (OutOfBounds, OverflowError, ValueError):
        return None
    return NOT_REAL if real_only and balls.is_real(ball) is False else ball


POLE, NOT_REAL = "pole", "not real"


def _affordable(nodes: list[Tree]) -> int:
    """Return the most bits that a comparison may compute with: fewer for what is slow."""
    slow = sum(node.op in ("fn", "pow", "root", "const", "fact", "binom") for node in nodes)
    if slow <= 8:
        return MAX_BITS
    return MAX_BITS // 4 if slow <= 40 else MAX_BITS // 32


def _literals(nodes: list[Tree]) -> Iterator[Fraction]:
    for node in nodes:
        if node.op == "num":
            yield node.args[0]
        elif node.op == "pow":
            exponent = rational(node.args[1])
            if exponent is not None and 0 < abs(exponent) < 2**20:
                size = sum(bits(n.args[0]) for n in walk(node.args[0]) if n.op == "num")
                yield Fraction(2) ** min(int(size * abs(exponent)), 2 * MAX_BITS)


def real_value(tree: Tree) -> float | None:
    """Return a constant as a float (±inf for infinity), None if it has no real value."""
    if tree.op == "const" and tree.args[0] == "inf":
        return float("inf")
    if tree.op == "neg" and tree.args[0] == Tree("const", ("inf",)):
        return float("-inf")
    exact = rational(tree)
    if exact is not None:
        return float(exact) if abs(exact) < 10**300 else None
    ball = _real_ball(tree, FIRST_BITS)
    return None if ball is None else float(ball.value.real.mid())


def is_near(tree: Tree, centre: Fraction, radius: Fraction) -> bool:
    """Return whether a constant is certainly real and within a distance of a rational."""
    precision = FIRST_BITS + bits(centre) + bits(radius)
    ball = _real_ball(tree, precision)
    return ball is not None and balls.is_near(ball, centre, radius, precision) is True


def is_less(first: Tree, second: Tree) -> bool | None:
    """Return whether one real constant is less than another, None if that is not certain."""
    below = Tree("add", (second, Tree("neg", (first,))))
    exact = rational(below)
    if exact is not None:
        return exact > 0
    for precision in (FIRST_BITS, 16 * FIRST_BITS, 128 * FIRST_BITS):
        ball = _real_ball(below, precision)
        if ball is None:
            return None
        if not ball.value.contains(0):
            return bool(ball.value.real > 0)
    return None


def _real_ball(tree: Tree, precision: int) -> Ball | None:
    if symbols(tree) or len([*walk(tree)]) > MAX_NODES:
        return None
    value = _value(tree, {}, precision, True)
    return value if isinstance(value, Ball) and value.value.real.is_finite() else None


def _points(names: tuple[str, ...], nodes: list[Tree]) -> Iterator[dict[str, Fraction]]:
    """Yield values for the variables: near zero, then wider, then beyond every number written.

    Where `|x - 10^9|` or a floor hides a difference, a point on its far side shows it.
    """
    for trial in range(len(_RANGES)):
        yield {name: _point(name, trial) for name in names}
    if any(node.op in _PIECEWISE for node in nodes):
        written = (rational(node) for node in nodes)
        largest = max((abs(value) for value in written if value is not None), default=Fraction(1))
        for scale in (largest + 1, (largest + 2) ** 3, Fraction(1, 10**12)):
            for sign in (1, -1):
                yield {name: sign * scale * abs(_point(name, 1)) for name in names}


@lru_cache(maxsize=1024)
def _point(name: str, trial: int) -> Fraction:
    """Return the value of a variable in a trial, of at most 64 binary digits behind the point."""
    from hashlib import blake2b  # loads OpenSSL

    low, high = _RANGES[trial]
    digest = blake2b(f"{name} {trial}".encode("utf-8", "replace"), digest_size=8).digest()
    unit = Fraction(int.from_bytes(digest, "big"), 2**64)
    return (low + (high - low) * unit) / 1000


_RANGES = ((100, 900), (1100, 4000), (-4000, -1100), (-900, -100), (-3000, 3000), (5000, 90000))
_PIECEWISE = frozenset("abs floor ceil root fn pow".split())
