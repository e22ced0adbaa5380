"""Values of expressions as balls: a midpoint and a radius that rigorously holds every error (Arb).

Trees are evaluated over the complex numbers (principal values; an odd root of a negative number is
the real one). `extent` is the largest |log2| of anything met on the way: a difference that is
smaller than the precision can see shows there, in what it is made of.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType
from typing import Any, NamedTuple

from ctm_eval.grading.maths.rationals import rational
from ctm_eval.grading.maths.tree import EXPRESSIONS, Tree

MAX_POWER = 2**64
MAX_GAMMA_BITS = 4_096
"""The gamma function, of a factorial that is not a whole number's, is slow beyond."""


class OutOfBounds(Exception):
    """An operation that is not known here, or a value that no ball of finite size holds."""


@dataclass
class Ball:
    """A complex ball and the extent of what it was computed from."""

    value: Any
    extent: int


def evaluate(tree: Tree, at: dict[str, Fraction], bits: int) -> Ball:
    """Return the ball of an expression at rational values of its variables.

    Raises OutOfBounds, and ZeroDivisionError where it divides by what is exactly zero.
    """
    with _precision(bits) as flint:
        extent = [0]
        return Ball(_evaluate(tree, at, bits, extent, flint), extent[0])


class Gap(NamedTuple):
    """Whether two balls have no point in common, and the log2 of the most that two of their points
    differ by, absolutely and relative to the larger one's size."""

    apart: bool
    width: int
    relative: int


def gap(first: Ball, second: Ball, bits: int) -> Gap:
    """Return how far apart two values can be."""
    with _precision(bits):
        between = first.value - second.value
        if not between.is_finite():
            raise OutOfBounds
        width, size = _top(between), max(_top(first.value), _top(second.value))
        return Gap(not between.contains(0), width, width - size if width > _NOWHERE else width)


def is_real(ball: Ball) -> bool | None:
    """Return whether a value is real, None if its imaginary part is not certainly zero or not."""
    imaginary = ball.value.imag
    if imaginary.is_zero():
        return True
    return None if imaginary.contains(0) else False


def is_near(ball: Ball, centre: Fraction, radius: Fraction, bits: int) -> bool | None:
    """Return whether a real value is within a distance, None if the ball holds both kinds."""
    with _precision(bits) as flint:
        middle, most = (flint.fmpq(x.numerator, x.denominator) for x in (centre, radius))
        distance = abs(ball.value.real - flint.arb(middle))
        if distance <= flint.arb(most):
            return True
        return False if distance > flint.arb(most) else None


@contextmanager
def _precision(bits: int) -> Iterator[ModuleType]:
    """Compute with this many bits; flint's precision belongs to the process, so one at a time."""
    import flint  # only the answers that come here pay for the import

    with _LOCK:
        before = flint.ctx.prec
        flint.ctx.prec = bits
        try:
            yield flint
        finally:
            flint.ctx.prec = before


_LOCK = threading.RLock()


def _renew_lock() -> None:
    global _LOCK
    _LOCK = threading.RLock()  # a thread that does not exist in a forked child may have held it


os.register_at_fork(after_in_child=_renew_lock)


def _evaluate(
    tree: Tree, at: dict[str, Fraction], bits: int, extent: list[int], flint: ModuleType
) -> Any:
    value = _operation(tree, at, bits, extent, flint)
    if not value.is_finite():
        raise OutOfBounds
    if not value.contains(0):
        low, high = _log2(value.abs_lower()), _log2(value.abs_upper())
        extent[0] = max(extent[0], -(low or 0), high or 0)
    elif not value.is_zero():
        high = _log2(value.abs_upper())
        if high is not None and high < -4 * bits:  # no rounding leaves so little: it is tiny itself
            extent[0] = max(extent[0], -high)
    return value


def _operation(
    tree: Tree, at: dict[str, Fraction], bits: int, extent: list[int], flint: ModuleType
) -> Any:
    op, args = tree
    exact = rational(tree) if op != "sym" else at[args[0]]
    if exact is not None:
        return flint.acb(flint.arb(flint.fmpq(exact.numerator, exact.denominator)))
    if op == "const":
        if args[0] == "inf":
            raise OutOfBounds
        if args[0] == "i":
            return flint.acb(0, 1)
        return flint.acb(flint.arb.pi() if args[0] == "pi" else flint.arb.const_e())
    if op == "fn":
        if args[0] not in _FUNCTIONS or len(args) != 2:
            raise OutOfBounds
        x = _evaluate(args[1], at, bits, extent, flint)
        value = _function(args[0], x)
        if args[0] in _SATURATING:  # tanh x is 1 but for e^(-2x)
            grown = _log2(x.abs_upper())
            extent[0] = max(extent[0], 3 << min(grown, 40) if grown and grown > 0 else 3)
        return value
    if op not in EXPRESSIONS:
        raise OutOfBounds
    values = [_evaluate(arg, at, bits, extent, flint) for arg in args]
    x = values[0]
    if op == "add":
        for value in values[1:]:
            x = x + value
        return x
    if op == "mul":
        for value in values[1:]:
            x = x * value
        return x
    if op == "neg":
        return -x
    if op == "div":
        return x / _not_zero(values[1])
    if op == "pow":
        return _power(x, values[1], rational(args[1]), flint)
    if op == "root":
        degree = rational(args[0])
        if not degree:
            raise OutOfBounds
        return _power(values[1], 1 / x, 1 / degree, flint)
    if op == "abs":
        return flint.acb(abs(x))
    if op in ("floor", "ceil") and x.imag.is_zero():
        whole = (x.real.floor() if op == "floor" else x.real.ceil()).unique_fmpz()
        if whole is None:
            raise OutOfBounds
        return flint.acb(flint.arb(whole))
    if op == "percent":
        return x / 100
    if op == "degree":
        return x * flint.arb.pi() / 180
    if op in ("fact", "binom"):
        if bits > MAX_GAMMA_BITS or any(abs(value).upper() > 512 for value in values):
            raise OutOfBounds
        below = flint.acb(1)
        if op == "binom":
            below = (values[1] + 1).gamma() * (x - values[1] + 1).gamma()
        return (x + 1).gamma() / _not_zero(below)
    raise OutOfBounds


def _not_zero(value: Any) -> Any:
    if value.is_zero():
        raise ZeroDivisionError
    return value


def _power(base: Any, exponent: Any, exact: Fraction | None, flint: ModuleType) -> Any:
    if base.is_zero():
        if exponent.imag.is_zero() and exponent.real > 0:
            return base
        if exponent.imag.is_zero() and exponent.real < 0:
            raise ZeroDivisionError
        raise OutOfBounds
    if exact is None:
        return base.pow(exponent)
    if abs(exact) > MAX_POWER:
        raise OutOfBounds
    power, degree = exact.numerator, exact.denominator
    if degree == 1:
        return base ** flint.fmpz(power)
    if degree == 2:
        return base.sqrt() ** flint.fmpz(power)
    if degree % 2 and base.imag.is_zero() and base.real < 0:
        return -((-base).pow(exponent)) if power % 2 else (-base).pow(exponent)
    return base.pow(exponent)


def _function(name: str, x: Any) -> Any:
    if name == "ln":
        return _not_zero(x).log()
    if name in ("arccot", "arcsec", "arccsc"):
        inverse = {"arccot": "atan", "arcsec": "acos", "arccsc": "asin"}[name]
        return getattr(1 / _not_zero(x), inverse)()
    return getattr(x, name.replace("arc", "a"))()


def _top(value: Any) -> int:
    found = _log2(value.abs_upper())
    return _NOWHERE if found is None else found


def _log2(size: Any) -> int | None:
    """Return the binary exponent of a real ball's midpoint, None for zero."""
    mantissa, exponent = size.mid().man_exp()
    return int(exponent) + int(mantissa).bit_length() if mantissa else None


_NOWHERE = -(2**80)  # the size of zero
_SATURATING = frozenset("tanh coth tan cot".split())
_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth ln".split()
)
