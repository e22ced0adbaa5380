"""Grade a response against a gold answer: extraction, then the layers, cheapest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Literal, TypeVar

from ctm_eval.errors import CtmError
from ctm_eval.grading.extract import extract, gold_answer
from ctm_eval.grading.maths import conventions, exact_numbers, text, typed, values
from ctm_eval.grading.maths.tree import Tree, Unreadable, number
from ctm_eval.grading.verdict import Equality, Verdict

T = TypeVar("T")

MAX_REMEMBERED = 200
"""Characters of a text whose readings are kept for the next time it is seen."""
MAX_SYMPY_PAIRS = 4
"""How many elements of one answer sympy is asked about."""


def grade(gold: str, text: str, benchmark: str | None = None, *, finished: bool = True) -> Verdict:
    """Grade the response `text` against `gold`.

    `gold` is a bare answer or a worked solution (with `####` or `\\boxed`) whose answer is taken.
    `benchmark` is the name of a benchmark that asks for answers, or None; it says whether `####` or
    a box is looked for first. `finished=False` says that the text hit its token limit. Raises CtmError
    for another benchmark and for a gold without an answer.
    """
    answer = gold_answer(gold)
    found = extract(text, finished=finished, hash_first=hash_first(benchmark))
    if found.answer is None:
        assert found.reason != "found"
        return Verdict(False, found.reason)
    equality = matches(answer, found.answer)
    if equality:
        return Verdict(True, "correct", found.answer, equality.layer)
    if not finished and found.at_end:
        return Verdict(False, "truncated", found.answer)
    if not equality.decided:
        return Verdict(False, equality.undecided or "unparsed", found.answer)
    return Verdict(False, "wrong", found.answer, equality.layer)


def answer_formats() -> dict[str, str]:
    """Return what marks the final answer in each benchmark that asks for one, such as `####`."""
    from ctm_eval.benchmarks import BENCHMARKS

    return {one.name: one.answer_format for one in BENCHMARKS.values() if one.answer_format}


@lru_cache(maxsize=64)
def hash_first(benchmark: str | None) -> bool:
    """Return whether a benchmark puts its answers after `####`. Raises CtmError for an unknown one."""
    if benchmark is None:
        return False
    formats = answer_formats()
    if benchmark not in formats:
        raise CtmError(
            f"unknown benchmark {benchmark!r}; there are: {', '.join(formats)}", usage=True
        )
    return formats[benchmark] == "####"


def equal(a: str, b: str) -> Equality:
    """Return whether two answers are the same; symmetric, and never evaluates either."""
    a, b = a.strip(), b.strip()
    if a == b:
        return Equality(bool(a.strip()), "text")
    if max(len(a), len(b)) > text.MAX_CHARS:
        return _undecided("unparsed")
    first, second = _cleaned(a), _cleaned(b)
    if len(first) > text.MAX_CHARS or len(second) > text.MAX_CHARS:
        return _undecided("unparsed")
    one, other = _number(first), _number(second)
    if one is not None and other is not None:
        same, convention = exact_numbers.same(one, other)
        return Equality(same, "number", convention=convention)
    if _key(first) == _key(second):
        return Equality(bool(first), "text")
    left = _tree_of(one) if one else _value(first)
    right = _tree_of(other) if other else _value(second)
    if left is None or right is None:
        return _undecided("unparsed")
    comparison = typed.compare(left, right)
    if comparison.same is not None:
        return Equality(comparison.same, "typed", convention=comparison.convention)
    return _ask_sympy(comparison.open) if comparison.open else _undecided("timeout")


def matches(gold: str, answer: str) -> Equality:
    """Return whether `answer` counts as `gold`: `equal`, or a convention that only golds have."""
    equality = equal(gold, answer)
    wanted = _number(_cleaned(gold))
    if not equality and wanted and (spelled := conventions.with_metres(answer)):
        said = equal(gold, spelled)
        return replace(said, convention="m is the metre") if said else said
    if equality or equality.layer == "number" and not (wanted and wanted.places):
        return equality
    value = _value(_cleaned(answer))
    if wanted is not None and value is not None:
        convention = conventions.of_gold(wanted, value)
        if convention:
            return Equality(True, "typed", convention=convention)
    return equality


def _tree_of(read: exact_numbers.Number) -> Tree:
    value = number(read.value)
    return value if read.unit is None else Tree("quantity", (value, read.unit))


def _ask_sympy(pairs: tuple[tuple[Tree, Tree], ...]) -> Equality:
    from ctm_eval.grading import workers
    from ctm_eval.grading.maths import symbolic

    answers: list[bool | None] = []
    if len(pairs) > MAX_SYMPY_PAIRS or not all(
        symbolic.is_tractable(tree) for pair in pairs for tree in pair
    ):
        return _undecided("timeout")
    for first, second in pairs:
        try:
            answers.append(symbolic.same(first, second))
        except workers.WorkerLost:
            return _undecided("timeout")
        if answers[-1] is False:
            return Equality(False, "sympy")
    if None in answers:
        return _undecided("timeout")
    return Equality(True, "sympy")


def _undecided(why: Literal["timeout", "unparsed"]) -> Equality:
    return Equality(False, None, decided=False, undecided=why)


def _remembered(read: Callable[[str], T]) -> Callable[[str], T]:
    """Cache what is read from short texts: golds and answers recur, and long ones cost memory."""
    cached = lru_cache(maxsize=4096)(read)
    return lambda text: cached(text) if len(text) <= MAX_REMEMBERED else read(text)


@_remembered
def _cleaned(answer: str) -> str:
    return text.clean(answer[: text.MAX_CHARS + 1])


@_remembered
def _number(cleaned: str) -> exact_numbers.Number | None:
    return exact_numbers.read(cleaned)


@_remembered
def _key(cleaned: str) -> str:
    return text.key(cleaned)


@_remembered
def _value(cleaned: str) -> Tree | None:
    if len(cleaned) > text.MAX_CHARS:
        return None
    try:
        return values.read(cleaned)
    except Unreadable:
        return None
