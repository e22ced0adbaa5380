"""Recursive descent over the tokens of one expression: sums, products, powers, functions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from ctm_eval.grading.tokens import FUNCTIONS, GREEK, Token
from ctm_eval.grading.tree import (
    EXPRESSIONS,
    IMAGINARY,
    INFINITY,
    ONE,
    ZERO,
    Tree,
    Unreadable,
    negated,
    number,
    symbol,
)

MAX_DEPTH = 50


class Cursor:
    """A place in a list of tokens; `bars` counts the `|` that are open, `depth` the nesting."""

    __slots__ = ("at", "bars", "bracketed", "depth", "tokens")

    def __init__(self, tokens: list[Token], bracketed: Callable[[Cursor], Tree]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.bars = 0
        self.bracketed = bracketed

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def next(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def sees(self, *texts: str) -> bool:
        token = self.tokens[self.at]
        return token.kind == "op" and token.text in texts

    def take(self, *texts: str) -> bool:
        if self.sees(*texts):
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise Unreadable(f"{text} expected before {self.token.text!r}")

    def sees_command(self, *names: str) -> bool:
        token = self.tokens[self.at]
        return token.kind == "cmd" and token.text in names


def expression(c: Cursor) -> Tree:
    """Read a sum: terms joined by +, -, plus-or-minus."""
    terms: list[Tree] = []
    sign = _signs(c)
    if c.sees_command("pm", "mp"):
        terms.append(ZERO)
    else:
        first = _term(c)
        terms.append(negated(first) if sign < 0 else first)
    while True:
        if c.sees("+", "-"):
            sign = _signs(c)
            if c.sees_command("pm", "mp"):
                continue
            term = _term(c)
            terms.append(negated(term) if sign < 0 else term)
        elif c.sees_command("pm", "mp"):
            op = c.next().text
            left = terms[0] if len(terms) == 1 else Tree("add", tuple(terms))
            terms = [Tree(op, (left, _term(c)))]
        else:
            break
    return terms[0] if len(terms) == 1 else Tree("add", tuple(terms))


def _signs(c: Cursor) -> int:
    sign = 1
    while c.sees("+", "-"):
        if c.next().text == "-":
            sign = -sign
    return sign


def _term(c: Cursor) -> Tree:
    """Read a product; a/b*c is (a/b)*c. It stays flat, so that a long one is not a deep tree."""
    above, below = [_power(c)], []
    while True:
        if c.take("*"):
            sign = _signs(c)
            factor = _power(c)
            above.append(negated(factor) if sign < 0 else factor)
        elif c.take("/"):
            sign = _signs(c)
            factor = _power(c)
            below.append(negated(factor) if sign < 0 else factor)
        elif _starts_factor(c):
            above.append(_power(c))
        else:
            break
    if len(above) == 1 and not below:
        return above[0]
    if not all(part.op in EXPRESSIONS for part in (*above, *below)):
        raise Unreadable("a tuple in a product")
    top = above[0] if len(above) == 1 else Tree("mul", tuple(above))
    if not below:
        return top
    return Tree("div", (top, below[0] if len(below) == 1 else Tree("mul", tuple(below))))


def _starts_factor(c: Cursor) -> bool:
    """Return whether the next token can be multiplied without a sign."""
    token, before = c.token, c.tokens[c.at - 1]
    if token.kind == "num" or token.kind == "repeating":
        if before.kind in ("num", "sym"):
            raise Unreadable("two numbers side by side")
        return True
    if token.kind == "sym":
        return True
    if token.kind == "cmd":
        return token.text not in _NOT_A_FACTOR
    if token.kind == "begin":
        return False
    if token.kind == "op":
        return token.text in ("(", "{", "[") or token.text == "|" and c.bars == 0
    return False


def _power(c: Cursor) -> Tree:
    base = _postfix(c, factor(c))
    if not c.take("^"):
        return base
    if c.sees("-", "+"):
        sign = _signs(c)
        exponent = _power(c)
        exponent = negated(exponent) if sign < 0 else exponent
    else:
        exponent = _exponent(c)
        if exponent is None:
            return _after_power(c, base)
    if (
        base.op == "fn"
        and exponent.op == "num"
        and base.args[0] in FUNCTIONS
        and len(base.args) == 1
    ):
        raise Unreadable("a function without an argument")
    return _after_power(c, Tree("pow", (base, exponent)))


def _after_power(c: Cursor, tree: Tree) -> Tree:
    return _postfix(c, tree) if c.sees("!", "%", "'") else tree


def _exponent(c: Cursor) -> Tree | None:
    """Read what follows `^`; None for a mark that does not change the value (a prime, `th`)."""
    c.depth += 1
    if c.depth > MAX_DEPTH:
        raise Unreadable("nested too deeply")
    try:
        if c.sees("{"):
            inner = c.tokens[c.at + 1]
            after = c.tokens[c.at + 2]
            if after.text == "}" and (
                inner.text.lower() in _ORDINALS or inner.text in ("'", "prime")
            ):
                c.at += 3
                return None
            c.next()
            tree = expression(c)
            c.expect("}")
            return tree
        if c.token.text.lower() in _ORDINALS and c.token.kind in ("text", "word"):
            c.next()
            return None
        return _power(c)
    finally:
        c.depth -= 1


def _postfix(c: Cursor, tree: Tree) -> Tree:
    """Read what may follow a factor: factorial, percent and degree signs."""
    if c.sees("!"):
        c.next()
        if c.sees("!"):
            raise Unreadable("a double factorial")
        tree = Tree("fact", (tree,))
    if c.take("%"):
        tree = Tree("percent", (tree,))
    elif (width := _degree_sign(c)) > 0:
        c.at += width
        tree = Tree("degree", (tree,))
    return tree


def _degree_sign(c: Cursor) -> int:
    """Return how many tokens the degree sign at the cursor has, 0 if there is none."""
    following = ["circ" if t.text in ("o", "circ") else t.text for t in c.tokens[c.at : c.at + 4]]
    if following[:2] == ["^", "circ"]:
        return 2
    if following == ["^", "{", "circ", "}"]:
        return 4
    return 1 if c.sees_command("circ") else 0


def factor(c: Cursor) -> Tree:
    """Read one factor: a number, a variable, a group, a function with its argument."""
    c.depth += 1
    if c.depth > MAX_DEPTH:
        raise Unreadable("nested too deeply")
    token = c.token
    if token.kind == "num":
        tree = _number(c)
    elif token.kind == "repeating":
        tree = number(_repeating(c.next().text))
    elif token.kind == "sym":
        tree = _symbol(c)
    elif token.kind == "cmd":
        tree = _command(c)
    elif token.kind in ("word", "text"):
        c.next()
        if c.token.kind in ("num", "sym", "word", "text", "begin") or _starts_factor(c):
            raise Unreadable("words in front of a value")
        tree = symbol(token.text + _subscript(c))
    elif c.take("{"):
        tree = _braced(c)
    elif c.take("|"):
        c.bars += 1
        tree = Tree("abs", (expression(c),))
        c.bars -= 1
        c.expect("|")
    elif token.kind == "begin" or c.sees("(", "[", "\\{"):
        bars, c.bars = c.bars, 0
        tree = c.bracketed(c)
        c.bars = bars
    else:
        raise Unreadable(f"a value expected before {token.text!r}")
    c.depth -= 1
    return tree


def _braced(c: Cursor) -> Tree:
    tree = expression(c)
    if c.sees_command("over"):
        c.next()
        tree = Tree("div", (tree, expression(c)))
    c.expect("}")
    return tree


def _number(c: Cursor) -> Tree:
    text = c.next().text
    if c.sees("_") or c.token.text.lower() == "base":
        return _based(c, text)
    value = Fraction(text.rstrip(".") if text != "." else "0")
    if text.isdigit() and c.sees_command("frac"):
        start = c.at
        part = _command(c)
        if _proper(part):
            return number(value + _ratio(part))
        c.at = start
    elif text.isdigit() and c.token.kind == "num" and c.token.spaced:
        over, slash, under = (
            token.text for token in (c.tokens[c.at : c.at + 3] + c.tokens[-1:])[:3]
        )
        if over.isdigit() and slash == "/" and under.isdigit() and int(over) < int(under):
            c.at += 3
            return number(value + Fraction(int(over), int(under)))
    return number(value)


def _proper(tree: Tree) -> bool:
    """Return whether a tree is a proper fraction of whole numbers, the tail of a mixed number."""
    if tree.op != "div" or tree.args[0].op != "num" or tree.args[1].op != "num":
        return False
    top, bottom = tree.args[0].args[0], tree.args[1].args[0]
    return top.denominator == bottom.denominator == 1 and 0 < top < bottom


def _ratio(tree: Tree) -> Fraction:
    return tree.args[0].args[0] / tree.args[1].args[0]


def _based(c: Cursor, digits: str) -> Tree:
    """Read the base of a number: 52_8, 52_{\\text{eight}}, 52 base 8."""
    c.next()
    words: list[str] = []
    if c.take("{"):
        while not c.take("}"):
            words.append(c.next().text.lower())
    else:
        words.append(c.next().text.lower())
    name = " ".join(words).replace("base", "").strip("( )")
    base = BASES.get(name, name)
    return based(digits, base)


def based(digits: str, base: str) -> Tree:
    """Return a number in a base from 2 to 36; raises Unreadable for any other subscript."""
    if not (base.isdigit() and len(base) < 3 and 1 < int(base) < 37 and digits.isdigit()):
        raise Unreadable("a subscript that is no base")
    return Tree("based", (digits.lstrip("0") or "0", int(base)))


def _repeating(text: str) -> Fraction:
    """Return the value of 0.1\\overline{6}."""
    head, _, tail = text.partition("\\")
    period = "".join(ch for ch in tail if ch.isdigit())
    whole, _, part = head.partition(".")
    start = Fraction(int((whole + part) or "0"), 10 ** len(part))
    return start + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(part))


def _symbol(c: Cursor) -> Tree:
    token = c.next()
    name = token.text + _subscript(c)
    while c.take("'"):
        name += "'"
    if name == "i":
        return IMAGINARY
    if name == "e":
        return Tree("const", ("e",))
    if name in ("f", "g", "h") and c.sees("(") and not c.token.spaced:
        return Tree("fn", (name, factor(c)))
    return symbol(name)


def _subscript(c: Cursor) -> str:
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


def _command(c: Cursor) -> Tree:
    name = c.next().text
    if name == "frac":
        return Tree("div", (_argument(c), _argument(c)))
    if name == "sqrt":
        degree = ONE
        if c.take("["):
            degree = expression(c)
            c.expect("]")
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
        return symbol(name + _subscript(c))
    if name in ("lfloor", "lceil"):
        tree = Tree("floor" if name == "lfloor" else "ceil", (expression(c),))
        if not c.sees_command("rfloor", "rceil"):
            raise Unreadable("an open floor")
        c.next()
        return tree
    if name in ("overline", "bar", "hat", "tilde", "widehat", "mathbf", "dot", "angle", "triangle",
                "measuredangle", "overrightarrow", "overleftrightarrow", "underline"):  # fmt: skip
        return _decorated(c, name)
    if name in ("langle", "emptyset", "mathbb"):
        c.at -= 1
        return c.bracketed(c)
    if name in ("ldots", "prime"):
        return symbol(name)
    raise Unreadable(f"\\{name}")


def _decorated(c: Cursor, mark: str) -> Tree:
    """Read a name with a mark on it: a vector, a line, an angle."""
    letters = ""
    braced = c.take("{")
    while c.token.kind in ("sym", "word") and len(letters) < 40:
        letters += c.next().text
        letters += _subscript(c)
        if not braced and mark not in ("angle", "triangle", "measuredangle"):
            break
    if braced:
        if not letters:
            tree = expression(c)
            c.expect("}")
            return tree
        c.expect("}")
    if not letters:
        raise Unreadable(f"\\{mark} of nothing")
    if mark in ("mathbf", "hat", "overrightarrow") and letters not in ("i", "j", "k"):
        return symbol(letters)
    return symbol(f"{mark} {letters}" if mark not in ("mathbf", "hat") else f"unit {letters}")


def _argument(c: Cursor) -> Tree:
    """Read an argument in LaTeX's way: a group, or one token, which of a number is one digit."""
    if c.take("{"):
        return _braced(c)
    token = c.token
    if token.kind == "num" and len(token.text) > 1 and token.text[0].isdigit():
        c.tokens[c.at : c.at + 1] = [Token("num", token.text[0]), Token("num", token.text[1:])]
        return number(int(c.next().text))
    return factor(c)


def _radicand(c: Cursor) -> Tree:
    """Read what a root sign covers; without braces a whole number, as people write it."""
    if c.take("{"):
        return _braced(c)
    if c.token.kind == "num":
        return number(Fraction(c.next().text.rstrip(".")))
    return factor(c)


def _function(c: Cursor, name: str) -> Tree:
    """Read a function's power, base and argument: \\sin^2 x, \\log_2 8, \\sin(2x), \\cos 2x."""
    name = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}.get(name, name)
    base: Tree | None = None
    exponent: Tree | None = None
    for _ in range(2):
        if base is None and c.take("_"):
            base = _argument(c)
        elif exponent is None and c.take("^"):
            exponent = negated(_power(c)) if c.take("-") else _argument(c)
    if c.sees("("):
        argument = factor(c)
    else:
        sign = -1 if c.take("-") else 1
        parts = [_power(c)]
        while (
            _starts_factor(c)
            and not (c.token.kind == "cmd" and c.token.text in FUNCTIONS)
            and not c.sees("(")
        ):
            parts.append(_power(c))
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


_NOT_A_FACTOR = frozenset(
    "pm mp cup cap setminus in le ge ne approx equiv to pmod circ over rfloor rceil rangle notin "
    "implies Rightarrow rightarrow sim subset subseteq langle emptyset mathbb iff quad neg not "
    "leftrightarrow Leftrightarrow cdotp prime perp parallel cong".split()
)
_ORDINALS = frozenset({"st", "nd", "rd", "th"})
BASES = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "sixteen": "16", "hex": "16",
}  # fmt: skip
