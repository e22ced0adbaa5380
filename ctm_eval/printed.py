"""What a program printed, compared with an answer. Both are text of a model: read, never evaluated."""

import re
from math import isfinite

from ctm_eval.grading import matches
from ctm_eval.grading.maths import exact_numbers, text, values
from ctm_eval.grading.maths.numeric import real_value
from ctm_eval.grading.maths.tree import Unreadable

MAX_LINES = 8  # different lines of output that are compared with each other
LONG_FLOAT = re.compile(r"-?\d+\.\d{9,}(e[+-]\d+)?|-?\d+(\.\d+)?e[+-]\d+")  # as Python prints it
MAX_FORM = 2_000  # characters of an output that is read as one of Python's own forms
FRACTION = re.compile(r"Fraction\((-?\d+), (\d+)\)")
COMPLEX = re.compile(r"\(?(?:-?[\d.]+[+-])?-?[\d.]+j\)?")
MATRIX = re.compile(r"Matrix\(\[(\[[^\[\]]*\](?:, ?\[[^\[\]]*\])*)\]\)")
ROW = re.compile(r"([\[(])([^\[\]{}]+?),?[\])]")
SET = re.compile(r"(?:frozenset\()?\{([^{}]+)\}\)?")
CLOSE = 1e-9  # relative, between such a number and an exact answer


def printed_answers(stdout: str) -> list[str]:
    """The different answers in an output, one a line, in the order of their last lines.

    A label before an answer is left out: '18' of 'Total: 18'. Of many different lines only the last
    ones are looked at.
    """
    lines = [line.strip() for line in stdout.splitlines()]
    said = [line.rsplit(":", 1)[-1].strip() or line for line in lines if line]
    answers: list[str] = []
    for answer in list(dict.fromkeys(reversed(said)))[:MAX_LINES]:
        if not any(same_answer(answer, other) for other in answers):
            answers.insert(0, answer)
    return answers


def written_out(printed: str) -> list[str]:
    """How people write what Python prints for a list, set, fraction, matrix or complex number.

    A list is also a tuple or bare values: `[1, 2]` is printed for each of them. Other text has none.
    """
    if len(printed) > MAX_FORM:
        return []
    plain = FRACTION.sub(r"\1/\2", printed)
    if COMPLEX.fullmatch(plain):
        return [plain.strip("()").replace("j", "i")]
    if match := MATRIX.fullmatch(plain):
        rows = [row.strip("[] ").replace(",", " & ") for row in match[1].split("],")]
        return [r"\begin{pmatrix}" + r" \\ ".join(rows) + r"\end{pmatrix}"]
    if match := ROW.fullmatch(plain):
        return [match[2], f"({match[2]})"] if match[1] == "[" else [match[2]]
    if match := SET.fullmatch(plain):
        return [rf"\{{{match[1]}\}}", match[1]]
    return [plain] if plain != printed else []


def same_answer(answer: str, printed: str) -> bool:
    """Whether a program printed an answer: by the grader, or as the float that is nearest to it.

    A decimal answer of two places or more may be that float rounded: 66.67 for 66.66666666666667.
    """
    if matches(answer, printed) or any(matches(answer, form) for form in written_out(printed)):
        return True
    if not LONG_FLOAT.fullmatch(printed):
        return False
    cleaned = text.clean(answer[: text.MAX_CHARS])
    try:
        exact = real_value(values.read(cleaned))
    except Unreadable:
        return False
    number = float(printed)
    if exact is None or not isfinite(exact) or not isfinite(number):
        return False
    read = exact_numbers.read(cleaned)
    places = read.places if read and read.places else 0
    half = 0.5 * 10.0**-places if places >= 2 else 0.0
    return abs(number - exact) <= max(half, CLOSE * max(1.0, abs(number)))
