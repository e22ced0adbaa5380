"""The value in a sentence: what follows 'the answer is', `####` or stands in bold."""

from __future__ import annotations

import re

from ctm_eval.grading.beside import another

MAX_SENTENCE = 200
"""A number is looked for in a longer sentence only at its end."""


def statement(rest: str) -> str | None:
    """Return the answer at the start of what follows 'the answer is'."""
    rest = _MARKS_BEFORE.sub("", rest, count=1).removeprefix("~")
    if not rest:
        return None
    math = MATH.match(rest)
    if math and is_math(math, rest):
        inside = inside_of(math)
        more = _MORE_MATH.match(rest, math.end())
        if more:
            return rest[: more.end()]
        unit = _UNIT_AFTER.match(rest, math.end())
        found = inside + (unit[0] if unit else "") if inside else None
        return _with_another(found, rest, unit.end() if unit else math.end())
    bold = _BOLD_END.search(rest[:200])
    line = rest.split("\n", 1)[0]
    span = _BOLD_SPAN.match(line)  # Janet makes **18 dollars** a day
    if span and not _NO_VALUE_AFTER.search(line, 0, span.start(1)):
        return _with_another(value_of_clause(span[1]), line, span.end())
    if bold and bold.start() < len(line) and bold.start() > 0:
        return _with_another(value_of_clause(line[: bold.start()]), line, bold.end())
    return value_of_clause(line)


def _with_another(answer: str | None, text: str, end: int) -> str | None:
    other = another(text, end) if answer else None
    return rf"{answer} \text{{ or }} {other}" if other else answer


def value_of_clause(line: str) -> str | None:
    """Cut a line of plain text down to the answer that it starts with or, failing that, ends on."""
    clause = _CLAUSE_END.split(line, maxsplit=1)[0].strip(" \t*_`")
    clause = _LEAD.sub("", clause)
    if not clause.strip(" .,;:$"):
        return None
    clause = _NEGATIVE.sub("-", clause)
    short = clause if len(clause) <= MAX_SENTENCE else ""
    stated = _COMPARED.fullmatch(short) or _STATED.fullmatch(short)
    if stated:
        return stated[1]
    if len(clause.split()) > 4 and not _STARTS_LIKE_MATH.match(clause):
        said = _SAID_LAST.search(clause)
        if said:  # the volume of $ABCD$ is 120
            return statement(said[1])
        spans = [m for m in MATH.finditer(clause) if is_math(m, clause)]
        if spans:
            return inside_of(spans[-1]) or None
        numbers = list(NUMBER.finditer(clause))
        if numbers and not _NO_VALUE_AFTER.search(clause, 0, numbers[-1].start()):
            return numbers[-1][0]
    counted = _COUNT_THEN_MORE.match(clause)
    if counted:  # 366 downloads in 3 months
        clause = counted[1]
    return clause.rstrip(_ENDING) or None


def inside_of(match: re.Match[str]) -> str:
    """Return what stands between math delimiters; of several aligned lines the last one."""
    inside = next(group for group in match.groups() if group is not None).strip()
    if "\\begin{align" in inside:
        rows = [row for row in _ALIGNED.sub("", inside).split("\\\\") if row.strip()]
        inside = rows[-1].replace("&", "").strip() if rows else ""
    return inside


def is_math(match: re.Match[str], text: str) -> bool:
    """Tell `$x + 1$` from two prices, `$5 and $7`: a closing dollar follows no space."""
    if match["dollar"] is None:
        return True
    inside = match["dollar"]
    opens_price = inside[:1].isdigit() and inside[-1:].isspace()
    return not opens_price and not text[match.end() : match.end() + 1].isdigit()


_SAID_LAST = re.compile(
    r".*\b(?:is|are|equals)\s+(?:equal to\s+)?([-$\\(\[{]?\s?[\d\\$].{0,200})$", re.S
)
_ENDING = " .,;:✅✓✔🎉😊🙂👍\ufe0f"
MATH = re.compile(
    r"\$\$(?P<double>[^$]+)\$\$|(?<!\\)\$(?P<dollar>[^$\n]*?[^$\n\\])\$"
    r"|\\\((?P<round>.+?)\\\)|\\\[(?P<square>.+?)\\\]",
    re.S,
)
_ALIGNED = re.compile(r"\\(?:begin|end)\{align(?:ed)?\*?\}")
_MARKS_BEFORE = re.compile(r"\A(?:[\s:*_=#}`]|(?<=[\n=])>)+")
_MORE_MATH = re.compile(
    r"(?:\s*(?:(?:, and\b|, or\b|,|and\b|or\b|to\b|[-–+/×])\s*|(?=(?:\$|\\\()-?[0-9]))"
    r"(?:\$[^$\n]{1,200}\$|\\\(.{1,200}?\\\)))+"
)
_UNIT_AFTER = re.compile(r"\s?(?:%|\\%|°| ?(?:square |cubic )?[a-z]{1,12}\b(?! [a-z]))")
_BOLD_END = re.compile(r"(?<!\d)\*\*|\*\*(?!\d)|__")
_CLAUSE_END = re.compile(
    r"\.(?:\s|$)|[!?](?:\s|$)|;\s(?![-$\\(]{0,2}\d)"
    r"|\s(?:because|since|as|so|which|where|but|i\.e\.|therefore|hence|thus)\b"
    r"|\s(?:if|when)\b(?!.{0,100}\b(?:else|otherwise)\b.{0,30}\d)"  # 18 if it rains, else 19
    r"(?!.{0,100}(?:,|\band\b|\bor\b)\s?[$\\(]{0,2}\d\S{0,12}\s(?:if|when)\b)"
    r"|,\s(?=(?:so|and then|as|since|because|which|not|but|the|this|i|it|we|given|where|after)\b)"
    r"|\s[-–—]\s(?=[A-Za-z]{2})|\s\((?=[A-Za-z]{2})(?!(?:or|alternatively|maybe|perhaps|possibly)\b.{0,20}\d)",
    re.I,
)
_LEAD = re.compile(
    r"^(?:(?:that|the|it|either|there|about|approximately|approx\.?|exactly|equal to|simply|just|option"
    r"|choice|only|now|still|therefore,?|thus)\s+)+(?:(?:is|are)\s+)?",
    re.I,
)
_STARTS_LIKE_MATH = re.compile(
    r"[-+(\[{\\$€£¥₹.]?\s?[\d\\({\[]|[A-Za-z]\s?(?:\([A-Za-z]\)\s?)?[=<>]|[-+]?[A-Za-z]\b"
)
NUMBER = re.compile(
    r"(?<![\w.])(?:(?<![\d)])-)?(?:\\?\$)?(?:\d{1,3}(?:(?:,|\{,\}|[\u00a0\u2009\u202f'’])\d{3})+(?![\d])"
    r"|\d{1,3} \d{1,3}(?=/\d)|\d+)(?:\.\d+)?(?:e[-+]?\d{1,3})?"
    r"(?:\s?/\s?\d+(?:,\d{3})*)?(?:\s?\\?%|(?<=\d)[kK]\b| (?:thousand|million|billion)\b)?"
    r"|(?<![\w.])-?\.\d+"
)
_COUNT_THEN_MORE = re.compile(
    r"(-?\$?\d[\d,]*(?:\.\d+)?(?: (?!and\b|or\b|to\b|base\b|times\b|plus\b|minus\b)[A-Za-z]{2,20}){1,6}?)"
    r" (?:in|for|per|after|of|at|on|over|with|by|from|during|within|each|every|out of) (?=.*\d)"
)
_BOLD_SPAN = re.compile(r"[^\d*$\\]{1,120}\*\*([^*\n]*\d[^*\n]*)\*\*")
_NEGATIVE = re.compile(r"^(?:negative|minus)\s+(?=\d)", re.I)
_COUNTED = r"-?\\?\$?\d[\d,]{0,20}(?:\.\d{1,20})?\\?%?"
_COMPARED = re.compile(  # 25 more pencils than Marcus, but not 5 more than 7, nor 10 thousand more
    rf"({_COUNTED})(?!.*\b(?:half|twice|double|triple|times|dozen|one|two|three|four|five|six|seven|eight|nine|ten"
    r"|hundred|thousand|million|billion|percent)\b)(?: [a-z]+){0,3} (?:more|fewer|less|older|younger|taller"
    r"|shorter|longer|heavier|lighter|faster|slower|higher|lower|deeper|bigger|larger|smaller)"
    r"(?: [a-z]+){0,3} than [A-Za-z'’ ]+",
    re.I,
)
_STATED = re.compile(  # He has 10 apples
    r"(?:(?:[A-Za-z'’]+ ){0,2}(?:takes|took|costs?|needs?|makes?|made|has|have|had|earns?|earned|gets?|got"
    r"|weighs?|saves?|saved|spends?|spent|pays?|paid|receives?|eats?|ate|sold|sells?|bought|buys?|is|are"
    rf"|was|were) |a total of )({_COUNTED}(?: [A-Za-z]+)?)",
    re.I,
)
_NO_VALUE_AFTER = re.compile(
    r"\b(?:than|at least|at most|but|or|minus|plus|times|not|never|n['’]t)[\s$*(]*$", re.I
)
