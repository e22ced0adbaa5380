"""Steps: where a solution is cut, in characters and in tokens.

    lines       a step ends with a line break; blank lines belong to the step before them
    paragraphs  a step ends with a blank line, as in ProcessBench (arXiv 2412.06559)
    sentences   a step ends with a line break, or with a mark that ends a sentence
    numbered    a step begins with a numbered line (`Step 3:`, `3.`, `3)`); what stands before is one too
    auto        numbered if there are two numbered lines or more, else lines, or sentences in a single line

The steps partition the text: they follow one another, none is blank, and together they are all of it.
"""

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Literal, get_args

from ctm_eval.errors import CtmError

StepRule = Literal["lines", "paragraphs", "sentences", "numbered", "auto"]

LINE = re.compile(r"[^\S\n]*\n\s*")
PARAGRAPH = re.compile(r"[^\S\n]*\n[^\S\n]*\n\s*")
SENTENCE = re.compile(r"[.!?]+[)\]}\"'’”*]*\s+(?=[^\W_]|[\\$([\"'“‘*#-])|[。！？]+\s*")
NUMBER = r"(?:\*\*)?(?:step\s*)?\(?\d{1,3}(?:[.):]|\s*[-–—:])"
NUMBERED = re.compile(rf"(?im)^[^\S\n]*(?:#+\s*)?(?:{NUMBER})(?=\s|\*|$)")
ABBREVIATION = re.compile(
    r"(?i)(?:^|[\s(])(?:e\.g|i\.e|etc|vs|cf|viz|resp|approx|fig|eq|eqs|thm|prop|mr|mrs|ms|dr)\.$"
)


def text_steps(text: str, rule: StepRule = "lines") -> list[tuple[int, int]]:
    """The steps of a text as (start, end) in characters; none for a blank text.

    Raises CtmError for an unknown rule.
    """
    if rule not in get_args(StepRule):
        known = ", ".join(get_args(StepRule))
        raise CtmError(f"unknown rule of steps {rule!r}; there are: {known}", usage=True)
    if not text.strip():
        return []
    edges = [0]
    for cut in sorted({*_cuts(text, rule)}):
        if text[edges[-1] : cut].strip() and text[cut:].strip():
            edges.append(cut)
    return list(pairwise([*edges, len(text)]))


def token_steps(pieces: Sequence[str], rule: StepRule = "lines") -> list[range]:
    """The steps of a solution as ranges of its tokens, by the text of each token.

    A token belongs to the step in which it says its first word; one that is blank or says nothing, as a
    special token does, to the step before it. The ranges partition all of the tokens; a solution that
    says nothing is one step, and a step that shares all its tokens with its neighbours is none.
    """
    if not pieces:
        return []
    ends = [end for _, end in text_steps("".join(pieces), rule)]
    starts, step = [0], 0
    offsets = accumulate(map(len, pieces), initial=0)
    for i, (piece, offset) in enumerate(zip(pieces, offsets, strict=False)):
        said = len(piece) - len(piece.lstrip())
        if said == len(piece):
            continue
        at = offset + said
        if step < len(ends) and at >= ends[step]:
            while at >= ends[step]:
                step += 1
            starts.append(i)
    return [range(*edge) for edge in pairwise([*starts, len(pieces)])]


def step_of(steps: Sequence[range], token: int) -> int:
    """The index of the step that a token is in. Raises ValueError if it is in none."""
    for index, step in enumerate(steps):
        if token in step:
            return index
    raise ValueError(f"token {token} is in none of {len(steps)} steps")


def step_values(value: Sequence[float | None], steps: Sequence[range]) -> list[float | None]:
    """The value after each step: that of its last token (the soft label of arXiv 2312.08935, eq. 4)."""
    return [value[step[-1]] for step in steps]


def _cuts(text: str, rule: StepRule) -> list[int]:
    """Where a step may begin, in characters."""
    if rule == "auto":
        if len(numbered := _cuts(text, "numbered")) >= 2:
            return numbered
        lines = _cuts(text, "lines")
        return lines if any(text[cut:].strip() for cut in lines) else _cuts(text, "sentences")
    if rule == "numbered":
        return [match.start() for match in NUMBERED.finditer(text)]
    if rule == "paragraphs":
        return [match.end() for match in PARAGRAPH.finditer(text)]
    cuts = [match.end() for match in LINE.finditer(text)]
    if rule == "sentences":
        cuts += [match.end() for match in SENTENCE.finditer(text) if _ends(text, match)]
    return cuts


def _ends(text: str, match: "re.Match[str]") -> bool:
    """Whether a mark ends a sentence, and not an abbreviation or the number of a line."""
    if not match[0].startswith(".") or match[0].startswith(".."):
        return True
    line = text[text.rfind("\n", 0, match.start()) + 1 : match.start() + 1]
    return not (ABBREVIATION.search(line) or re.fullmatch(rf"(?i)\W*{NUMBER}", line))
