"""Answers that are no formula: words, a letter of a choice, a time of day."""

from __future__ import annotations

import re

from ctm_eval.grading.maths.numerals import BASES
from ctm_eval.grading.maths.tree import Tree, number
from ctm_eval.grading.maths.units import changes_the_value


def choice(cleaned: str) -> Tree | None:
    """Read a letter of multiple choice: (B), \\text{B}, B) 17, \\textbf{(B)} 17."""
    match = _CHOICE.fullmatch(cleaned)
    if match is None:
        return None
    letter = match["bracketed"] or match["worded"] or match["named"] or match["marked"]
    rest = (match["rest"] or "").strip()
    first = _FIRST_WORD.match(rest)
    changed = first is not None and changes_the_value(first[1])
    another = _LETTER.search(rest) and not _FORMULA.search(rest)  # (C) loses to D
    if not _IS_RIGHT.fullmatch(rest) and (
        changed or another or _SAYS_MORE.search(rest) or _GOES_ON.match(rest)
    ):
        return None
    return Tree("choice", (letter.upper(), (match["rest"] or "").strip(" :.")))


def lettered(cleaned: str) -> Tree | None:
    """Read a number of a base above ten, whose digits have letters among them: A3_{16}."""
    match = _LETTERED.fullmatch(cleaned)
    base = match and (BASES.get(match[2].lower(), match[2]))
    return Tree("based", (match[1], int(base))) if match and base and base.isdigit() else None


def time(cleaned: str) -> Tree | None:
    """Read a time of day: 3:45, 3:45 p.m., 10 a.m., 15:45."""
    inside = _TEXT.fullmatch(cleaned)
    match = _TIME.fullmatch(inside[1].strip() if inside else cleaned)
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


def date(cleaned: str) -> Tree | None:
    """Read a day of the year: June 5, 5 June, the 5th of June."""
    match = _DATE.fullmatch(_TEXT.sub(r"\1", cleaned))
    if match is None:
        return None
    month, day = match["first"] or match["last"], int(match["day"] or match["before"])
    return Tree("words", (f"{month.lower()[:3]} {day}",))


def words(cleaned: str) -> Tree | None:
    """Read an answer that is words; runs of letters that are mathematics are left to the parser."""
    if len(cleaned) > 2_000:
        return None
    if "_" in cleaned or "^" in cleaned:
        return None
    plain = _TEXT.sub(r" \1 ", cleaned)
    if remark := _REMARK.fullmatch(plain.strip()):
        return Tree("words", ("yes" if remark[1] else "no",))
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
    phrase = "does not exist" if phrase == "dne" else phrase
    if phrase in _NUMBER_WORDS:
        return number(_NUMBER_WORDS[phrase])
    if phrase in _EMPTY:
        return Tree("empty", ())
    if phrase in _REALS:
        return Tree("reals", ())
    return Tree("words", (phrase,))


_IS_RIGHT = re.compile(
    r"(?:is )?(?:the )?(?:correct|right)(?: answer| option| choice)?[.!}]*", re.I
)
_SAYS_MORE = re.compile(
    r"[(][A-Z][)]|\\text\s?\{\s?[A-Z]\s?\}"
    r"|\b(?:and|or|nor|xor|nand|not|isn|n't|neither|either|wrong|false|incorrect|is|are|was|cannot|can|could|may"
    r"|might|should|would|has|have|but|except|unless|if|instead|excluded|both|versus|vs)\b",
    re.I,
)
_LETTER = re.compile(r"(?<![A-Za-z])[B-HJ](?![A-Za-z'])")
_FORMULA = re.compile(r"[0-9=^_+]|\\(?!text|mathbf)")
_FIRST_WORD = re.compile(r"(?!(?:none|all|both|some) of\b)(?:\\text\s*\{\s*)?([A-Za-z]+)", re.I)
_GOES_ON = re.compile(
    r"[-+*/^_=<>&|!,;'?%#@]|[^\x00-\x7f]|[A-J]\b"
    r"|\\(?!(?:frac|sqrt|text|mathbf|pi|binom|overline|angle|triangle|checkmark|sin|cos|tan|log|ln|infty"
    r"|emptyset|mathbb|begin|lfloor|lceil|alpha|beta|theta)(?![a-z])|[{$])"
)
_CHOICE = re.compile(
    r"""(?:\\text\s?\{)?(?:[Oo]ption\ |[Cc]hoice\ )?
    (?: (?:\\text\s?\{\s?)?\(\s?(?:\\text\s?\{\s?)?(?P<bracketed>[A-Z])\s?\}?\s?\)
      | \\text\s?\{\s?(?P<worded>[A-J])(?=[\s}).:])
      | (?:(?<=ption\ )|(?<=hoice\ ))(?P<named>[A-J])\b
      | (?P<marked>[A-J])(?=[).:]\s|[).:]$))
    [).:]?\s*\}?[).:]?\s*(?P<rest>(?![,;}]|and\b|or\b).{0,200})""",
    re.S | re.X,
)
_TIME = re.compile(
    r"([0-9]{1,2})(?:\s?:\s?([0-9]{2}))?\s*(?:(?:\\text)?\s*\{?\s*([aApP])\.?\s?[mM]\.?\s*\}?)?"
)
_MONTH = "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
_MONTH += "|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
_DATE = re.compile(
    rf"(?P<first>{_MONTH})\.? (?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?"
    rf"|(?:the )?(?P<before>[0-9]{{1,2}})(?:st|nd|rd|th)? (?:of )?(?P<last>{_MONTH})\.?",
    re.I,
)
_REMARK = re.compile(
    r"(yes),? (?:it|they|he|she|there|this|that) (?:is|are|does|do|can|will|has|have)"
    r"|(?:no),? (?:it|they|he|she|there|this|that) (?:is|are|does|do|can|will|has|have) ?n[o']t",
    re.I,
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
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen".split()
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_NUMBER_WORDS = {
    **{word: value for value, word in enumerate(_ONES)},
    **{word: 10 * value for value, word in enumerate(_TENS, 2)},
    **{
        f"{ten} {one}": 10 * tens + ones
        for tens, ten in enumerate(_TENS, 2)
        for ones, one in enumerate(_ONES[1:10], 1)
    },
    "hundred": 100,
    "one hundred": 100,
}
_EMPTY = frozenset(
    {"no solution", "no solutions", "no real solution", "no real solutions", "empty set"}
)
_REALS = frozenset({"all real numbers", "all reals", "real numbers", "all real"})
