"""Typed values: an answer as a list, relation, interval, set, matrix, word, choice, time, …"""

from __future__ import annotations

import re

from ctm_eval.grading.expression import BASES, Cursor, based, expression
from ctm_eval.grading.tokens import tokenise
from ctm_eval.grading.tree import INFINITY, ZERO, Tree, Unreadable, negated, number, symbol

MAX_ITEMS = 6_000


def read(cleaned: str) -> Tree:
    """Return the typed value of a text from `text.clean`; raises Unreadable."""
    tree = _choice(cleaned) or _time(cleaned) or _words(cleaned) or _lettered(cleaned)
    if tree is not None:
        return tree
    try:
        cursor = Cursor(tokenise(cleaned), _bracketed)
        if cursor.sees("=", "~") or cursor.sees_command("approx"):
            cursor.next()
        tree = _statement(cursor)
    except RecursionError as error:  # the caller's own stack may be deep already
        raise Unreadable("nested too deeply") from error
    except IndexError as error:
        raise Unreadable("the text stops in the middle") from error
    if cursor.token.kind != "stop":
        raise Unreadable(f"unexpected {cursor.token.text!r}")
    return tree


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
        else:
            break
        if c.token.kind == "stop":
            break
        items.append(_item(c))
        if len(items) > MAX_ITEMS:
            raise Unreadable("a long list")
    return items[0] if len(items) == 1 else Tree("list", (connective, *items))


def _item(c: Cursor) -> Tree:
    """Read a relation, or a value with its unit."""
    operands = [_union(c)]
    operators: list[str] = []
    while True:
        if c.sees_command("approx") and operands[-1].op != "sym":
            c.next()
            _union(c)  # 2\\sqrt{5} \\approx 4.47: the exact value is the answer
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
        if c.token.kind == "num" and not c.tokens[c.at - 1].text in ("^", "{"):
            break
        words.append(c.next().text)
        if len(words) > 40:
            raise Unreadable("many words after a value")
    unit = " ".join(words)
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
    return Tree("ratio", tuple(parts))


def _starts_structure(c: Cursor) -> bool:
    return c.sees("(", "[", "\\{") or c.token.kind == "begin" or c.sees_command("langle", "emptyset", "mathbb")  # fmt: skip


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


def _choice(cleaned: str) -> Tree | None:
    """Read a letter of multiple choice: (B), \\text{B}, B) 17, \\textbf{(B)} 17."""
    match = _CHOICE.fullmatch(cleaned)
    if match is None:
        return None
    letter = match["bracketed"] or match["worded"] or match["named"] or match["marked"]
    return Tree("choice", (letter.upper(), (match["rest"] or "").strip(" :.")))


def _lettered(cleaned: str) -> Tree | None:
    """Read a number of a base above ten, whose digits have letters among them: A3_{16}."""
    match = _LETTERED.fullmatch(cleaned)
    base = match and (BASES.get(match[2].lower(), match[2]))
    return Tree("based", (match[1], int(base))) if match and base and base.isdigit() else None


def _time(cleaned: str) -> Tree | None:
    match = _TIME.fullmatch(cleaned)
    if match is None:
        return None
    hours, minutes = int(match[1]), int(match[2] or 0)
    half = (match[3] or "").lower()
    if hours > 24 or minutes > 59 or not (match[2] or half) or half and not 0 < hours < 13:
        return None
    if half:
        hours = hours % 12 + (12 if half == "p" else 0)
    certain = bool(half) or hours > 12 or hours == 0
    return Tree("time", (hours % 24 * 60 + minutes, certain))


def _words(cleaned: str) -> Tree | None:
    """Read an answer that is words; runs of letters that are mathematics are left to the parser."""
    if len(cleaned) > 2_000:
        return None
    if "_" in cleaned or "^" in cleaned:
        return None
    plain = _TEXT.sub(r" \1 ", cleaned)
    if not _WORDS.fullmatch(plain):
        return None
    runs = _RUN.findall(plain)
    wrapped = plain != cleaned
    if (
        not wrapped
        and cleaned.lower() != "no"
        and not any(len(run) > 2 and run.lower() not in _MATHEMATICAL for run in runs)
    ):
        return None
    if not any(len(run) > 1 and run.lower() not in _MATHEMATICAL for run in runs):
        return None
    if len(runs) == 1 and (2 < len(runs[0]) < 4 and not wrapped and not _VOWEL.search(runs[0])):
        return None
    parts = [part for part in _SEPARATOR.split(plain) if part.strip(" .,")]
    values = [_one_word(part) for part in parts]
    return values[0] if len(values) == 1 else Tree("list", ("and", *values))


def _one_word(text: str) -> Tree:
    words = [word for word in _RUN.findall(text.lower()) if word not in ("the", "a", "an")]
    phrase = " ".join(words)
    if phrase in _NUMBER_WORDS:
        return number(_NUMBER_WORDS.index(phrase))
    if phrase in _EMPTY:
        return Tree("empty", ())
    if phrase in _REALS:
        return Tree("reals", ())
    return Tree("words", (phrase,))


_SIGNS = {"=": "=", "<": "<", ">": ">", "\\le": "<=", "\\ge": ">=", "\\ne": "!="}
_SIGN_COMMANDS = {
    "le": "<=", "ge": ">=", "ne": "!=", "in": "in", "approx": "=", "equiv": "=", "to": "=",
}  # fmt: skip
_STRUCTURES = frozenset("bracket set builder empty reals matrix based".split())
_MATRICES = frozenset("matrix pmatrix bmatrix Bmatrix smallmatrix array vmatrix".split())
_CHOICE = re.compile(
    r"(?:\\text\s?\{)?(?:[Oo]ption |[Cc]hoice )?(?:(?:\\text\s?\{\s?)?\(\s?(?:\\text\s?\{\s?)?(?P<bracketed>[A-J])\s?\}?\s?\)"
    r"|\\text\s?\{\s?(?P<worded>[A-J])(?=[\s}).:])|(?:(?<=ption )|(?<=hoice ))(?P<named>[A-J])\b|(?P<marked>[A-J])(?=[).:]\s|[).:]$))"
    r"[).:]?\s*\}?[).:]?\s*(?P<rest>(?![,;}]|and\b|or\b).{0,200})",
    re.S,
)
_TIME = re.compile(
    r"([0-9]{1,2})(?:\s?:\s?([0-9]{2}))?\s*(?:(?:\\text)?\s*\{?\s*([aApP])\.?\s?[mM]\.?\s*\}?)?"
)
_LETTERED = re.compile(
    r"\(?(?=[0-9]*[A-F])([0-9A-F]{1,40})\)?\s?_\s?\{?\s?(?:\\text\s?\{)?\s?(1[1-6]|[a-z]{3,8})\s?\}?\s?\}?"
)
_TEXT = re.compile(r"\\(?:text|mathbf)\s*\{([^{}]*)\}")
_WORDS = re.compile(r"[A-Za-z ,.'’\-;]+")
_RUN = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)?")
_VOWEL = re.compile(r"[aeiouyAEIOUY]")
_SEPARATOR = re.compile(r",\s*and\b|,\s*or\b|\band\b|\bor\b|[,;]")
_MATHEMATICAL = frozenset(
    "pi inf infinity infty theta alpha beta gamma sin cos tan log ln sqrt and or xy xyz abc ab bc ac "
    "pq mn rs".split()
)
_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty".split()
)
_EMPTY = frozenset(
    {"no solution", "no solutions", "no real solution", "no real solutions", "empty set"}
)
_REALS = frozenset({"all real numbers", "all reals", "real numbers", "all real"})
