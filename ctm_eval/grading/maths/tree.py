"""The tree that an answer is read into: one node type, its operators named here.

Expressions
    num(Fraction)  sym(name)  const(pi|e|i|inf)  add(…)  mul(…)  div(a, b)  neg(a)  pow(a, b)
    root(n, a)  fact(a)  binom(a, b)  abs(a)  floor(a)  ceil(a)  fn(name, …)  pm(a, b)  mp(a, b)
    percent(a)  degree(a)  quantity(a, unit)
Structures
    bracket(open, close, …)  set(…)  builder(item, condition)  list(connective, …)  cup(…)  cap(…)
    minus(a, b)  matrix(rows, columns, …)  rel(operators, …)  based(digits, base)  ratio(…)
    words(text)  choice(letter, content)  time(minutes, half of the day)  empty()  reals()
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple


class Tree(NamedTuple):
    """An operator and its arguments: trees, or plain values in the leaves."""

    op: str
    args: tuple[Any, ...]


class Unreadable(Exception):
    """The text is not mathematics that the parser knows, or is over one of its limits."""


def number(value: int | Fraction) -> Tree:
    """Return the leaf of an exact rational."""
    return Tree("num", (Fraction(value),))


def symbol(name: str) -> Tree:
    """Return the leaf of a variable."""
    return Tree("sym", (name,))


ZERO = number(0)
ONE = number(1)
INFINITY = Tree("const", ("inf",))
IMAGINARY = Tree("const", ("i",))

EXPRESSIONS = frozenset(
    "num sym const add mul div neg pow root fact binom abs floor ceil fn pm mp percent degree".split()
)


def children(tree: Tree) -> Iterator[Tree]:
    """Yield the arguments of a node that are trees."""
    for arg in tree.args:
        if isinstance(arg, Tree):
            yield arg


def walk(tree: Tree) -> Iterator[Tree]:
    """Yield every node of a tree, the root first."""
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(children(node))


def symbols(tree: Tree) -> frozenset[str]:
    """Return the names of the variables in a tree."""
    return frozenset(node.args[0] for node in walk(tree) if node.op == "sym")


def contains(tree: Tree, *ops: str) -> bool:
    """Return whether a node with one of these operators is in the tree."""
    return any(node.op in ops for node in walk(tree))


def negated(tree: Tree) -> Tree:
    """Return minus `tree`, folding numbers and double signs."""
    if tree.op == "num":
        return number(-tree.args[0])
    return tree.args[0] if tree.op == "neg" else Tree("neg", (tree,))
