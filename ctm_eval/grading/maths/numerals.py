"""Numbers as people write them: decimals, mixed and repeating ones, numbers in a base."""

from __future__ import annotations

from fractions import Fraction

from ctm_eval.grading.maths.cursor import Cursor
from ctm_eval.grading.maths.tree import Tree, Unreadable, number


def read(c: Cursor) -> Tree:
    """Read a number: a decimal, a mixed number (1\\frac{4}{5}, 3 1/2), or one with its base."""
    text = c.next().text
    if c.sees("_") or c.token.text.lower() == "base":
        return _based(c, text)
    value = Fraction(text.rstrip(".") if text != "." else "0")
    if text.isdigit() and c.sees_command("frac"):
        start = c.at
        part = c.rules.factor(c)
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
    if int(max(digits)) >= int(base):
        raise Unreadable("a digit that its base does not have")
    return Tree("based", (digits.lstrip("0") or "0", int(base)))


def repeating(text: str) -> Fraction:
    """Return the value of 0.1\\overline{6}."""
    head, _, tail = text.partition("\\")
    period = "".join(ch for ch in tail if ch.isdigit())
    whole, _, part = head.partition(".")
    start = Fraction(int((whole + part) or "0"), 10 ** len(part))
    return start + Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(part))


BASES = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "sixteen": "16", "hex": "16",
}  # fmt: skip
