"""Say how a verdict came about: what was extracted, its forms, the layer that decided."""

from __future__ import annotations

from ctm_eval.grading.extract import extract, gold_answer
from ctm_eval.grading.grade import grade, hash_first, matches
from ctm_eval.grading.maths import exact_numbers, text, values
from ctm_eval.grading.maths.tree import Tree, Unreadable


def explain(gold: str, text: str, benchmark: str | None = None, *, finished: bool = True) -> str:
    """Return the grading of a response in words: a line a step, for people to read."""
    verdict = grade(gold, text, benchmark, finished=finished)
    found = extract(text, finished=finished, hash_first=hash_first(benchmark))
    lines = [f"verdict   {'correct' if verdict.correct else 'not correct'} ({verdict.reason})"]
    lines += ["gold", *_forms(gold_answer(gold))]
    if found.answer is None:
        return "\n".join([*lines, "answer    none found"])
    lines += [f"answer    found by: {found.source}", *_forms(found.answer)]
    equality = matches(gold_answer(gold), found.answer)
    lines.append(f"layer     {equality.layer or 'none decided'}")
    if equality.convention:
        lines.append(f"because   {equality.convention}")
    return "\n".join(lines)


def show(tree: Tree) -> str:
    """Return a tree as a line of nested operators."""
    if tree.op == "num":
        return str(tree.args[0])
    if tree.op == "sym":
        return str(tree.args[0])
    inner = ", ".join(show(arg) if isinstance(arg, Tree) else str(arg) for arg in tree.args)
    return f"{tree.op}({inner})"


def _forms(answer: str) -> list[str]:
    cleaned = text.clean(answer[: text.MAX_CHARS])
    lines = [f"  written {_short(answer)}", f"  text    {_short(text.key(cleaned))}"]
    number = exact_numbers.read(cleaned)
    if number is not None:
        unit = f" {number.unit}" if number.unit else ""
        return [*lines, f"  number  {number.value}{unit}"]
    try:
        return [*lines, f"  typed   {_short(show(values.read(cleaned)))}"]
    except Unreadable as error:
        return [*lines, f"  typed   unreadable: {_short(str(error))}"]


def _short(line: str) -> str:
    line = line.encode("unicode_escape").decode("ascii") if not line.isprintable() else line
    return line if len(line) <= 200 else line[:197] + "..."
