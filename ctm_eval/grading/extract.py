"""Find the final answer in a response.

The places where answers stand are tried from the most to the least explicit: the last closed
`\\boxed{…}` (several joined by 'and' count as one answer), the last `####`, the last 'answer is' or
'Final Answer', and, in a text that ended by itself, the last `$…$` or the last number.
Each looks at a bounded part of the text, so the work is bounded however long it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from ctm_eval.errors import CtmError
from ctm_eval.grading.beside import another, is_denied, joined, with_what_follows
from ctm_eval.grading.statement import MATH, NUMBER, inside_of, is_math, statement, value_of_clause

MAX_TAIL = 40_000
"""Only this many characters at the end of a response are searched."""
THOUGHT = ("<think>", "</think>")
"""What a reasoning model writes before and after its thought."""
MAX_MARKS = 40
"""Only this many boxes, and as many of every other mark, are looked at, from the last one back."""
MAX_ANSWER = 20_000
"""A box that is not closed within this many characters is not an answer."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """An answer found in a text, or the reason why there is none.

    `source` names the mark that it stood behind; `at_end` says that the text stops with it, so
    that a text cut off by a token limit may have lost its last digits.
    """

    answer: str | None
    reason: Literal["found", "no_answer", "truncated", "unfinished_thought"]
    source: str | None = None
    at_end: bool = False

    def __bool__(self) -> bool:
        return self.answer is not None


def extract(text: str, *, finished: bool = True, hash_first: bool = False) -> Extraction:
    """Return the final answer of a response.

    `finished=False` says that the text hit its token limit: then only an explicit answer counts
    (a box, `####`, 'answer is'), since the last number of unfinished work is no answer. A text
    that stops inside a box is unfinished too, whatever its length.
    `hash_first` prefers `####` to a box, as benchmarks that ask for it do.
    A thought (`<think>` … `</think>`) is no part of the response: a thought that does not end gives none.
    """
    response = after_thought(text)
    if response is None:
        return Extraction(None, "unfinished_thought")
    text = _own_part(response)
    marks = ("####", "box", "answer is") if hash_first else ("box", "####", "answer is")
    for source in marks:
        answer = _FINDERS[source](text)
        if answer is not None:
            at_end = source != "box" and text.endswith(answer)
            return Extraction(answer, "found", source, at_end)
    if not finished or _ends_in_open_box(text):
        return Extraction(None, "truncated")
    return _last_value(text)


def after_thought(text: str) -> str | None:
    """Return what follows the last thought of a text; None if the thought does not end.

    A template may open the thought in the prompt, so `</think>` alone ends one too.
    """
    end = text.rfind(THOUGHT[1])
    if text.rfind(THOUGHT[0]) > end:
        return None
    return text if end < 0 else text[end + len(THOUGHT[1]) :]


def boxed(text: str) -> str | None:
    """Return what the last closed, non-empty `\\boxed{…}` of a text holds."""
    return _boxed(text[-MAX_TAIL:])


@lru_cache(maxsize=4096)
def gold_answer(gold: str) -> str:
    """Return the answer in a gold, which is a bare answer or a worked solution."""
    found: str | None = gold
    if "####" in gold:
        found = gold.rsplit("####", 1)[1]
    elif "\\boxed" in gold or "\\fbox" in gold:
        found = boxed(gold)
    if not found or not found.strip():
        raise CtmError(f"no answer in the gold {gold[:80]!r}")
    return found.strip()


def _own_part(text: str) -> str:
    """Return the part before the model goes on to a question of its own making."""
    if len(text) > MAX_TAIL:
        text = text[-MAX_TAIL:]
    if ":" in text and ("Question" in text or "Problem" in text or "\nQ:" in text):
        for match in _NEXT_QUESTION.finditer(text):
            before = text[: match.start()]
            if _HAS_ANSWER.search(before) or not match[1] and _HAS_DIGIT.search(before):
                return before
    end = text.find("<|")
    if end > 0 and _SPECIAL_TOKEN.match(text, end):
        text = text[:end]
    return text.rstrip()


def _boxed(text: str) -> str | None:
    """Return the last box with something in it, joined with those it is listed with."""
    parts: list[str] = []
    start = first = len(text)
    last = 0
    for _ in range(MAX_MARKS):
        start = max(text.rfind("\\boxed", 0, start), text.rfind("\\fbox", 0, start))
        if start < 0:
            break
        content, end = _group(text, start + (6 if text.startswith("\\boxed", start) else 5))
        if content is None or not _IN_A_BOX.search(content):
            continue
        if not parts or end > first:  # the last one, or one around it
            parts, last = [content], end
        elif end + 40 >= first and _joins(text[end:first]):
            parts.insert(0, content)
        else:
            break
        first = start
    if parts and (other := another(text, last)):
        parts.append(other)
    different = list(dict.fromkeys(part.strip() for part in parts))
    answer = " \\text{ and } ".join(different)
    return joined(text, first, answer, last) if answer else None


def _ends_in_open_box(text: str) -> bool:
    """Return whether the last box is never closed: the text stopped inside its answer."""
    start = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    return start >= 0 and _group(text, text.index("{", start))[0] is None


def _joins(between: str) -> bool:
    """Return whether the text between two boxes makes one list of them: 'and', 'or' or a comma."""
    plain = _SPACING.sub(" ", between)
    if "\n" not in between and _SPACING.search(between) and not plain.strip(" $"):
        return True  # \boxed{1} \quad \boxed{2}
    return _JOINT.fullmatch(plain) is not None and _LISTING.search(plain) is not None


def _group(text: str, start: int) -> tuple[str | None, int]:
    """Return the braced group, or the one bare token, that starts at `start`, and its end."""
    while start < len(text) and text[start] == " ":
        start += 1
    if start >= len(text):
        return None, start
    if text[start] != "{":
        match = _BARE.match(text, start)
        return (match[0], match.end()) if match else (None, start)
    depth = 0
    for match in _BRACE.finditer(text, start, start + MAX_ANSWER):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                return text[start + 1 : match.start()], match.end()
    return None, start


def _after_hashes(text: str) -> str | None:
    start = len(text)
    for _ in range(MAX_MARKS):
        start = text.rfind("####", 0, start)
        if start < 0:
            return None
        end = text.find("\n", start)
        line = text[start : end if end >= 0 else len(text)].strip("# \t\r*")
        if line and not _HEADING.match(line):
            said = _ANSWER_IS.search(line)  # #### The answer is 18
            answer = statement(line[said.end() :]) if said else value_of_clause(line)
            return answer and with_what_follows(line, answer)
    return None


def _after_answer_is(text: str) -> str | None:
    lower = text.lower()
    start = len(text)
    for _ in range(MAX_MARKS):
        start = lower.rfind("answer", 0, start)
        if start < 0:
            return None
        field = _FIELD.match(text, start)
        if field:  # {"answer": "18"}
            return (field[1] or field[2]).strip() or None
        tagged = _TAGGED.match(text, start)
        match = tagged or _ANSWER_IS.match(text, start)
        if match is None:
            continue
        said = tagged[1] if tagged else text[match.end() : match.end() + 2_000]
        answer = statement(said)
        if answer is not None and not _is_judgement(answer, text[:start]):
            return with_what_follows(said, answer)
    return None


def _is_judgement(answer: str, before: str) -> bool:
    """Tell 'The other answer is correct' from an answer: it judges another one."""
    judged = _JUDGEMENT.fullmatch(answer) is not None
    return judged and not _ANNOUNCED.search(before[-20:])


def _last_value(text: str) -> Extraction:
    """Return the last `$…$` with a value in it or the last number, whichever comes later."""
    tail = _LIST_INDEX.sub("", text[-4_000:])
    word = _BOLD_WORD.search(tail)
    if word:
        return Extraction(word[1], "found", "bold")
    best, start, at = None, 0, -1
    source = None
    if "$" in tail or "\\(" in tail or "\\[" in tail:
        for match in MATH.finditer(tail):
            inside = inside_of(match)
            if is_math(match, tail) and inside and not _BARE_NAME.fullmatch(inside):
                best, start, at, source = inside, match.start(), match.end(), "math"
    for number in NUMBER.finditer(tail, max(at, 0)):
        base = _BASE.match(tail, number.end())  # 52_8 is not 52
        best, source, start = number[0] + (base[0] if base else ""), "number", number.start()
    bare = list(_BARE_LATEX.finditer(tail, max(at, 0)))
    if bare and not NUMBER.search(tail, bare[-1].end()):
        best, source, start = bare[-1][0], "LaTeX", bare[-1].start()
    if best is None:
        return Extraction(None, "no_answer")
    if is_denied(tail, start):
        best = rf"\text{{not }} {best}"
    elif not best.endswith("%") and (other := _OR_BEFORE.search(tail, max(0, start - 40), start)):
        best = other[0] + best  # 10, 12 or 14, but 0.6 or 60%
    return Extraction(best, "found", source)


_FINDERS: dict[str, Callable[[str], str | None]] = {
    "box": _boxed,
    "####": _after_hashes,
    "answer is": _after_answer_is,
}
_NEXT_QUESTION = re.compile(r"(?:^|\n)[ \t]*[#*]*[ \t]*(?:(?:Question|Problem)( \d+)?|Q) ?:")
_HAS_ANSWER = re.compile(r"\\f?boxed|####|\banswer(?:s\b|:| is\b| are\b)", re.I)
_HAS_DIGIT = re.compile(r"[0-9]")
_ANNOUNCED = re.compile(
    r"(?:^|\n|[*#:.] ?)(?:\W*)(?:final |so,? |hence,? )?(?:the )?(?:final )?\W*$", re.I
)
_BOLD_WORD = re.compile(r"\*\*([A-Za-z][A-Za-z -]{0,40})\*\*[.!]?\s*$")
_BARE_LATEX = re.compile(
    r"-?[0-9]*\\[dt]?frac\{[^{}]{1,80}\}\{[^{}]{1,80}\}|-?[0-9]*\\sqrt\{[^{}]{1,80}\}"
)
_BASE = re.compile(r"_(?:\{[0-9]{1,2}\}|[0-9]{1,2}(?![0-9]))|[₀-₉]{1,2}")
_JUDGEMENT = re.compile(
    r"(?:not |also |now |then )?(?:in)?(?:correct|right|wrong|false|true|known|unknown|clear|valid|unique"
    r"|above|below|given|shown|obtained|found|as follows)\b.{0,40}",
    re.I | re.S,
)
_SPECIAL_TOKEN = re.compile(r"<\|[a-z_|]{1,40}>")
_BRACE = re.compile(r"\\.|[{}]", re.S)
_IN_A_BOX = re.compile(r"[^\s{}$\\,;:.]|\\\{\s*\\\}")  # something, or the empty set
_BARE = re.compile(r"\\?[A-Za-z]+|[-+]?[0-9][0-9.,]*[0-9]|[0-9]")
_JOINT = re.compile(
    r"[\s$.,;)(\\]*(?:\\text\{)?[\s$,]*(?:and|or)?[\s$]*\}?[\s$(\\]*(?:also )?[\s$]*(?:[A-Za-z] ?= ?)?"
)
_SPACING = re.compile(r"\\(?:q?quad|[,;: ])(?![A-Za-z])|~")
_LISTING = re.compile(r",|;|\b(?:and|or)\b")
_HEADING = re.compile(
    r"[0-9]+[.):] +[A-Za-z*]|(?:step|final|answer|solution|conclusion|therefore|explanation|part|case|note"
    r"|verif\w*|check\w*|calculat\w*|summary|result|given|understand\w*|problem|question|method|approach)\b",
    re.I,
)
_ANSWER_IS = re.compile(
    r"answers?\b[\"*_ ]{0,4}(?:\([^()\n]{0,40}\))?[\"*_ ]{0,4}"
    r"(?:(?:to|for|of|in)\b[^.:\n]{0,120}?)?"
    r"(?:\s*(?:\b(?:is|are|was|(?:should|would|will|must) be|equals?|becomes)\b(?: *:)?|:|=>?)|[*_ ]*\n)",
    re.I,
)
_OR_BEFORE = re.compile(r"(?<![\w.,/%])(?<!/ )\d[\d,.]*(?:\s|,|\$|\\[()]){1,4}or\s(?:\$|\\\()?$")
_TAGGED = re.compile(r"(?<=<)answer>(.{1,2000}?)</answer>", re.I | re.S)
_FIELD = re.compile(
    r'(?<=")answer"\s?:\s?(?:"([^"\n]{1,200})"|(-?\d[\d.,/]{0,40}?)\s?[,}\n])', re.I
)
_LIST_INDEX = re.compile(r"^[ \t]*[0-9]{1,2}[.)][ \t]+(?=[A-Za-z*])", re.M)
_BARE_NAME = re.compile(
    r"[A-Za-z](?:_\{?\w\}?)?|\\(?!pi|infty|emptyset|varnothing)[a-z]+|\\?triangle\s*\w+|[A-Z]{2,4}"
)
