"""Recursive descent over the tokens of one expression: sums, products, powers, functions."""

from __future__ import annotations

from ctm_eval.grading.maths import commands, numerals
from ctm_eval.grading.maths.cursor import MAX_DEPTH, Cursor
from ctm_eval.grading.maths.tree import (
    ZERO,
    Tree,
    Unreadable,
    negated,
    number,
    symbol,
)
from ctm_eval.grading.maths.units import changes_the_value


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
    above, below = [power(c)], []
    while True:
        if c.take("*"):
            sign = _signs(c)
            factor = power(c)
            above.append(negated(factor) if sign < 0 else factor)
        elif c.take("/"):
            sign = _signs(c)
            factor = power(c)
            below.append(negated(factor) if sign < 0 else factor)
        elif starts_factor(c):
            above.append(power(c))
        else:
            break
    top = above[0] if len(above) == 1 else Tree("mul", tuple(above))
    if not below:
        return top
    return Tree("div", (top, below[0] if len(below) == 1 else Tree("mul", tuple(below))))


def starts_factor(c: Cursor) -> bool:
    """Return whether the next token can be multiplied without a sign."""
    token, before = c.token, c.tokens[c.at - 1]
    if token.text in _PRINTS_ITS_GROUP or c.at == c.group_end:
        _refuse_hidden_neighbours(c)
    if token.kind == "num" or token.kind == "repeating":
        exponent = before.kind == "num" and c.tokens[c.at - 2].text == "^" and token.spaced
        if before.kind in ("num", "sym") and not exponent:  # 2^6 3^5
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


def _refuse_hidden_neighbours(c: Cursor) -> None:
    """Raise Unreadable where braces hide that two numbers print as one: {1}2, 1{2}, 1{\\frac{4}{5}}."""
    left, right = c.at - 1, c.at
    if c.at == c.group_end:
        while c.tokens[left].text == "}":
            left -= 1
    elif c.tokens[left - 1].text == "^":
        return  # 2^6{3}
    while c.tokens[right].text in _PRINTS_ITS_GROUP:
        right += 1
    number_follows = c.tokens[right].kind in _DIGITS or c.tokens[right].text == "frac"
    if c.tokens[left].kind in _DIGITS and number_follows:
        raise Unreadable("two numbers side by side")


def power(c: Cursor) -> Tree:
    """Read a factor with its exponent and what else may follow it."""
    base = _postfix(c, factor(c))
    if not c.take("^"):
        return base
    if c.sees("-", "+"):
        sign = _signs(c)
        exponent: Tree | None = power(c)
        if sign < 0 and exponent is not None:
            exponent = negated(exponent)
    else:
        exponent = _exponent(c)
        if exponent is None and base.op == "num" and c.tokens[c.at - 2].text in ("'", "prime"):
            raise Unreadable("a number with a prime")
    return _after_power(c, base if exponent is None else Tree("pow", (base, exponent)))


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
        return power(c)
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
        tree = numerals.read(c)
    elif token.kind == "repeating":
        tree = number(numerals.repeating(c.next().text))
    elif token.kind == "sym":
        tree = commands.variable(c)
    elif token.kind == "cmd":
        tree = commands.command(c)
    elif token.kind in ("word", "text"):
        c.next()
        if c.token.kind in ("num", "sym", "word", "text", "begin") or starts_factor(c):
            raise Unreadable("words in front of a value")
        if changes_the_value(token.text):
            raise Unreadable("a word that changes the value before it")
        tree = symbol(token.text + commands.subscript(c))
    elif c.take("{"):
        tree = braced(c)
        c.group_end = c.at
    elif c.take("|"):
        c.bars += 1
        tree = Tree("abs", (expression(c),))
        c.bars -= 1
        c.expect("|")
    elif token.kind == "begin" or c.sees("(", "[", "\\{"):
        bars, c.bars = c.bars, 0
        tree = c.rules.bracketed(c)
        c.bars = bars
    else:
        raise Unreadable(f"a value expected before {token.text!r}")
    c.depth -= 1
    return tree


def braced(c: Cursor) -> Tree:
    """Read the rest of a group in braces, which may be a fraction with \\over."""
    tree = expression(c)
    if c.sees_command("over"):
        c.next()
        tree = Tree("div", (tree, expression(c)))
    elif c.sees_command("choose"):
        c.next()
        tree = Tree("binom", (tree, expression(c)))
    c.expect("}")
    return tree


_DIGITS = frozenset({"num", "repeating"})
_PRINTS_ITS_GROUP = frozenset({"{", "mathbf", "underline"})
_NOT_A_FACTOR = frozenset(
    "pm mp cup cap setminus in le ge ne approx equiv to pmod circ over choose rfloor rceil rangle notin "
    "implies Rightarrow rightarrow sim subset subseteq langle emptyset mathbb iff quad neg not "
    "leftrightarrow Leftrightarrow cdotp prime perp parallel cong".split()
)
_ORDINALS = frozenset({"st", "nd", "rd", "th"})
