"""Names and commands in an expression: variables, fractions, roots, functions and their arguments."""

from __future__ import annotations

from fractions import Fraction

from ctm_eval.grading.maths.cursor import Cursor
from ctm_eval.grading.maths.tokens import FUNCTIONS, GREEK, Token
from ctm_eval.grading.maths.tree import (
    IMAGINARY,
    INFINITY,
    ONE,
    Tree,
    Unreadable,
    negated,
    number,
    symbol,
)


def variable(c: Cursor) -> Tree:
    """Read a letter with its subscript and primes; i and e are constants, f(x) is an application."""
    token = c.next()
    name = token.text + subscript(c)
    while c.take("'"):
        name += "'"
    if name == "i":
        return IMAGINARY
    if name == "e":
        return Tree("const", ("e",))
    if name in ("f", "g", "h") and c.sees("(") and not c.token.spaced:
        return Tree("fn", (name, c.rules.factor(c)))
    return _not_called(c, name)


def _not_called(c: Cursor, name: str) -> Tree:
    """Return a name as a symbol; raises Unreadable for `P(0)` and `\\zeta(2)`, which are no products."""
    if c.sees("(") and not c.token.spaced:
        inside = c.tokens[c.at + 1 : c.at + 3]
        if [token.kind for token in inside] == ["num", "op"] and inside[1].text == ")":
            raise Unreadable(f"{name} of a number")
    return symbol(name)


def subscript(c: Cursor) -> str:
    """Read `_1` or `_{n+1}` into the name that it is part of."""
    if not c.take("_"):
        return ""
    if not c.take("{"):
        return "_" + c.next().text
    parts: list[str] = []
    while not c.sees("}"):
        if c.token.kind == "stop" or len(parts) > 20:
            raise Unreadable("a long subscript")
        parts.append(c.next().text)
    c.next()
    return "_" + "".join(parts)


def command(c: Cursor) -> Tree:
    """Read a command with its arguments."""
    name = c.next().text
    if name == "frac":
        return Tree("div", (_argument(c), _argument(c)))
    if name == "sqrt":
        degree = ONE
        if c.take("["):
            degree = c.rules.expression(c)
            c.expect("]")
            if degree == number(0):
                raise Unreadable("a root of degree zero")
            return Tree("root", (degree, _radicand(c)))
        return Tree("root", (number(2), _radicand(c)))
    if name == "binom":
        return Tree("binom", (_argument(c), _argument(c)))
    if name == "pi":
        return Tree("const", ("pi",))
    if name == "infty":
        return INFINITY
    if name in FUNCTIONS:
        return _function(c, name)
    if name in GREEK:
        name = {"varepsilon": "epsilon", "varphi": "phi", "vartheta": "theta"}.get(name, name)
        return _not_called(c, name + subscript(c))
    if name in ("lfloor", "lceil"):
        tree = Tree("floor" if name == "lfloor" else "ceil", (c.rules.expression(c),))
        if not c.sees_command("r" + name[1:]):
            raise Unreadable("an open floor")
        c.next()
        return tree
    if name in ("overline", "bar", "hat", "tilde", "widehat", "mathbf", "dot", "angle", "triangle",
                "measuredangle", "overrightarrow", "overleftrightarrow", "underline"):  # fmt: skip
        return _decorated(c, name)
    if name in ("langle", "emptyset", "mathbb"):
        c.at -= 1
        return c.rules.bracketed(c)
    if name in ("ldots", "prime"):
        return symbol(name)
    raise Unreadable(f"\\{name}")


def _decorated(c: Cursor, mark: str) -> Tree:
    """Read a name with a mark on it: a vector, a line, an angle."""
    letters = ""
    braced = c.take("{")
    while c.token.kind in ("sym", "word") and len(letters) < 40:
        letters += c.next().text
        letters += subscript(c)
        if not braced and mark not in ("angle", "triangle", "measuredangle"):
            break
    if braced:
        if not letters:
            if mark not in ("mathbf", "underline"):
                raise Unreadable(f"\\{mark} of a value")
            tree = c.rules.expression(c)
            c.expect("}")
            c.group_end = c.at
            return tree
        c.expect("}")
    if not letters:
        raise Unreadable(f"\\{mark} of nothing")
    if mark in _LINES and len(letters) > 1 and letters.isupper() and letters.isalpha():
        return Tree("mul", tuple(map(symbol, letters)))  # the segment AB is also written AB
    if mark in ("mathbf", "hat", "overrightarrow") and letters not in ("i", "j", "k"):
        return symbol(letters)
    return symbol(f"{mark} {letters}" if mark not in ("mathbf", "hat") else f"unit {letters}")


def _argument(c: Cursor) -> Tree:
    """Read an argument in LaTeX's way: a group, or one token, which of a number is one digit."""
    if c.take("{"):
        return c.rules.braced(c)
    token = c.token
    if token.kind == "num" and len(token.text) > 1 and token.text[0].isdigit():
        c.tokens[c.at : c.at + 1] = [Token("num", token.text[0]), Token("num", token.text[1:])]
        return number(int(c.next().text))
    return c.rules.factor(c)


def _radicand(c: Cursor) -> Tree:
    """Read what a root sign covers; without braces a whole number, as people write it."""
    if c.take("{"):
        return c.rules.braced(c)
    if c.token.kind == "num":
        return number(Fraction(c.next().text.rstrip(".")))
    return c.rules.factor(c)


def _function(c: Cursor, name: str) -> Tree:
    """Read a function's power, base and argument: \\sin^2 x, \\log_2 8, \\sin(2x), \\cos 2x."""
    name = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}.get(name, name)
    base: Tree | None = None
    exponent: Tree | None = None
    for _ in range(2):
        if base is None and c.take("_"):
            base = _argument(c)
        elif exponent is None and c.take("^"):
            exponent = negated(c.rules.power(c)) if c.take("-") else _argument(c)
    if c.sees("("):
        argument = c.rules.factor(c)
    else:
        sign = -1 if c.take("-") else 1
        parts = [c.rules.power(c)]
        while (
            c.rules.starts_factor(c)
            and not (c.token.kind == "cmd" and c.token.text in FUNCTIONS)
            and not c.sees("(")
        ):
            parts.append(c.rules.power(c))
        argument = parts[0] if len(parts) == 1 else Tree("mul", tuple(parts))
        argument = negated(argument) if sign < 0 else argument
    arguments = argument.args[2:] if argument.op == "bracket" else (argument,)
    if name == "cbrt":
        tree = Tree("root", (number(3), argument))
    elif name == "abs":
        tree = Tree("abs", (argument,))
    elif name == "exp":
        tree = Tree("pow", (Tree("const", ("e",)), argument))
    elif name == "log" and base is not None:
        tree = Tree("div", (Tree("fn", ("ln", argument)), Tree("fn", ("ln", base))))
    elif name in ("log", "lg"):
        tree = Tree("div", (Tree("fn", ("ln", argument)), Tree("fn", ("ln", number(10)))))
    elif exponent == number(-1) and "arc" + name in FUNCTIONS:
        return Tree("fn", ("arc" + name, *arguments))
    else:
        tree = Tree("fn", (name, *arguments))
    return tree if exponent is None else Tree("pow", (tree, exponent))


_LINES = frozenset(
    {"overline", "bar", "triangle", "overrightarrow", "overleftrightarrow", "widehat"}
)
