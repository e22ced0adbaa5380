"""Sets of real numbers: intervals, inequalities, unions and complements in one form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import total_ordering
from math import isinf

from ctm_eval.grading.maths import identity
from ctm_eval.grading.maths.numeric import is_less, real_value
from ctm_eval.grading.maths.tree import INFINITY, ZERO, Tree, negated, symbols

MAX_PIECES = 100


class NoOrder(Exception):
    """Two ends lie so close together that it is not certain which is the lower one."""


@total_ordering
class End:
    """An end of an interval: ordered by its float, and by certified values where two are near."""

    __slots__ = ("tree", "value")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, tree: Tree, value: float) -> None:
        self.tree, self.value = tree, value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, End):
            return NotImplemented
        if not self._is_near(other):
            return False
        same = identity.same(self.tree, other.tree)
        if same is None:
            raise NoOrder
        return same

    def __lt__(self, other: End) -> bool:
        if not self._is_near(other):
            return self.value < other.value
        if self == other:
            return False
        less = is_less(self.tree, other.tree)
        if less is None:
            raise NoOrder
        return less

    def _is_near(self, other: End) -> bool:
        if self.value == other.value:
            return True
        if isinf(self.value) or isinf(other.value):
            return False
        return abs(self.value - other.value) <= 1e-9 * max(
            abs(self.value), abs(other.value), 1e-300
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """An interval: its ends, and whether they belong to it."""

    low: End
    low_in: bool
    high: End
    high_in: bool


@dataclass(frozen=True, slots=True)
class RealSet:
    """Disjoint pieces in ascending order; `name` is the variable of an inequality."""

    pieces: tuple[Piece, ...]
    name: str | None = None


MINUS_INFINITY = negated(INFINITY)
_LOWEST, _HIGHEST = End(MINUS_INFINITY, float("-inf")), End(INFINITY, float("inf"))
_LINE = Piece(_LOWEST, False, _HIGHEST, False)


def is_written_as_one(tree: Tree) -> bool:
    """Return whether a tree can only be a set of reals (a bracket may be a point as well)."""
    if tree.op in ("cup", "cap", "minus", "reals"):
        return True
    if tree.op == "builder":
        return True
    if tree.op == "rel":
        return any(sign != "=" for sign in tree.args[0])
    return tree.op == "list" and any(is_written_as_one(item) for item in tree.args[1:])


def same(first: Tree, second: Tree) -> bool | None:
    """Return whether two trees are the same set of reals, None where either is not read as one."""
    one, other = read(first), read(second)
    if one is None or other is None:
        return None
    if one.name and other.name and one.name != other.name:
        return False
    if len(one.pieces) != len(other.pieces):
        return False
    for a, b in zip(one.pieces, other.pieces, strict=True):
        if (a.low_in, a.high_in) != (b.low_in, b.high_in):
            return False
        try:
            if a.low != b.low or a.high != b.high:
                return False
        except NoOrder:
            return None
    return True


def read(tree: Tree) -> RealSet | None:
    """Return the set of reals that a tree is, None if it is not one with constant ends."""
    try:
        return _read(tree)
    except NoOrder:
        return None


def _read(tree: Tree) -> RealSet | None:
    op, args = tree
    if op == "reals":
        return RealSet((_LINE,))
    if op == "empty":
        return RealSet(())
    if op == "bracket":
        return _interval(tree)
    if op == "rel":
        return _relation(tree)
    if op == "builder":
        return _builder(*args)
    if op in ("cup", "set"):
        parts = [read(arg) if op == "cup" else _point(arg) for arg in args]
        return _combine(parts, _union)
    if op == "cap":
        return _combine([read(arg) for arg in args], _intersection)
    if op == "minus":
        left, right = read(args[0]), read(args[1])
        if left is None or right is None:
            return None
        return RealSet(_intersection(left.pieces, _complement(right.pieces)), left.name)
    if op == "list":
        return _list(args[0], [read(arg) for arg in args[1:]])
    return None


def _list(connective: str, parts: list[RealSet | None]) -> RealSet | None:
    """Read inequalities or intervals in a row: `and` of inequalities is both at once."""
    if connective != "or" and all(part is not None and part.name for part in parts):
        both = _combine(parts, _intersection)
        if both is not None and both.pieces:
            return both  # an empty one was meant as 'x < 1 and x > 2': either
    return _combine(parts, _union)


def _combine(parts, operation) -> RealSet | None:  # type: ignore[no-untyped-def]
    if any(part is None for part in parts) or len(parts) > MAX_PIECES:
        return None
    names = {part.name for part in parts if part.name}
    if len(names) > 1:
        return None
    pieces = parts[0].pieces
    for part in parts[1:]:
        pieces = operation(pieces, part.pieces)
        if len(pieces) > MAX_PIECES:
            return None
    return RealSet(pieces, names.pop() if names else None)


def _interval(tree: Tree) -> RealSet | None:
    opening, closing, *ends = tree.args
    if len(ends) != 2 or opening == "<":
        return None
    found = _between(ends[0], opening == "[", ends[1], closing == "]")
    return found if found is not None and found.pieces else None  # (8, -2) is a point


def _between(low: Tree, low_in: bool, high: Tree, high_in: bool) -> RealSet | None:
    a, b = real_value(low), real_value(high)
    if a is None or b is None:
        return None
    low_in, high_in = low_in and not isinf(a), high_in and not isinf(b)
    first, last = End(low, a), End(high, b)
    if first > last or first == last and not (low_in and high_in):
        return RealSet(())
    return RealSet((Piece(first, low_in, last, high_in),))


def _point(tree: Tree) -> RealSet | None:
    parts = [_between(branch, True, branch, True) for branch in identity.branches(tree)]
    return _combine(parts, _union)


def _relation(tree: Tree) -> RealSet | None:
    """Read `x > 2`, `1 < x <= 3`, `x in …`, `x = 2` or `x != 2` with the variable alone."""
    signs, *sides = tree.args
    if len(signs) == 1 and sides[0].op != "sym" and sides[1].op == "sym":
        signs, sides = (_FLIPPED.get(signs[0], signs[0]),), sides[::-1]
    if len(signs) == 1 and sides[0].op == "sym" and sides[0].args[0] not in symbols(sides[1]):
        name, (sign,), value = sides[0].args[0], signs, sides[1]
        inside: RealSet | None
        if sign == "in":
            inside = read(value)
        elif sign in ("=", "!="):
            inside = read(value) if value.op in ("set", "reals") else _point(value)
            if sign == "!=" and inside is not None:
                inside = RealSet(_complement(inside.pieces))
        elif sign in ("<", "<="):
            inside = _between(MINUS_INFINITY, False, value, sign == "<=")
        else:
            inside = _between(value, sign == ">=", INFINITY, False)
        return None if inside is None else RealSet(inside.pieces, name)
    if len(signs) == 1 and (around := _distance(sides)) is not None:
        return _ball(*around, signs[0])
    if len(signs) == 2 and sides[1].op == "sym":
        if all(sign in (">", ">=") for sign in signs):
            signs, sides = tuple(_FLIPPED[sign] for sign in signs[::-1]), sides[::-1]
        if all(sign in ("<", "<=") for sign in signs):
            between = _between(sides[0], signs[0] == "<=", sides[2], signs[1] == "<=")
            return None if between is None else RealSet(between.pieces, sides[1].args[0])
    return None


def _distance(sides: list[Tree]) -> tuple[str, Tree, Tree] | None:
    """Return name, centre and radius of `|x - c|` and a constant; None for any other sides."""
    if sides[0].op != "abs" or symbols(sides[1]):
        return None
    inside = sides[0].args[0]
    if inside.op == "sym":
        return inside.args[0], ZERO, sides[1]
    if inside.op == "add" and inside.args[0].op == "sym" and len(inside.args) == 2:
        return inside.args[0].args[0], negated(inside.args[1]), sides[1]
    return None


def _ball(name: str, centre: Tree, radius: Tree, sign: str) -> RealSet | None:
    """Return the numbers nearer to a centre than a radius, or those beyond."""
    if sign not in ("<", "<=", ">", ">="):
        return None
    low, high = Tree("add", (centre, negated(radius))), Tree("add", (centre, radius))
    closed = sign in ("<=", ">")  # the complement of a closed ball is open
    ball = _between(low, closed, high, closed)
    if ball is None or symbols(centre):
        return None
    pieces = ball.pieces if sign in ("<", "<=") else _complement(ball.pieces)
    return RealSet(pieces, name)


def _builder(item: Tree, condition: Tree) -> RealSet | None:
    inside = read(condition)
    if inside is None or item.op not in ("sym", "rel"):
        return None
    name = item.args[0] if item.op == "sym" else item.args[1].args[0]
    return RealSet(inside.pieces) if inside.name == name else None


def _union(first: tuple[Piece, ...], second: tuple[Piece, ...]) -> tuple[Piece, ...]:
    merged: list[Piece] = []
    for piece in sorted((*first, *second), key=lambda p: (p.low, not p.low_in)):
        if merged and _touch(merged[-1], piece):
            last = merged[-1]
            ends = (last, piece)
            furthest = max(ends, key=lambda p: (p.high, p.high_in))
            merged[-1] = Piece(last.low, last.low_in, furthest.high, furthest.high_in)
        else:
            merged.append(piece)
    return tuple(merged)


def _touch(left: Piece, right: Piece) -> bool:
    if right.low == left.high:
        return left.high_in or right.low_in
    return right.low < left.high


def _intersection(first: tuple[Piece, ...], second: tuple[Piece, ...]) -> tuple[Piece, ...]:
    found: list[Piece] = []
    for a in first:
        for b in second:
            low = max((a, b), key=lambda p: (p.low, not p.low_in))
            high = min((a, b), key=lambda p: (p.high, p.high_in))
            if low.low < high.high or (low.low == high.high and low.low_in and high.high_in):
                found.append(Piece(low.low, low.low_in, high.high, high.high_in))
    return tuple(found)


def _complement(pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
    gaps: list[Piece] = []
    low, low_in = _LOWEST, False
    for piece in pieces:
        if low < piece.low or low == piece.low and low_in and not piece.low_in:
            gaps.append(Piece(low, low_in, piece.low, not piece.low_in))
        low, low_in = piece.high, not piece.high_in
    if low < _HIGHEST:
        gaps.append(Piece(low, low_in, _HIGHEST, False))
    return tuple(gaps)


_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
