"""The sympy layer, for the few pairs that are still undecided, in killable workers.

The expression is built from a tree that our own parser has read; sympy never sees the text.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from typing import Any

from ctm_eval.grading.maths.rationals import rational
from ctm_eval.grading.maths.tree import Tree, contains, symbols, walk
from ctm_eval.grading.workers import WorkerLost, WorkerPool, answer_requests

SECONDS = 0.5
"""Time on a processor for one pair: a verdict does not depend on what else the machine does."""
PATIENCE = 5 * SECONDS
"""Wall clock for one pair, for a worker that hangs or gets no processor."""
MEMORY = 160 * 2**20
"""Bytes that a worker may add to its size after the import of sympy."""
WORKERS = 2
MAX_NODES = 200
MAX_EXPONENT = 200
"""Larger trees, exponents and factorials are not sent: they only run into the limits."""


@lru_cache(maxsize=1024)
def same(first: Tree, second: Tree) -> bool | None:
    """Return sympy's opinion on two expressions, None if it has none; raises WorkerLost."""
    reply = _pool().ask([_to_json(first), _to_json(second)], PATIENCE)
    return reply if isinstance(reply, bool) else None


def is_tractable(tree: Tree) -> bool:
    """Return whether sympy has a chance on an expression within its limits."""
    nodes = list(islice(walk(tree), MAX_NODES + 1))
    if len(nodes) > MAX_NODES:
        return False
    for node in nodes:
        if node.op not in _OPERATIONS and node.op not in ("num", "sym", "const", "fn"):
            return False
        if node.op == "num" and node.args[0].numerator.bit_length() > 64:
            return False
        if node.op == "fn" and (node.args[0] not in _FUNCTIONS or len(node.args) != 2):
            return False
        if node.op in ("pow", "fact", "binom") and not _is_small(node):
            return False
        if node.op == "pow" and contains(node.args[1], "pow"):
            return False
    return True


def _is_small(node: Tree) -> bool:
    """Return whether a power or factorial stays short if it is written out."""
    constants = [rational(arg) for arg in node.args if not symbols(arg)]
    return all(value is not None and abs(value) <= MAX_EXPONENT for value in constants)


def warm_up() -> None:
    """Start a worker now, so that the first undecided pair does not pay for the import.

    On a busy machine the first answer may miss its deadline: the next worker is asked, four times.
    """
    for _ in range(4):
        try:
            same(Tree("sym", ("x",)), Tree("sym", ("y",)))
            return
        except WorkerLost:
            continue


def serve() -> None:
    """Answer requests in a worker process."""
    import sympy

    answer_requests(lambda pair: _compare(sympy, *pair), cpu_seconds=SECONDS, memory=MEMORY)


@lru_cache(maxsize=1)
def _pool() -> WorkerPool:
    pool = WorkerPool(__name__, WORKERS)
    atexit.register(pool.close)
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a child starts workers of its own
    return pool


def _compare(sympy: Any, first: Any, second: Any) -> bool | None:
    try:
        a, b = _expression(sympy, first), _expression(sympy, second)
        difference = a - b
        if difference == 0 or sympy.simplify(difference) == 0:
            return True
        return False if difference.equals(0) is False else None  # it may say yes by sampling
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        NotImplementedError,
        TypeError,
        ValueError,
    ):
        return None


def _expression(sympy: Any, node: Any) -> Any:
    op, *args = node
    if op == "num":
        return sympy.Rational(int(args[0]), int(args[1]))
    if op == "sym":
        return sympy.Symbol(args[0], real=True)
    if op == "const":
        return {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "inf": sympy.oo}[args[0]]
    if op == "fn":
        name = _NAMES.get(args[0], args[0])
        make = getattr(sympy, name) if name in _FUNCTIONS else sympy.Function(name)
        return make(*(_expression(sympy, arg) for arg in args[1:]))
    values = [_expression(sympy, arg) for arg in args]
    return _OPERATIONS[op](sympy, *values)


def _to_json(tree: Tree) -> list[Any]:
    return (
        [tree.op, *(_leaf(arg) for arg in tree.args)] if tree.op != "num" else _number(tree.args[0])
    )


def _leaf(arg: Any) -> Any:
    return _to_json(arg) if isinstance(arg, Tree) else arg


def _number(value: Fraction) -> list[str]:
    return ["num", str(value.numerator), str(value.denominator)]


_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc asin acos atan sinh cosh tanh coth log gcd lcm Min Max".split()
)
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda sympy, *terms: sympy.Add(*terms),
    "mul": lambda sympy, *factors: sympy.Mul(*factors),
    "div": lambda sympy, a, b: a / b,
    "neg": lambda sympy, a: -a,
    "pow": lambda sympy, a, b: sympy.Pow(a, b),
    "root": lambda sympy, n, a: (
        sympy.real_root(a, n) if a.is_real and n.is_odd else sympy.Pow(a, 1 / n)
    ),
    "fact": lambda sympy, a: sympy.factorial(a),
    "binom": lambda sympy, a, b: sympy.binomial(a, b),
    "abs": lambda sympy, a: sympy.Abs(a),
    "floor": lambda sympy, a: sympy.floor(a),
    "ceil": lambda sympy, a: sympy.ceiling(a),
    "percent": lambda sympy, a: a / 100,
    "degree": lambda sympy, a: a * sympy.pi / 180,
}
_NAMES = {
    "ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "min": "Min", "max": "Max",
}  # fmt: skip
