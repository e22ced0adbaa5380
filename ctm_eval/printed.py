"""What a program printed, compared with an answer. Both are text of a model: read, never evaluated."""

import re
from math import isfinite

from ctm_eval.grading import matches
from ctm_eval.grading.maths import exact_numbers, text, values
from ctm_eval.grading.maths.numeric import real_value
from ctm_eval.grading.maths.tree import Unreadable

MAX_LINES = 8  # different lines of output that are compared with each other
LONG_FLOAT = re.compile(r"-?\d+\.\d{9,}(e[+-]\d+)?|-?\d+(\.\d+)?e[+-]\d+")  # as Python prints it
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


def same_answer(answer: str, printed: str) -> bool:
    """Whether a program printed an answer: by the grader, or as the float that is nearest to it.

    A decimal answer of two places or more may be that float rounded: 66.67 for 66.66666666666667.
    """
    if matches(answer, printed):
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
