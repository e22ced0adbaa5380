"""A place in the tokens of an answer: what every rule of the grammar reads from and moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ctm_eval.grading.maths.tokens import Token
from ctm_eval.grading.maths.tree import Tree, Unreadable

MAX_DEPTH = 50


class Rules(NamedTuple):
    """The rules of the grammar that call each other; every file reaches the others' through here."""

    expression: Callable[[Cursor], Tree]
    power: Callable[[Cursor], Tree]
    factor: Callable[[Cursor], Tree]
    braced: Callable[[Cursor], Tree]
    starts_factor: Callable[[Cursor], bool]
    bracketed: Callable[[Cursor], Tree]


class Cursor:
    """A place in a list of tokens; `bars` counts the `|` that are open, `depth` the nesting.

    `group_end` is the place after the last group in braces that prints nothing of its own.
    """

    __slots__ = ("at", "bars", "depth", "group_end", "rules", "tokens")

    def __init__(self, tokens: list[Token], rules: Rules) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.bars = 0
        self.group_end = -1
        self.rules = rules

    @property
    def token(self) -> Token:
        """The token that is next to be read."""
        return self.tokens[self.at]

    def next(self) -> Token:
        """Return the next token and step over it."""
        token = self.tokens[self.at]
        self.at += 1
        return token

    def sees(self, *texts: str) -> bool:
        """Return whether the next token is one of these signs."""
        token = self.tokens[self.at]
        return token.kind == "op" and token.text in texts

    def take(self, *texts: str) -> bool:
        """Step over the next token if it is one of these signs, and return whether it was."""
        if self.sees(*texts):
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        """Step over a sign that has to be there; raises Unreadable."""
        if not self.take(text):
            raise Unreadable(f"{text} expected before {self.token.text!r}")

    def sees_command(self, *names: str) -> bool:
        """Return whether the next token is one of these commands."""
        token = self.tokens[self.at]
        return token.kind == "cmd" and token.text in names
