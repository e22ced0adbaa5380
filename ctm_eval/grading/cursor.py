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
