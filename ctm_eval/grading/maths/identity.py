"""Whether two expressions are identical: modulo a prime if they can be, else numerically."""

from __future__ import annotations

from ctm_eval.grading.maths import heights, modular, numeric, towers
from ctm_eval.grading.maths.rationals import rational
from ctm_eval.grading.maths.tree import EXPRESSIONS, Tree, contains, walk

MAX_NORM_BITS = modular.PRIME.bit_length() - 1
"""A numerator of a smaller norm is a multiple of the prime only if it is zero."""


def same(first: Tree, second: Tree) -> bool | None:
    """Return whether two expressions have the same value everywhere, None if undecided."""
    if first == second:
        return True
    if first.op not in EXPRESSIONS or second.op not in EXPRESSIONS:
        return False
    one, other = image(first), image(second)
    if one is not None and other is not None:
        if one != other:
            return False
        size = heights.norm(Tree("add", (first, Tree("neg", (second,)))))
        if size is not None and size < MAX_NORM_BITS:
            return True
    exact, wanted = rational(first), rational(second)
    if exact is not None and wanted is not None:
        return exact == wanted
    if one is not None and other is not None and towers.same(first, second, same):
        return True
    if contains(first, "pm", "mp") or contains(second, "pm", "mp"):
        return _same_branches(branches(first), branches(second))
    if _has_infinity(first) or _has_infinity(second):
        return False
    return numeric.same(first, second)


def _same_branches(first: tuple[Tree, ...], second: tuple[Tree, ...]) -> bool | None:
    """Compare values with plus-or-minus signs: upper with upper, or upper with lower."""
    if len(first) != len(second):
        return False
    ways = [
        [same(a, b) for a, b in zip(first, order, strict=True)] for order in (second, second[::-1])
    ]
    if any(all(way) for way in ways):
        return True
    return None if any(False not in way for way in ways) else False


def image(tree: Tree) -> int | None:
    """Return the residue of an expression modulo the prime, None if it has none."""
    try:
        return modular.image(tree)
    except modular.NoImage:
        return None


def branches(tree: Tree) -> tuple[Tree, ...]:
    """Return the values of an expression with plus-or-minus signs: upper signs, then lower."""
    if not contains(tree, "pm", "mp"):
        return (tree,)
    return _taking(tree, upper=True), _taking(tree, upper=False)


def _taking(tree: Tree, upper: bool) -> Tree:
    args = tuple(_taking(arg, upper) if isinstance(arg, Tree) else arg for arg in tree.args)
    if tree.op not in ("pm", "mp"):
        return Tree(tree.op, args)
    left, right = args
    return Tree("add", (left, right if (tree.op == "pm") == upper else Tree("neg", (right,))))


def _has_infinity(tree: Tree) -> bool:
    return any(node.op == "const" and node.args[0] == "inf" for node in walk(tree))
