"""Identity testing at fixed points in high precision, for what has no image modulo a prime.

Trees are evaluated over the complex numbers (principal values; an odd root of a negative number is
the real one). Magnitudes are bounded before every operation, so that no operation is slow.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from types import ModuleType
from typing import Any

from ctm_eval.grading.maths.rationals import rational
from ctm_eval.grading.maths.tree import EXPRESSIONS, Tree, symbols, walk

MAX_NODES = 1_500
BITS, MORE_BITS = 212, 1_200
MAX_EXPONENT = 40_000
"""Values beyond 2^±this are not computed."""

Complex = tuple[Any, Any]


class OutOfBounds(Exception):
    """An operation that is not known here, or a value too large to compute with."""


def same(first: Tree, second: Tree) -> bool | None:
    """Return whether two expressions agree as functions of real variables, None if undecided.

    They are compared where both are defined: a point where one of them is not real is left out,
    unless the imaginary unit is written in them.
    """
    names = sorted(symbols(first) | symbols(second))
    nodes = [*walk(first), *walk(second)]
    if len(nodes) > MAX_NODES:
        return None
    try:
        return _agree(first, second, names, nodes)
    except (OutOfBounds, OverflowError, ValueError, NotImplementedError):  # the last are libmp's
        return None


def _agree(first: Tree, second: Tree, names: list[str], nodes: list[Tree]) -> bool | None:
    real_only = bool(names) and not any(n.op == "const" and n.args[0] == "i" for n in nodes)
    agreed = defined = 0
    for trial in range(_TRIALS if names else 1):
        values = [_value(tree, names, trial, real_only) for tree in (first, second)]
        if not names and POLE in values and None not in values:
            return None if values == [POLE, POLE] else False
        values = [None if value is POLE else value for value in values]
        if values[0] is None or values[1] is None:
            defined += values != [None, None]
            continue
        close = _close(values[0], values[1])
        if close is None:
            close = _close_at_more_bits(first, second, names, trial)
        if close is None:
            return None
        if not close:
            return False
        agreed += 1
    if agreed:
        return True if agreed > 1 or not names else None
    return False if defined > 1 else None


def real_value(tree: Tree) -> float | None:
    """Return a constant as a float (±inf for infinity), None if it has no real value."""
    if tree.op == "const" and tree.args[0] == "inf":
        return float("inf")
    if tree.op == "neg" and tree.args[0] == Tree("const", ("inf",)):
        return float("-inf")
    exact = rational(tree)
    if exact is not None and abs(exact) < 10**300:
        return float(exact)
    if symbols(tree):
        return None
    try:
        value = _value(tree, [], 0, True)
    except (OutOfBounds, OverflowError, ValueError, NotImplementedError):
        return None
    return None if value in (None, POLE) else float(_libmp().to_float(value[0][0]))


Value = tuple[Complex, int]
"""A complex number and the largest binary exponent met on the way to it."""

POLE: Value = ((None, None), 0)
"""Stands for the value of what divides by zero."""


def _value(
    tree: Tree, names: list[str], trial: int, real_only: bool, bits: int = BITS
) -> Value | None:
    lib = _libmp()
    at = {name: _point(name, trial, bits) for name in names}
    peak = [0]
    try:
        value = _evaluate(tree, at, bits, peak, lib)
    except ZeroDivisionError:
        return POLE
    if real_only:
        size = max(_exponent(value[0]), peak[0] - 60)
        if value[1][1] and _exponent(value[1]) > size - bits // 2:
            return None
    return value, peak[0]


def _close(first: Value, second: Value) -> bool | None:
    lib = _libmp()
    (a, peak_a), (b, peak_b) = first, second
    size = max(map(_exponent, (*a, *b)))
    gap = max(_exponent(part) for part in lib.mpc_sub(a, b, BITS, "n"))
    if gap < size - 150:
        return True
    if gap > size - 60 and gap > max(peak_a, peak_b) - 100:
        return False
    return None


def _close_at_more_bits(first: Tree, second: Tree, names: list[str], trial: int) -> bool | None:
    values = [_value(tree, names, trial, False, MORE_BITS) for tree in (first, second)]
    if POLE in values or values[0] is None or values[1] is None:
        return None
    (a, peak_a), (b, peak_b) = values[0], values[1]
    gap = max(_exponent(part) for part in _libmp().mpc_sub(a, b, MORE_BITS, "n"))
    peak = max(peak_a, peak_b)
    if gap < peak - 1_000:
        return True
    return False if gap > peak - 700 else None


def _evaluate(
    tree: Tree, at: dict[str, Complex], bits: int, peak: list[int], lib: ModuleType
) -> Complex:
    value = _operation(tree, at, bits, peak, lib)
    size = max(_exponent(value[0]), _exponent(value[1]))
    if size > MAX_EXPONENT or value[0][1] == 0 and value[0][2] or value[1][1] == 0 and value[1][2]:
        raise OutOfBounds  # too large, or libmp's infinity or nan: no mantissa but an exponent
    peak[0] = max(peak[0], size)
    return value


def _operation(
    tree: Tree, at: dict[str, Complex], bits: int, peak: list[int], lib: ModuleType
) -> Complex:
    op, args = tree
    if op == "num":
        number = args[0]
        return lib.from_rational(number.numerator, number.denominator, bits, "n"), lib.fzero
    if op == "sym":
        return at[args[0]]
    if op == "const":
        if args[0] == "inf":
            raise OutOfBounds
        if args[0] == "i":
            return lib.fzero, lib.fone
        return (lib.mpf_pi if args[0] == "pi" else lib.mpf_e)(bits, "n"), lib.fzero
    if op == "fn":
        if args[0] not in _FUNCTIONS or len(args) != 2:
            raise OutOfBounds
        x = _evaluate(args[1], at, bits, peak, lib)
        return _function(args[0], x, bits, lib)
    if op not in EXPRESSIONS:
        raise OutOfBounds
    values = [_evaluate(arg, at, bits, peak, lib) for arg in args]
    if op == "add":
        total = values[0]
        for value in values[1:]:
            total = lib.mpc_add(total, value, bits, "n")
        return total
    if op == "mul":
        product = values[0]
        for value in values[1:]:
            product = lib.mpc_mul(product, value, bits, "n")
        return product
    x = values[0]
    if op == "neg":
        return lib.mpc_neg(x, bits, "n")
    if op == "div":
        return lib.mpc_div(x, values[1], bits, "n")
    if op == "pow":
        return _power(x, values[1], rational(args[1]), bits, lib)
    if op == "root":
        degree = rational(args[0])
        if degree is None or not degree:
            raise OutOfBounds
        return _power(values[1], lib.mpc_div(lib.mpc_one, x, bits, "n"), 1 / degree, bits, lib)
    if op == "abs":
        return lib.mpc_abs(x, bits, "n"), lib.fzero
    if op in ("floor", "ceil") and not x[1][1]:
        return (lib.mpf_floor if op == "floor" else lib.mpf_ceil)(x[0]), lib.fzero
    if op in ("percent", "degree"):
        scale = lib.from_rational(1, 100, bits, "n")
        if op == "degree":
            scale = lib.mpf_div(lib.mpf_pi(bits, "n"), lib.from_int(180), bits, "n")
        return lib.mpc_mul_mpf(x, scale, bits, "n")
    if op == "fact":
        return _factorial(x, bits, lib)
    if op == "binom":
        rest = lib.mpc_sub(x, values[1], bits, "n")
        below = lib.mpc_mul(
            _factorial(values[1], bits, lib), _factorial(rest, bits, lib), bits, "n"
        )
        return lib.mpc_div(_factorial(x, bits, lib), below, bits, "n")
    raise OutOfBounds


def _power(base: Complex, exponent: Complex, exact: Any, bits: int, lib: ModuleType) -> Complex:
    if not base[0][1] and not base[1][1]:
        if exponent[0][0] or not exponent[0][1]:
            raise ZeroDivisionError
        return base
    spread = max(1, *(abs(_exponent(part)) for part in base if part[1]))
    if max(map(_exponent, exponent)) + spread.bit_length() > 17:
        raise OutOfBounds
    if exact is not None and exact.denominator == 1:
        return lib.mpc_pow_int(base, int(exact), bits, "n")
    if exact is not None and exact.denominator == 2:
        return lib.mpc_pow_int(lib.mpc_sqrt(base, bits, "n"), exact.numerator, bits, "n")
    if exact is not None and exact.denominator % 2 and base[0][0] and not base[1][1]:
        positive = lib.mpc_pow(lib.mpc_neg(base), exponent, bits, "n")
        return lib.mpc_neg(positive) if exact.numerator % 2 else positive
    return lib.mpc_pow(base, exponent, bits, "n")


def _factorial(x: Complex, bits: int, lib: ModuleType) -> Complex:
    if x[1][1] or _exponent(x[0]) > 9:
        raise OutOfBounds
    return lib.mpc_factorial(x, bits, "n")


def _function(name: str, x: Complex, bits: int, lib: ModuleType) -> Complex:
    if max(map(_exponent, x)) > 60 or x[1][1] and _exponent(x[1]) > 12:
        raise OutOfBounds
    if name in ("sinh", "cosh", "tanh", "coth") and _exponent(x[0]) > 12:
        raise OutOfBounds
    if name == "ln":
        if not x[0][1] and not x[1][1]:
            raise ZeroDivisionError
        return lib.mpc_log(x, bits, "n")
    if name in _RECIPROCAL:
        return lib.mpc_div(lib.mpc_one, _function(_RECIPROCAL[name], x, bits, lib), bits, "n")
    if name in ("arccot", "arcsec", "arccsc"):
        inverse = {"arccot": "arctan", "arcsec": "arccos", "arccsc": "arcsin"}[name]
        return _function(inverse, lib.mpc_div(lib.mpc_one, x, bits, "n"), bits, lib)
    return getattr(lib, "mpc_" + name.replace("arc", "a"))(x, bits, "n")


def _exponent(part: Any) -> int:
    """Return the binary exponent of a libmp number; far below any other for zero."""
    return part[2] + part[3] if part[1] else -(10**9)


@lru_cache(maxsize=1024)
def _point(name: str, trial: int, bits: int) -> Complex:
    """Return the value of a variable in a trial: inside (0, 1), then wider, then negative too."""
    lib = _libmp()
    low, high = _RANGES[trial]
    digest = blake2b(f"{name} {trial}".encode("utf-8", "replace"), digest_size=8).digest()
    unit = int.from_bytes(digest, "big")
    thousandths = low * 2**64 + (high - low) * unit
    return lib.from_rational(thousandths, 1000 * 2**64, bits, "n"), lib.fzero


def _libmp() -> ModuleType:
    import mpmath.libmp  # only the few answers that come here pay for the import

    return mpmath.libmp


_RANGES = ((100, 900), (1100, 4000), (-4000, -1100), (-900, -100), (-3000, 3000), (5000, 90000))
_TRIALS = len(_RANGES)
_RECIPROCAL = {"sec": "cos", "csc": "sin", "cot": "tan", "coth": "tanh"}
_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth ln".split()
)
