"""What grading answers with: a verdict on a response, an equality of two answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "correct",
    "wrong",
    "no_answer",
    "truncated",
    "unfinished_thought",
    "timeout",
    "unparsed",
    "refused",
]
Layer = Literal["text", "number", "typed", "sympy"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The grade of one response.

    `reason` says how it came about: `correct`; `wrong` (an answer, and a different one);
    `no_answer` (nothing in the text can be read as one); `truncated` (the text hit its token limit
    before giving one); `unfinished_thought` (`<think>` without its end); `timeout` (the comparison ran
    into a limit of time or size); `unparsed` (the answer could not be read as mathematics and is not the
    gold's text); `refused` (a program that the sandbox stopped because it wanted more than it is given).
    `answer` is what was extracted and `layer` the layer that decided, if one did. `suspicious` says what a
    program did that an honest one would not (`SECURITY.md`); '' for nothing, None where no program was run.
    """

    correct: bool
    reason: Reason
    answer: str | None = None
    layer: Layer | None = None
    suspicious: str | None = None


@dataclass(frozen=True, slots=True)
class Equality:
    """Whether two answers are the same; truthy when they are.

    `decided` is False when no layer could tell: then `equal` is False and `undecided` says why.
    `convention` names the rule by which two values that are not identical still count as the same
    answer (a unit left out, say); without one the answers are equal as mathematics or as text.
    """

    equal: bool
    layer: Layer | None
    decided: bool = True
    convention: str | None = None
    undecided: Literal["timeout", "unparsed"] | None = None

    def __bool__(self) -> bool:
        return self.equal
