"""What stands beside an answer and makes it another one, or none: a second value, an operation, 'not'."""

from __future__ import annotations

import re

MAX_OTHER = 80
"""Only so many characters behind an answer may name another one."""
MAX_WORDS = 32
"""Only so many characters in front of an answer may deny it, or join it to more."""
MAX_JOINED = 20_001
"""So much of an expression is read on either side of its box; the grader reads no answer as long."""


def another(text: str, end: int) -> str | None:
    """Return the answer that a text names behind one: '5 or 7', '5, or maybe $7$', '5. No, 7.'."""
    rest = text[end : end + MAX_OTHER]
    if corrected := _CORRECTED.match(rest):
        return corrected[1]
    match = _OR_ANOTHER.match(rest) if any(word in rest for word in _JOINERS) else None
    return next((group for group in match.groups() if group), None) if match else None


def is_denied(text: str, start: int) -> bool:
    """Return whether the words in front of a value say that it is not the answer."""
    near = _in_front(text, start)
    spoken = near[-1:].isalpha() or near[-1:] == "≠" or "\\not" in near
    return spoken and _DENIED.search(near) is not None


def is_withdrawn(text: str, end: int, answer: str) -> bool:
    """Return whether the words behind a number say that it is not the answer: '5, which is wrong'.

    Of anything else they may well be said: 'B is wrong' answers 'Which of them is wrong?'.
    """
    rest = text[end : end + MAX_OTHER]
    judged = any(word in rest for word in _WRONG) and any(map(str.isdigit, answer))
    return judged and _WITHDRAWN.match(rest) is not None


def with_what_follows(said: str, answer: str) -> str:
    """Return an answer of a sentence with what the words behind it make of it: none, or one of two."""
    at = said.find(answer)
    if at < 0 or at and said[at - 1].isalnum():  # not written so ('negative 3'), or the 5 of 15
        return answer
    end = at + len(answer)
    if is_withdrawn(said, end, answer):
        return rf"\text{{not }} {answer}"
    other = another(said, end)
    return rf"{answer} \text{{ or }} {other}" if other else answer


def joined(text: str, start: int, answer: str, end: int) -> str:
    """Return the answer of a box (from `start` to `end`), or what it is a part of.

    `$-\\boxed{5}$` says -5 and `$6 - \\boxed{3}$` says 3; 'not $\\boxed{5}$' and '$\\boxed{5}$ is wrong'
    say nothing that can be read.
    """
    if is_denied(text, start) or is_withdrawn(text, end, answer):
        return rf"\text{{not }} {answer}"
    near = _in_front(text, start)
    after = text[end : end + MAX_JOINED] if _OPERATION.match(text, end) else ""
    after = _BORDER.split(after, maxsplit=1)[0]
    if _WORD.search(_COMMAND.sub(" ", after)):
        after = ""  # 5 - 3 of them remain
    if not after and not (near[-1:] in _JOINING and _CHANGES.search(near)):
        return answer
    before = _BORDER.split(text[max(0, start - MAX_JOINED) : start])[-1]
    return (
        f"{before}{{{answer}}}{after or _BORDER.split(text[end : end + MAX_JOINED], maxsplit=1)[0]}"
    )


def _in_front(text: str, start: int) -> str:
    """Return the last characters in front of a value, without what opens it."""
    return text[max(0, start - MAX_WORDS) : start].rstrip(" ${(\\\n")


_JOINERS = ("or", "be", "ly", "well as")
_OR_ANOTHER = re.compile(
    r"[\s$.,;?*_)}(]{0,6}(?:\\text\s?\{\s?)?\b(?:or|alternatively|maybe|perhaps|possibly|as well as"
    r"|(?:but|though)\s(?:it\s)?(?:could|may|might|can)\s(?:(?:also|well)\s)?be)\b[\s,}]*"
    r"(?:(?:even|else|also|rather|maybe|perhaps|possibly|it|is|just)\b\s*){0,3}(?:\*\*|[(])?\s*"
    r"(?:\$([^$\n]{1,60})\$|\\\((.{1,60}?)\\\)|\\boxed\{([^{}]{1,60})\}|(-?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?\\?%?))",
    re.I,
)
_CORRECTED = re.compile(  # 5. Wait, actually it is 7.
    r"[ $.,;:!?*)}–—-]{1,8}"
    r"(?:(?:wait|no|hmm|oh|sorry|oops|actually|correction|i mean|rather)\b[\s,.:!–—-]*){1,4}"
    r"(?:(?:it|that|this|answer|the|should|must|be|is|['’]s|make)\b\s*){0,5}"
    r"[$*(]{0,3}(-?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?\\?%?)[$*).!\s]*(?:\n|\Z)",
    re.I,
)
_DENIED = re.compile(
    r"(?:(?:\b(?:not|never|cannot be)|n't|n’t)(?: (?:be|equal to|the|a|an|just|simply|exactly))?"
    r"|\\neq?|\\not ?=|≠)$"
)
_WRONG = ("wrong", "correct", "right", "false")
_WITHDRAWN = re.compile(
    r"[\s$*)\\\].,;:–—-]{0,8}(?:(?:but|and|or|no|wait|hmm|oh|actually|sorry|oops|which|that|this|it|answer|value"
    r"|the)\b[\s,.]*|\.\.\.\s*){0,5}"
    r"(?:\(\s?|(?:is|was|['’]s|must be|has to be)\s(?:clearly |also |still |just )?|(?:is|was)(?=n['’]t))"
    r"(?:wrong|incorrect|false|(?:not|n['’]t)\s(?:the )?(?:correct|right))\b",
    re.I,
)
_JOINING = "-+−/^mpstv"  # the last letters of \pm, \mp, \times, \cdot, \sqrt, \div
_CHANGES = re.compile(
    r"(?:(?<![\s*-])[-+−/^]|(?<=[=({,&\[$])[ ]?[-+−]|\\(?:pm|mp|times|cdot|div|sqrt))$"
)
_OPERATION = re.compile(
    r"[ }]?(?:\^(?![ {]*\\(?:circ|prime|dagger|text|mathrm))"
    r"|\\(?:times|cdot|div|pm|mp)(?![A-Za-z])|[-+−*/])[ ]?(?![-*])[^\s$]"
)
_COMMAND = re.compile(r"\\(?:text|mathrm|operatorname)\s?\{[^{}]*\}|\\[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]{2}")
_BORDER = re.compile(r"[=$&\n]|\\[()\[\]]|\.\s|\.$")
