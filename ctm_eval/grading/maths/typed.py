"""The typed layer: the policies by which two typed values count as the same answer.

`docs/grading.md` gives the policies with an example each.
"""

from __future__ import annotations

from fractions import Fraction

from ctm_eval.grading.maths import equations, identity, real_sets, units, unordered
from ctm_eval.grading.maths.comparison import DIFFERENT, Comparison, all_of, by_convention
from ctm_eval.grading.maths.tree import EXPRESSIONS, Tree, Unreadable, number
from ctm_eval.grading.maths.values import read as read_value


def compare(first: Tree, second: Tree) -> Comparison:
    """Compare two typed values; symmetric."""
    if first == second:
        return Comparison(True)
    first, second = _simplified(first), _simplified(second)
    ops = {first.op, second.op}
    for op, rule in _RULES:
        if op in ops:
            return rule(first, second) if first.op == op else rule(second, first)
    if real_sets.is_written_as_one(first) or real_sets.is_written_as_one(second):
        return _real_sets(first, second)
    if ops == {"rel"}:
        return _equations(first, second)
    if unordered.is_collection(first) or unordered.is_collection(second):
        return unordered.collections(first, second, compare)
    if "rel" in ops:
        equation, value = (first, second) if first.op == "rel" else (second, first)
        solution = equations.solution(equation)
        return (
            DIFFERENT
            if solution is None
            else by_convention(compare(solution.value, value), "x = 5 for 5")
        )
    if "bracket" in ops or "matrix" in ops:
        return _structures(first, second)
    if ops & {"quantity", "percent", "degree"}:
        return _quantities(first, second)
    if ops <= EXPRESSIONS:
        return _identity(first, second)
    return DIFFERENT


def _identity(first: Tree, second: Tree) -> Comparison:
    same = identity.same(first, second)
    return Comparison(same, None, ((first, second),) if same is None else ())


def _simplified(tree: Tree) -> Tree:
    """Undo what is only a way of writing: a list of lists, a unit around a whole tuple."""
    if (
        tree.op == "bracket"
        and tree.args[0] == "["
        and all(
            isinstance(row, Tree) and row.op == "bracket" and row.args[0] == "["
            for row in tree.args[2:]
        )
    ):
        rows = [row.args[2:] for row in tree.args[2:]]
        if len({len(row) for row in rows}) == 1:
            return Tree(
                "matrix", (len(rows), len(rows[0]), *(cell for row in rows for cell in row))
            )
    if tree.op == "quantity" and tree.args[0].op not in EXPRESSIONS:
        return tree.args[0]
    return _compound(tree) or tree


def _compound(tree: Tree) -> Tree | None:
    """Read 4 hours and 30 minutes as one quantity: units of one kind, each smaller than the last."""
    if tree.op != "list" or any(item.op != "quantity" for item in tree.args[1:]):
        return None
    read = [units.read(item.args[1]) for item in tree.args[1:]]
    known = [unit for unit in read if unit is not None and unit.powers]
    if len(known) < len(read) or len({unit.powers for unit in known}) > 1:
        return None
    scales = [unit.scale for unit in known]
    if scales != sorted(set(scales), reverse=True):
        return None
    parts = [
        _times(item.args[0], s / scales[0]) for item, s in zip(tree.args[1:], scales, strict=True)
    ]
    return Tree("quantity", (Tree("add", tuple(parts)), tree.args[1].args[1]))


def _choice(choice: Tree, other: Tree) -> Comparison:
    letter, content = choice.args
    if other.op == "choice":
        return Comparison(letter == other.args[0])
    if other.op in ("sym", "const"):
        return by_convention(Comparison(other.args[0].upper() == letter), "letter of a choice")
    if other.op == "words" and other.args[0].upper() == letter:
        return Comparison(True, "letter of a choice")
    if not content:
        return DIFFERENT
    try:
        return by_convention(compare(read_value(content), other), "choice by its content")
    except Unreadable:
        return DIFFERENT


def _words(words: Tree, other: Tree) -> Comparison:
    if other.op == "words":
        return Comparison(words.args == other.args)
    if other.op == "sym":
        return Comparison(words.args[0] == other.args[0].lower())
    if other.op == "quantity" and other.args[0].op == "sym":
        return Comparison(words.args[0] == f"{other.args[0].args[0]} {other.args[1]}".lower())
    if other.op == "rel":
        solution = equations.solution(other)
        return (
            by_convention(compare(words, solution.value), "x = 5 for 5") if solution else DIFFERENT
        )
    return (
        unordered.collections(words, other, compare) if other.op in ("list", "set") else DIFFERENT
    )


def _based(based: Tree, other: Tree) -> Comparison:
    if other.op == "based":
        return Comparison(based.args == other.args)
    if other.op == "rel":
        solution = equations.solution(other)
        return _based(based, solution.value) if solution else DIFFERENT
    same = other.op == "num" and str(other.args[0]) == based.args[0]
    return Comparison(True, "base left out") if same else DIFFERENT


def _time(time: Tree, other: Tree) -> Comparison:
    minutes, certain = time.args
    if other.op == "time":
        if certain == other.args[1]:
            return Comparison(minutes == other.args[0])
        return by_convention(
            Comparison((minutes - other.args[0]) % 720 == 0), "half of the day left out"
        )
    if other.op == "rel":
        solution = equations.solution(other)
        return (
            by_convention(compare(time, solution.value), "x = 5 for 5") if solution else DIFFERENT
        )
    if certain or other.op not in ("ratio", *EXPRESSIONS):
        return DIFFERENT
    return _ratio(Tree("ratio", (number(minutes // 60), number(minutes % 60))), other)


def _ratio(ratio: Tree, other: Tree) -> Comparison:
    if other.op == "rel":
        solution = equations.solution(other)
        if solution is None:
            return DIFFERENT
        return by_convention(compare(ratio, solution.value), "x = 5 for 5")
    if other.op != "ratio" and ratio.args[0] == ratio.args[1]:
        return DIFFERENT  # 37 to 37 is a range
    parts = other.args if other.op == "ratio" else (other, number(1))
    if len(parts) != len(ratio.args) or not {part.op for part in parts} <= EXPRESSIONS:
        return DIFFERENT
    products = [
        _identity(Tree("mul", (a, parts[0])), Tree("mul", (ratio.args[0], b)))
        for a, b in zip(ratio.args[1:], parts[1:], strict=True)
    ]
    return all_of(products)


def _real_sets(first: Tree, second: Tree) -> Comparison:
    same = real_sets.same(first, second)
    if same is not None:
        return Comparison(same)
    if first.op == second.op == "rel":
        return Comparison(equations.same_relation(first, second))
    if first.op == second.op and first.op in ("cup", "list", "minus", "cap"):
        return unordered.match(list(unordered.parts(first)), list(unordered.parts(second)), compare)
    return DIFFERENT


def _equations(first: Tree, second: Tree) -> Comparison:
    one, other = equations.solution(first), equations.solution(second)
    if one is not None and other is not None and _like_names(one.name, other.name):
        comparison = compare(one.value, other.value)
        if comparison.same:
            return comparison
    return Comparison(equations.same_relation(first, second))


def _like_names(first: str | None, second: str | None) -> bool:
    """Return whether two names are the same; `y` is also what a graph calls `f(x)`."""
    if first is None or second is None:
        return False
    return first == second or {first[:2], second[:2]} in ({"y", "f("}, {"y", "g("}, {"y", "h("})


def _structures(first: Tree, second: Tree) -> Comparison:
    """Compare tuples, intervals, vectors and matrices: the same brackets, each element in turn."""
    if first.op == "matrix" and second.op == "matrix":
        if first.args[:2] != second.args[:2]:
            return DIFFERENT
        return all_of([compare(a, b) for a, b in zip(first.args[2:], second.args[2:], strict=True)])
    if first.op == "matrix" or second.op == "matrix":
        matrix, other = (first, second) if first.op == "matrix" else (second, first)
        is_column = matrix.args[1] == 1 and other.op == "bracket" and other.args[0] in "(<"
        if not is_column or len(other.args) != len(matrix.args):
            return DIFFERENT
        pairs = zip(matrix.args[2:], other.args[2:], strict=True)
        return by_convention(all_of([compare(a, b) for a, b in pairs]), "a column as a tuple")
    if first.op != "bracket" or second.op != "bracket" or len(first.args) != len(second.args):
        return DIFFERENT
    if (first.args[:2], second.args[:2]) not in _LIKE_BRACKETS and first.args[:2] != second.args[
        :2
    ]:
        return DIFFERENT
    return all_of([compare(a, b) for a, b in zip(first.args[2:], second.args[2:], strict=True)])


def _quantities(first: Tree, second: Tree) -> Comparison:
    """Compare values with units: one left out is the other's, of two the value is converted."""
    (a, unit_a), (b, unit_b) = _quantity(first), _quantity(second)
    if a.op not in EXPRESSIONS or b.op not in EXPRESSIONS:
        return compare(a, b)
    if unit_a and unit_b:
        one, other = units.read(unit_a), units.read(unit_b)
        if one is None or other is None or one == other:
            return _identity(a, b)
        rate = units.ratio(one, other)
        if rate is None:
            return DIFFERENT
        rule, same = units.convention(one, other), _identity(_times(a, rate), b)
        return by_convention(same, rule) if rule else same
    plain = _identity(a, b)
    if plain.same:
        return by_convention(plain, "unit left out")
    factor = _FACTORS.get(unit_a or unit_b or "")
    if factor is None:
        return plain
    return _identity(Tree(factor, (a,)) if unit_a else a, Tree(factor, (b,)) if unit_b else b)


def _quantity(tree: Tree) -> tuple[Tree, str | None]:
    """Return a value and its unit."""
    if tree.op == "quantity":
        return tree.args
    if tree.op == "percent":
        return tree.args[0], "%"
    return (tree.args[0], "°") if tree.op == "degree" else (tree, None)


def _times(tree: Tree, rate: Fraction) -> Tree:
    return tree if rate == 1 else Tree("mul", (number(rate), tree))


_RULES = (
    ("choice", _choice),
    ("words", _words),
    ("based", _based),
    ("time", _time),
    ("ratio", _ratio),
)
_FACTORS = {"%": "percent", "°": "degree", "degrees": "degree", "percent": "percent"}
_LIKE_BRACKETS = ((("<", ">"), ("(", ")")), (("(", ")"), ("<", ">")))
