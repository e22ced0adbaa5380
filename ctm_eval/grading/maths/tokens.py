"""Tokens of an answer in plain LaTeX or plain text; linear in its length, bounded in number."""

from __future__ import annotations

import re
from typing import NamedTuple

from ctm_eval.grading.maths import units
from ctm_eval.grading.maths.tree import Unreadable

MAX_TOKENS = 12_000
MAX_DIGITS = 1_000


class Token(NamedTuple):
    """`kind` is num, repeating, sym, cmd, word, unit, text, and, op, begin, end or stop."""

    kind: str
    text: str
    spaced: bool = False


def tokenise(cleaned: str) -> list[Token]:
    """Split a text from `text.clean`; raises Unreadable for a character that means nothing here.

    A comma between digits belongs to the number (1,234) outside brackets, and inside them when
    the separating commas are told apart by a space: (1,234, 5).
    """
    tokens: list[Token] = []
    depth, position, spaced = 0, 0, False
    spaced_commas = ", " in cleaned
    match_at = _TOKEN.match
    while position < len(cleaned):
        match = match_at(cleaned, position)
        if match is None:
            raise Unreadable(f"no token at {cleaned[position : position + 10]!r}")
        kind, text, position = match.lastgroup, match[0], match.end()
        if kind == "space":
            spaced = True
            continue
        if kind == "num" and (not depth or spaced_commas):
            thousands = _THOUSANDS.match(cleaned, match.start())
            if thousands:
                text, position = thousands[0].replace(",", ""), thousands.end()
        if kind == "num":
            if len(text) > MAX_DIGITS:
                raise Unreadable("too many digits")
            tokens.append(Token("num", text, spaced))
        elif kind == "letters":
            is_word = (
                len(text) == 3 and cleaned[position : position + 1] == " " and _VOWEL.search(text)
            )
            _letters(text, spaced, tokens, bool(is_word))
        elif kind == "cmd":
            name = text[1:]
            if name in ("begin", "end"):
                group = _GROUP.match(cleaned, position)
                if group is None:
                    raise Unreadable("an environment without a name")
                position = group.end()
                tokens.append(Token(name, group[1].strip(" *"), spaced))
            elif name == "text":
                group = _GROUP.match(cleaned, position)
                if group is None:
                    raise Unreadable("nested text")
                position = group.end()
                _text(group[1], tokens)
            else:
                tokens.append(Token("cmd", name, spaced))
        elif text == "\\$":
            pass  # a currency that is left out and one that is written count as the same
        else:
            text = _SAME.get(text, text)
            if text in "([" or text == "\\{":
                depth += 1
            elif text in ")]" or text == "\\}":
                depth -= 1
            tokens.append(Token("repeating" if kind == "repeating" else "op", text, spaced))
        spaced = False
        if len(tokens) > MAX_TOKENS:
            raise Unreadable("too many tokens")
    tokens.append(Token("stop", ""))
    return tokens


def _letters(run: str, spaced: bool, tokens: list[Token], is_word: bool) -> None:
    """Read a run of letters: a connective, a named function, a unit, a word, or variables."""
    lower = run.lower()
    if lower == "to" and tokens and tokens[-1].kind == "num":
        tokens.append(Token("op", ":", spaced))
    elif lower in _CONNECTIVES:
        tokens.append(Token("and", lower, spaced))
    elif run in NAMED or lower in NAMED and len(run) > 2:
        tokens.append(Token("cmd", _SAME.get(lower, run if run in NAMED else lower), spaced))
    elif tokens and len(run) > 1 and tokens[-1].kind in _BEFORE_UNIT and units.known(run):
        tokens.append(Token("unit", run, spaced))
    elif glued := _GLUED_FUNCTION.fullmatch(run):
        tokens += [Token("cmd", glued[1], spaced), Token("sym", glued[2])]
    elif len(run) > 3 and not run.isupper() or is_word:
        tokens.append(Token("word", run, spaced))
    else:
        for letter in run:
            tokens.append(Token("sym", letter, spaced))
            spaced = False


def _text(content: str, tokens: list[Token]) -> None:
    words = content.strip(" ,;").lower()
    if words == "to" and tokens and tokens[-1].kind == "num":
        tokens.append(Token("op", ":", True))
    elif words in _CONNECTIVES:
        tokens.append(Token("and", words, True))
    elif words in NAMED:
        tokens.append(Token("cmd", _SAME.get(words, words), True))
    elif not words:
        if "," in content:
            tokens.append(Token("op", ",", True))
    elif words[0].isdigit() or words[0] in "-+." or _LETTERS_IN_A_ROW.fullmatch(words):
        tokens += tokenise(content)[:-1]
    elif len(words) == 1 and not (tokens and tokens[-1].kind in _BEFORE_UNIT):
        tokens.append(Token("sym", content.strip(" ,;"), True))
    else:
        tokens.append(Token("text", content.strip(), True))


FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth asin "
    "acos atan log ln lg exp gcd lcm min max abs cbrt det Re Im".split()
)
GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi "
    "rho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi "
    "Omega ell hbar".split()
)
NAMED = FUNCTIONS | GREEK | {"sqrt", "pi", "inf", "infinity", "infty", "frac"}
_CONNECTIVES = frozenset({"and", "or"})
_BEFORE_UNIT = frozenset({"num", "unit"})
_SAME = {
    "**": "^", "<=": "\\le", "=<": "\\le", ">=": "\\ge", "=>": "\\ge", "!=": "\\ne", "==": "=",
    "inf": "infty", "infinity": "infty", "\\%": "%",
}  # fmt: skip
_TOKEN = re.compile(
    r"""(?P<space>[ \t\n]+)
    |(?P<repeating>[0-9]*\.[0-9]*\\(?:overline|bar|dot)\s*(?:\{[0-9]+\}|[0-9]))
    |(?P<num>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)
    |(?P<letters>[A-Za-z]+)
    |(?P<cmd>\\[A-Za-z]+)
    |(?P<op>\\[{}%$|\\]|\*\*|[<>!=]=|=<|[-+*/^_=<>()\[\]{}|,;:!%'&~])""",
    re.VERBOSE,
)
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?")
_VOWEL = re.compile(r"[aeiou]")
_GROUP = re.compile(r"\s*\{([^{}]*)\}")
_LETTERS_IN_A_ROW = re.compile(r"[a-z](?:\s*(?:,|and|or|, and|, or)\s*[a-z])+")
_GLUED_FUNCTION = re.compile(r"(sin|cos|tan|cot|sec|csc|log|ln|sqrt)([a-z])")
