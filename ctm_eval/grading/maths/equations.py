"""Equations and inequalities as answers: what they solve for, and when two say the same."""

from __future__ import annotations

from dataclasses import dataclass

from ctm_eval.grading.maths import identity
from ctm_eval.grading.maths.tree import EXPRESSIONS, ZERO, Tree, contains, symbols, walk


@dataclass(frozen=True, slots=True)
class Solution:
    """`name = value`; the name is None for a computation such as `20 - 5 = 15`."""

    name: str | None
    value: Tree


def solution(relation: Tree) -> Solution | None:
    """Return what an equation says its value is, None if it is not in solved form.

    Solved are `x = 5`, `5 = x`, `f(x) = 2x`, `AB = 5`, `(x, y) = (1, 2)`, `sin t = 1/2`, and
    `20 - 5 = 15`; the value is the last member of a chain. `x in S` has the value S.
    """
    signs, *sides = relation.args
    if all(side == sides[0] for side in sides):
        return None  # 0 = 0 says nothing
    if signs == ("in",):
        return Solution(name_of(sides[0]), sides[1])
    if any(sign != "=" for sign in signs):
        return None
    first, last = sides[0], sides[-1]
    name = name_of(first) or _function_value(first)
    if name:
        return Solution(name, last) if _constants_agree(sides[1:]) else None
    if len(sides) == 2 and (reverse := name_of(last)) and last.op == "sym":
        return Solution(reverse, first)
    if first.op == "bracket" and last.op == "bracket":
        names = [name_of(side) for side in first.args[2:]]
        return Solution(",".join(map(str, names)), last) if all(names) else None
    if first.op in EXPRESSIONS and not symbols(first) and _holds(sides):
        return Solution(None, last)
    return None


def _holds(sides: list[Tree]) -> bool:
    """Return whether all members of a computation such as `20 - 5 = 15` have the same value."""
    if any(map(_is_applied, sides)):
        return _constants_agree(sides)  # f(1) + f(2) = 5 says what the functions are
    values = [side.args[0] if side.op == "quantity" else side for side in sides]
    return all(identity.same(values[0], value) for value in values[1:])


def _is_applied(side: Tree) -> bool:
    return any(node.op == "fn" and node.args[0] in ("f", "g", "h") for node in walk(side))


def _constants_agree(sides: list[Tree]) -> bool:
    """Return whether the members of a chain that are constants have the value of the last one."""
    *rest, last = (side.args[0] if side.op == "quantity" else side for side in sides)
    constants = [s for s in rest if s.op in EXPRESSIONS and not symbols(s) and not _is_applied(s)]
    return all(identity.same(constant, last) for constant in constants)


def named_combination(relation: Tree) -> Tree | None:
    """Return the value of `x + y = 5`: more than one variable, so it is no equation to solve."""
    signs, *sides = relation.args
    if any(sign != "=" for sign in signs) or len(symbols(sides[0])) < 2 or symbols(sides[-1]):
        return None
    return sides[-1] if _constants_agree(sides[1:]) else None


def name_of(tree: Tree) -> str | None:
    """Return the name that a side of an equation is: x, x_1, f(x), p(x), AB, angle ABC."""
    if tree.op == "sym":
        return str(tree.args[0])
    if tree.op == "ratio" and all(part.op == "sym" for part in tree.args):
        return ":".join(part.args[0] for part in tree.args)
    if tree.op == "const" and tree.args[0] in ("e", "i"):
        return str(tree.args[0])
    if tree.op == "fn" and tree.args[0] in ("f", "g", "h"):
        return f"{tree.args[0]}({_short(tree.args[1])})"
    if tree.op != "mul":
        return None
    parts = [_short(factor) for factor in tree.args]
    if len(parts) > 6 or not all(parts):
        return None
    capitals = all(part.isupper() and len(part) == 1 for part in parts)
    pointed = any(
        part.startswith(("angle", "triangle", "overline", "measuredangle")) for part in parts
    )
    applied = len(parts) == 2 and parts[0][0].isalpha() and parts[1] in ("x", "t", "n", "z")
    return "".join(parts) if capitals or pointed or applied else None


def _short(tree: Tree) -> str:
    if tree.op == "sym":
        return str(tree.args[0])
    if tree.op == "pow" and tree.args[0].op == "sym" and tree.args[1].op == "num":
        return f"{tree.args[0].args[0]}^{tree.args[1].args[0]}" if tree.args[1].args[0] < 0 else ""
    return str(tree.args[0]) if tree.op in ("num", "const") else ""


def _function_value(tree: Tree) -> str | None:
    """Return `sin t` as a name: asked for a function's value, people write the equation."""
    if tree.op == "fn" and len(tree.args) == 2 and tree.args[1].op == "sym":
        return f"{tree.args[0]} {tree.args[1].args[0]}"
    if tree.op == "abs" and tree.args[0].op == "sym" and tree.args[0].args[0] in ("z", "w"):
        return f"|{tree.args[0].args[0]}|"
    return None


def same_relation(first: Tree, second: Tree) -> bool | None:
    """Return whether two relations are the same up to order and a constant factor."""
    (signs, *sides), (other_signs, *other_sides) = first.args, second.args
    if len(signs) != len(other_signs):
        return False
    if len(signs) > 1:
        return _same_sides(signs, sides, other_signs, other_sides)
    (sign,), (other_sign,) = signs, other_signs
    if sign in (">", ">="):
        sign, sides = _FLIPPED[sign], sides[::-1]
    if other_sign in (">", ">="):
        other_sign, other_sides = _FLIPPED[other_sign], other_sides[::-1]
    if sign != other_sign:
        return False
    if _same_sides((sign,), sides, (other_sign,), other_sides):
        return True
    if not all(side.op in EXPRESSIONS for side in (*sides, *other_sides)):
        return False
    if sign not in ("=", "!=") or any(contains(s, "pm", "mp") for s in (*sides, *other_sides)):
        gap, other_gap = _gap(sides), _gap(other_sides)
        return identity.same(gap, other_gap)
    return _proportional(_gap(sides), _gap(other_sides))


def _same_sides(signs, sides, other_signs, other_sides) -> bool | None:  # type: ignore[no-untyped-def]
    if signs != other_signs:
        return False
    results = [identity.same(a, b) for a, b in zip(sides, other_sides, strict=True)]
    return False if False in results else None if None in results else True


def _gap(sides: list[Tree]) -> Tree:
    return Tree("add", (sides[0], Tree("neg", (sides[1],))))


def _proportional(first: Tree, second: Tree) -> bool | None:
    """Return whether f = c·g for a constant c: f(x)·g(y) = f(y)·g(x) for independent x and y."""
    if not symbols(first) or symbols(first) != symbols(second):
        return False
    if identity.same(first, ZERO) or identity.same(second, ZERO):
        return False
    left = Tree("mul", (first, _elsewhere(second)))
    right = Tree("mul", (_elsewhere(first), second))
    return identity.same(left, right)


def _elsewhere(tree: Tree) -> Tree:
    """Return the tree with every variable renamed: the same function at another point."""
    if tree.op == "sym":
        return Tree("sym", (tree.args[0] + " elsewhere",))
    return Tree(tree.op, tuple(_elsewhere(a) if isinstance(a, Tree) else a for a in tree.args))


_FLIPPED = {">": "<", ">=": "<="}
