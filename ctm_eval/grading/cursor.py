"""A place in the tokens of an answer: what every rule of the grammar reads from and moves."""

from __future__ import annotations

from collections.abc import Callable

from ctm_eval.grading.tokens import Token
from ctm_eval.grading.tree import Tree, Unreadable

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
