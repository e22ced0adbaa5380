"""Typed values: an answer as a list, relation, interval, set, matrix, word, choice, time, …"""

from __future__ import annotations

import re
from functools import lru_cache

from ctm_eval.grading.maths import identity, plain_answers
from ctm_eval.grading.maths.cursor import Cursor, Rules
from ctm_eval.grading.maths.expression import braced, expression, factor, power, starts_factor
from ctm_eval.grading.maths.numerals import based
from ctm_eval.grading.maths.numeric import real_value
from ctm_eval.grading.maths.rationals import rational
from ctm_eval.grading.maths.tokens import tokenise
from ctm_eval.grading.maths.tree import (
    EXPRESSIONS,
    INFINITY,
    ZERO,
    Tree,
    Unreadable,
    children,
    negated,
    symbol,
    symbols,
    walk,
)
from ctm_eval.grading.maths.units import changes_the_value, counts

MAX_ITEMS = 6_000


@lru_cache(maxsize=16)  # an answer is read once, though several layers ask for it
def read(cleaned: str) -> Tree:
    """Return the typed value of a text from `text.clean`; raises Unreadable."""
    try:
        return _read(cleaned)
    except Unreadable:
        operation = _OPERATION_THEN_VALUE.fullmatch(cleaned)
        if operation is None or _says_more(cleaned):
            raise
        # \lim_{x \to 0} \frac{\sin x}{x} = 1 says what the limit is
        between, last = operation[1], _constant(operation[2] or operation[3])
        if last is None:
            raise
        middle = _constant(between) if between else None
        if middle is not None and not identity.same(middle, last):
            raise
        return last


def _constant(written: str) -> Tree | None:
    try:
        tree = _read(written)
    except Unreadable:
        return None
    return tree if tree.op in EXPRESSIONS and not symbols(tree) else None


def _says_more(operation: str) -> bool:
    """Return whether a limit, sum or remainder has words in it, or is one of several."""
    if _WORDS.search(operation):
        return True
    for _ in range(4):
        operation = _INNERMOST.sub("", operation)
    return "," in operation or ";" in operation


def _read(cleaned: str) -> Tree:
    tree = (
        plain_answers.choice(cleaned)
        or plain_answers.time(cleaned)
        or plain_answers.date(cleaned)
        or plain_answers.words(cleaned)
        or plain_answers.lettered(cleaned)
    )
    if tree is not None:
        return tree
    if (excepted := _EXCEPT.fullmatch(cleaned)) and cleaned != excepted[1]:
        return Tree("minus", (Tree("reals", ()), _as_set(_read(excepted[1]))))
    if "]" in cleaned or "[" in cleaned:
        cleaned = _INTERVAL.sub(_with_round_brackets, cleaned)
    try:
        cursor = Cursor(tokenise(cleaned), _RULES)
        if cursor.sees("=", "~") or cursor.sees_command("approx"):
            cursor.next()
        tree = _statement(cursor)
    except RecursionError as error:  # the caller's own stack may be deep already
        raise Unreadable("nested too deeply") from error
    except IndexError as error:
        raise Unreadable("the text stops in the middle") from error
    if cursor.token.kind != "stop":
        raise Unreadable(f"unexpected {cursor.token.text!r}")
    _refuse_structures_in_arithmetic(tree)
    return tree


def _with_round_brackets(interval: re.Match[str]) -> str:
    """Write ]1, 2[ as (1, 2): a bracket that is turned away leaves its end out (ISO 80000-2)."""
    opening, ends, closing = interval.groups()
    return f"{'[' if opening == '[' else '('}{ends}{']' if closing == ']' else ')'}"


def _refuse_structures_in_arithmetic(tree: Tree) -> None:
    for node in walk(tree):
        if node.op in EXPRESSIONS and any(child.op not in EXPRESSIONS for child in children(node)):
            raise Unreadable(f"a {node.op} of something that is no expression")


def _statement(c: Cursor) -> Tree:
    """Read what stands on its own: one item, or several joined by commas, `and`, `or`."""
    items, connective = [_item(c)], ","
    while True:
        if c.sees(",", ";"):
            c.next()
            if c.token.kind == "and":
                connective = c.next().text
        elif c.token.kind == "and":
            connective = c.next().text
        elif items[-1].op == "quantity" and c.token.kind == "num":
            connective = "and"  # 4 hours 30 minutes
        else:
            break
        if c.token.kind == "stop":
            if c.tokens[c.at - 1].kind == "and":
                raise Unreadable("a list that goes on")
            break
        items.append(_item(c))
        if len(items) > MAX_ITEMS:
            raise Unreadable("a long list")
    first = items[0]
    unequal = first.op == "rel" and first.args[0] == ("!=",) and first.args[1].op == "sym"
    if unequal and len(items) > 1 and all(item.op in EXPRESSIONS for item in items[1:]):
        excluded = Tree("set", (first.args[2], *items[1:]))  # x != 2, 3
        return Tree("rel", (("!=",), first.args[1], excluded))
    return first if len(items) == 1 else Tree("list", (connective, *items))


def _as_set(tree: Tree) -> Tree:
    if tree.op == "set":
        return tree
    items = tree.args[1:] if tree.op == "list" else (tree,)
    if not all(item.op in EXPRESSIONS for item in items):
        raise Unreadable("an exception that is no number")
    return Tree("set", tuple(items))


def _item(c: Cursor) -> Tree:
    """Read a relation, or a value with its unit."""
    operands = [_union(c)]
    operators: list[str] = []
    while True:
        if c.sees_command("approx") and operands[-1].op != "sym":
            c.next()
            rounded = _union(c)  # 2\sqrt{5} \approx 4.47: the exact value is the answer
            if not _is_about(operands[-1], rounded):
                raise Unreadable("two values that are not about the same")
            break
        operator = _relation_sign(c)
        if not operator:
            break
        operators.append(operator)
        operands.append(_union(c))
    tree = operands[0] if not operators else Tree("rel", (tuple(operators), *operands))
    if c.token.kind in ("text", "unit") or c.token.kind in ("word", "sym") and c.token.spaced:
        tree = _with_note(c, tree)
    if c.sees("|") and tree.op == "rel" and not c.bars:  # {x in R | x > 0} without its braces
        raise Unreadable("a condition outside a set")
    return tree


def _is_about(exact: Tree, rounded: Tree) -> bool:
    """Return whether a value is another one rounded, within a twentieth of it."""
    one, other = (
        real_value(tree) if tree.op in EXPRESSIONS else None
        for tree in (_bare(exact), _bare(rounded))
    )
    if one is None or other is None:
        return False
    return abs(one - other) <= 0.05 * max(abs(one), abs(other))


def _bare(tree: Tree) -> Tree:
    return tree.args[0] if tree.op in ("quantity", "percent", "degree") else tree


def _relation_sign(c: Cursor) -> str:
    token = c.token
    if token.kind == "op" and token.text in _SIGNS:
        c.next()
        return _SIGNS[token.text]
    if token.kind == "cmd" and token.text in _SIGN_COMMANDS:
        c.next()
        return _SIGN_COMMANDS[token.text]
    return ""


def _with_note(c: Cursor, tree: Tree) -> Tree:
    """Read the words after a value: its unit, or a remark."""
    words: list[str] = []
    while c.token.kind in ("text", "unit", "word", "sym", "num") or c.sees("/", "^", "{", "}", "*"):
        if c.token.kind == "num" and c.tokens[c.at - 1].text not in ("^", "{"):
            break
        words.append(c.next().text)
        if len(words) > 40:
            raise Unreadable("many words after a value")
    unit = " ".join(words)
    if c.token.kind == "num":
        unit = unit.removesuffix(" and")  # 4 hours and 30 minutes
    if not counts(unit, rational(tree)) or changes_the_value(unit):
        raise Unreadable("words that change the value before them, or are no unit of it")
    if _DANGLING_MARK.search(unit) or _DIGIT_IN_NOTE.search(unit):
        raise Unreadable("a mark or a digit in a unit")
    if tree.op == "rel":
        *rest, last = tree.args
        return Tree("rel", (*rest, Tree("quantity", (last, unit))))
    return Tree("quantity", (tree, unit))


def _union(c: Cursor) -> Tree:
    tree = _ratio(c)
    while True:
        if c.sees_command("cup", "cap", "setminus"):
            op = {"setminus": "minus"}.get(c.token.text, c.token.text)
        elif c.token.text in ("U", "u") and c.token.kind == "sym" and tree.op in ("bracket", "cup"):
            op = "cup"
        elif tree.op == "reals" and c.sees("-"):
            op = "minus"
        else:
            return tree
        c.next()
        right = _ratio(c)
        if op == tree.op == "cup":
            tree = Tree("cup", (*tree.args, right))
        else:
            tree = Tree(op, (tree, right))
        if len(tree.args) > 200:
            raise Unreadable("a long union")


def _ratio(c: Cursor) -> Tree:
    if c.sees_command("pm", "mp") or not _starts_structure(c):
        tree = expression(c)
    else:
        start = c.at
        tree = _bracketed(c)
        if tree.op in _STRUCTURES:
            return tree
        c.at = start
        tree = expression(c)
    if not c.sees(":") or c.bars:
        return tree
    parts = [tree]
    while c.take(":"):
        parts.append(expression(c))
    if not all(part.op in EXPRESSIONS for part in parts) or ZERO in parts:
        raise Unreadable("a ratio of something that is no number")
    return Tree("ratio", tuple(parts))


def _starts_structure(c: Cursor) -> bool:
    if c.token.kind == "begin" or c.sees("(", "[", "\\{"):
        return True
    return c.sees_command("langle", "emptyset", "mathbb")


def _bracketed(c: Cursor) -> Tree:
    """Read what opens with a bracket, `\\{`, `\\langle`, `\\begin`, or is a named set."""
    if c.token.kind == "begin":
        return _matrix(c)
    c.depth += 1
    if c.depth > 50:
        raise Unreadable("nested too deeply")
    opening = c.next().text
    if opening == "emptyset":
        tree = Tree("empty", ())
    elif opening == "mathbb":
        tree = _named_set(c)
    elif opening == "\\{":
        tree = _set(c)
    elif opening == "langle":
        tree = _until(c, "<", "rangle")
    else:
        tree = _until(c, opening, ")", "]")
    c.depth -= 1
    return tree


def _until(c: Cursor, opening: str, *closings: str) -> Tree:
    items: list[Tree] = []
    while True:
        items.append(_item(c))
        if len(items) > MAX_ITEMS:
            raise Unreadable("a long tuple")
        if not (c.take(",") or c.take(";")):
            break
    closing = c.next()
    if closing.text not in closings:
        raise Unreadable(f"an open {opening}")
    if len(items) == 1:
        if (opening, closing.text) not in (("(", ")"), ("[", "]"), ("<", "rangle")):
            raise Unreadable("unlike brackets around one value")
        if opening == "(" and c.sees("_") and items[0].op == "num":
            return _based(c, items[0])
        return items[0]
    return Tree("bracket", (opening, ">" if opening == "<" else closing.text, *items))


def _based(c: Cursor, digits: Tree) -> Tree:
    c.next()
    braced = c.take("{")
    base = c.next().text
    if braced:
        c.expect("}")
    return based(str(digits.args[0]), base)


def _set(c: Cursor) -> Tree:
    if c.take("\\}"):
        return Tree("empty", ())
    items: list[Tree] = []
    c.bars += 1  # a bar in braces is 'such that'
    while True:
        items.append(_item(c))
        if len(items) > MAX_ITEMS:
            raise Unreadable("a long set")
        if not (c.take(",") or c.take(";")):
            break
    if len(items) == 1 and (c.take("|") or c.take(":")):
        condition = _statement(c)
        c.expect("\\}")
        c.bars -= 1
        return Tree("builder", (items[0], condition))
    c.bars -= 1
    c.expect("\\}")
    return Tree("set", tuple(items))


def _named_set(c: Cursor) -> Tree:
    braced = c.take("{")
    name = c.next().text
    if braced:
        c.expect("}")
    if name == "R" and c.sees("^") and c.tokens[c.at + 1].text in ("+", "-"):
        c.next()
        positive = c.next().text == "+"
        return Tree(
            "bracket", ("(", ")", *((ZERO, INFINITY) if positive else (negated(INFINITY), ZERO)))
        )
    return Tree("reals", ()) if name == "R" else symbol("mathbb " + name)


def _matrix(c: Cursor) -> Tree:
    environment = c.next().text
    if environment not in _MATRICES:
        raise Unreadable(environment)
    if environment == "array" and c.take("{"):
        while not c.take("}"):
            c.next()
    rows: list[list[Tree]] = [[]]
    while c.token.kind != "end":
        rows[-1].append(_item(c))
        if c.sees("\\\\"):
            while c.take("\\\\"):
                pass
            if c.token.kind != "end":
                rows.append([])
        elif not c.take("&") and c.token.kind != "end":
            raise Unreadable("a matrix entry")
    c.next()
    width = len(rows[0])
    if not width or any(len(row) != width for row in rows):
        raise Unreadable("rows of different lengths")
    cells = tuple(cell for row in rows for cell in row)
    return Tree("det" if environment == "vmatrix" else "matrix", (len(rows), width, *cells))


_OPERATION = (
    r"\\(?:lim|sum|prod|int|det|begin\{vmatrix\}|max|min|sup|inf)(?![a-z])"
    r"(?:\{(?:[^{}]|\{[^{}]*\})*\}|[^=<>{}]){1,400}"
)
_OPERATION_THEN_VALUE = re.compile(
    rf"{_OPERATION}(?:={_OPERATION})?(?:=([^=]{{1,200}}))?=([^=]{{1,200}})"
    r"|[^=<>]{1,200}\\(?:bmod|pmod)[^=<>]{1,200}=([^=]{1,200})"
)
_WORDS = re.compile(
    r"\\(?:text|ne|not|neg)(?![a-z])|(?<![\\{A-Za-z])(?:and|or|[A-Za-z]{4,})(?![A-Za-z])"
)
_INNERMOST = re.compile(r"[({\[][^(){}\[\]]*[)}\]]")
_EXCEPT = re.compile(
    r"(?:\\text\s?\{)?(?:all )?real numbers,? (?:except|other than|but)(?: for)? ?\}?([^{}]{1,80})\}?"
)
_INTERVAL = re.compile(
    r"(?:^|(?<=[\s=,(])|(?<=\\in)|(?<=\\cup))([][])([^][(),;]+[,;][^][(),;]+)((?<!\\sqrt)[][])(?=[\s,)\\]|$)"
)
_DIGIT_IN_NOTE = re.compile(
    r"(?<!\^)(?<!\^ )(?<!\^\{)(?<!\^ \{ )[0-9]|[0-9]{2}|[^A-Za-z0-9 .,/^{}\\$€£¥₹°'*-]"
)
_DANGLING_MARK = re.compile(r"\^(?!\s*\{?\s*-?\s*[1-9](?![0-9]))|[*/]\s*$")
_SIGNS = {"=": "=", "<": "<", ">": ">", "\\le": "<=", "\\ge": ">=", "\\ne": "!="}
_SIGN_COMMANDS = {
    "le": "<=", "ge": ">=", "ne": "!=", "in": "in", "approx": "=", "equiv": "=", "to": "=",
}  # fmt: skip
_STRUCTURES = frozenset("bracket set builder empty reals matrix based".split())
_MATRICES = frozenset("matrix pmatrix bmatrix Bmatrix smallmatrix array vmatrix".split())
_RULES = Rules(expression, power, factor, braced, starts_factor, _bracketed)
