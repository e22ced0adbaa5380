"""What a program printed is compared as the value that it stands for."""

import pytest

from ctm_eval.printed import MAX_LINES, printed_answers, same_answer


@pytest.mark.parametrize(
    ("answer", "printed", "same"),
    [
        ("18", "18", True),
        ("18", "18.0", True),
        ("1,200", "1200.0", True),
        ("3.30", "3.3000000000000003", True),
        (r"\frac{1}{3}", "0.3333333333333333", True),
        (r"\sqrt{2}", "1.4142135623730951", True),
        ("66.67", "66.66666666666667", True),
        ("66.68", "66.66666666666667", False),
        ("66.7", "66.66666666666667", False),  # one place: too little is said
        ("1", "1e+400", False),
        (r"\infty", "1e+400", False),
        ("(1, 2)", "1.4142135623730951", False),
        ("x + 1", "1", False),
        ("", "", False),
    ],
)
def test_a_float_is_the_exact_answer_that_it_is_nearest_to(answer, printed, same):
    assert same_answer(answer, printed) is same


@pytest.mark.parametrize(
    ("stdout", "answers"),
    [
        ("18\n", ["18"]),
        ("Total: 18\n", ["18"]),
        ("Total:\n", ["Total:"]),
        ("18\n\n18.0\n", ["18.0"]),  # the same answer: the last line stands for it
        ("12\n18\n12\n", ["18", "12"]),
        ("\n \n", []),
        ("", []),
    ],
)
def test_answers_stand_one_a_line(stdout, answers):
    assert printed_answers(stdout) == answers


def test_of_many_answers_the_last_ones_are_looked_at():
    stdout = "\n".join(map(str, range(10_000)))
    assert printed_answers(stdout) == [str(i) for i in range(10_000 - MAX_LINES, 10_000)]


@pytest.mark.parametrize(
    ("answer", "printed", "same"),
    [
        ("1, 2", "[1, 2]", True),
        ("(1, 2)", "[1, 2]", True),
        ("(2, 1)", "[1, 2]", False),
        (r"\{1, 2\}", "{1, 2}", True),
        ("2+3i", "(2+3j)", True),
        ("2-3i", "(2+3j)", False),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "Matrix([[1], [2]])", True),
        (r"\begin{pmatrix} 1 & 2 \end{pmatrix}", "Matrix([[1], [2]])", False),
        (r"\frac{1}{3}", "Fraction(1, 3)", True),
    ],
)
def test_what_python_prints_for_a_value_is_that_value(answer, printed, same):
    assert same_answer(answer, printed) is same
