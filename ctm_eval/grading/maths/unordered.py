"""Lists, sets and plus-or-minus: values without order, of which every one counts."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from ctm_eval.grading.maths import equations, identity
from ctm_eval.grading.maths.comparison import (
    DIFFERENT,
    UNDECIDED,
    Comparison,
    all_of,
    by_convention,
)
from ctm_eval.grading.maths.rationals import rational
from ctm_eval.grading.maths.tree import EXPRESSIONS, Tree

Compare = Callable[[Tree, Tree], Comparison]

MAX_PAIRWISE = 24
"""Lists of more values than this are compared only if all of them are rational."""


def parts(tree: Tree) -> tuple[Tree, ...]:
    """Return the trees that a list, set or union is written with."""
    return tree.args[1:] if tree.op == "list" else tree.args


def is_collection(tree: Tree) -> bool:
    """Return whether a value is several without order, or says that a name has several."""
    if tree.op in ("list", "set", "empty"):
        return True
    if tree.op == "rel":
        solution = equations.solution(tree)
        return solution is not None and is_collection(solution.value)
    return tree.op in EXPRESSIONS and len(identity.branches(tree)) > 1


def collections(first: Tree, second: Tree, compare: Compare) -> Comparison:
    """Compare values without order: lists, sets, plus-or-minus; every element counts."""
    for collection, other in ((first, second), (second, first)):
        if other.op == "bracket" or other.op == "rel" and other.args[1].op == "bracket":
            return _assignments(collection, other, compare)
    return match(_members(first), _members(second), compare)


def _assignments(collection: Tree, other: Tree, compare: Compare) -> Comparison:
    """Compare `x = 1, y = 2` with `(1, 2)`: values in the order of their names."""
    if collection.op != "list":
        return DIFFERENT
    solutions = [equations.solution(i) if i.op == "rel" else None for i in collection.args[1:]]
    names = [s.name if s else None for s in solutions]
    if None in names or len(set(names)) != len(names):
        return match(_members(collection), [other], compare)
    if other.op == "rel":
        by_name = dict(zip(names, (s.value for s in solutions if s), strict=True))
        wanted = [equations.name_of(n) for n in other.args[1].args[2:]]
        if sorted(map(str, wanted)) != sorted(map(str, names)):
            return DIFFERENT
        values, other = [by_name[name] for name in wanted], other.args[2]
    else:
        values = [
            s.value
            for _, s in sorted(zip(names, solutions, strict=True), key=lambda p: str(p[0]))
            if s
        ]
    return by_convention(
        compare(Tree("bracket", ("(", ")", *values)), other), "x = 1, y = 2 for (1, 2)"
    )


def _members(tree: Tree) -> list[Tree]:
    """Return the elements of a collection; a named value stays an equation."""
    if tree.op == "empty":
        return []
    if tree.op in ("list", "set"):
        return [m for i in parts(tree) for m in ([i] if _is_set(i) else _members(i))]
    if tree.op == "rel":
        solution = equations.solution(tree)
        if solution is not None and is_collection(solution.value):
            return _members(solution.value)
        return [tree]
    if tree.op in EXPRESSIONS:
        return list(identity.branches(tree))
    return [tree]


def _is_set(tree: Tree) -> bool:
    """Return whether a tree is a set: in another one it is a single element, and no number."""
    return tree.op in ("set", "empty")


def match(first: list[Tree], second: list[Tree], compare: Compare) -> Comparison:
    """Compare two collections by their elements, each with one of the other's."""
    one, other = _rationals(first), _rationals(second)
    if one is not None and other is not None:
        return Comparison(one == other)
    if max(len(first), len(second)) > MAX_PAIRWISE:
        return UNDECIDED

    def same(a: Tree, b: Tree) -> Comparison:
        return compare(a, b) if _is_set(a) == _is_set(b) else DIFFERENT  # {1, {2}} and {1, 2}

    first, second = _distinct(first, same), _distinct(second, same)
    if len(first) != len(second):
        return DIFFERENT
    remaining, comparisons = list(second), []
    for item in first:
        tried = [same(item, candidate) for candidate in remaining]
        matched = next((k for k, comparison in enumerate(tried) if comparison.same), None)
        if matched is None:
            return _without_partner(first, second, same)
        comparisons.append(tried[matched])
        del remaining[matched]
    return all_of(comparisons)


def _without_partner(first: list[Tree], second: list[Tree], compare: Compare) -> Comparison:
    """Say whether an element of either side is certainly none of the other side's."""
    table = [[compare(a, b).same for b in second] for a in first]
    lines = [*table, *(list(column) for column in zip(*table, strict=True))]
    return DIFFERENT if any(not any(s is not False for s in line) for line in lines) else UNDECIDED


def _rationals(trees: list[Tree]) -> set[Fraction] | None:
    found: set[Fraction] = set()
    for tree in trees:
        value = rational(tree) if tree.op in EXPRESSIONS - {"percent", "degree"} else None
        if value is None:
            return None
        found.add(value)
    return found


def _distinct(trees: list[Tree], compare: Compare) -> list[Tree]:
    kept: list[Tree] = []
    for tree in trees:
        if not any(
            comparison.same and not comparison.convention
            for comparison in (compare(tree, k) for k in kept)
        ):
            kept.append(tree)
    return kept
