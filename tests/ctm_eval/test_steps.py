"""Steps: worked texts, and what holds for all texts and tokens."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctm_eval.errors import CtmError
from ctm_eval.steps import StepRule, step_of, step_values, text_steps, token_steps

RULES = StepRule.__args__
WORDS = st.sampled_from(
    ["a", "B", "7", " ", "\n", "\n\n", ".", ". ", "e.g.", "Step 2: ", "3. ", "é", ""]
)
PIECES = st.lists(WORDS, max_size=20)


def cut(text, rule="lines"):
    return [text[start:end] for start, end in text_steps(text, rule)]


def test_a_line_is_a_step_and_blank_lines_belong_to_the_one_before():
    assert cut("\nOne\nTwo\n\n \nThree\n") == ["\nOne\n", "Two\n\n \n", "Three\n"]


def test_paragraphs_end_with_blank_lines():
    assert cut("One\nstill\n\nTwo", "paragraphs") == ["One\nstill\n\n", "Two"]


def test_sentences_end_with_their_marks_and_not_in_numbers_or_abbreviations():
    text = "It is 3.5 m, i.e. Long! So what? (See fig. 2.) Then x = 2. $y$ too."
    assert cut(text, "sentences") == [
        "It is 3.5 m, i.e. Long! ", "So what? ", "(See fig. 2.) ", "Then x = 2. ", "$y$ too."
    ]  # fmt: skip


def test_the_number_of_a_line_is_no_sentence():
    assert cut("1. Add them. Good.\n2. Done.", "sentences") == [
        "1. Add them. ", "Good.\n", "2. Done."
    ]  # fmt: skip


@pytest.mark.parametrize(
    "mark", ["Step {}: ", "{}. ", "{}) ", "**Step {}:** ", "### Step {}: ", "({}) "]
)
def test_numbered_lines_begin_steps(mark):
    first, second = mark.format(1) + "add\nmore\n", mark.format(2) + "halve"
    assert cut(f"We plan.\n{first}{second}", "numbered") == ["We plan.\n", first, second]


def test_auto_takes_numbers_then_lines_then_sentences():
    assert len(cut("1. a\nb\n2. c", "auto")) == 2
    assert len(cut("A b. C d.\nE", "auto")) == 2
    assert len(cut("A b. C d.\n", "auto")) == 2


def test_a_token_belongs_to_the_step_of_its_first_word():
    pieces = ["One", ".", "\n", "\n", "Two", ".\nThree", "", " four"]
    assert token_steps(pieces) == [range(4), range(4, 7), range(7, 8)]
    assert step_of(token_steps(pieces), 6) == 1
    with pytest.raises(ValueError, match="none of 3"):
        step_of(token_steps(pieces), 8)


def test_a_word_with_its_space_begins_a_sentence():
    assert token_steps(["A", ".", " B", "."], "sentences") == [range(2), range(2, 4)]


def test_the_value_of_a_step_is_that_after_its_last_token():
    steps = token_steps(["a", "\n", "b", ""])
    assert step_values([0.9, 0.8, None, 0.0], steps) == [0.8, 0.0]


def test_an_unknown_rule_is_named():
    with pytest.raises(CtmError, match="unknown rule of steps 'words'; there are: lines"):
        text_steps("a", "words")


@given(PIECES.map("".join), st.sampled_from(RULES))
def test_the_steps_of_a_text_are_all_of_it_and_none_is_blank(text, rule):
    steps = cut(text, rule)
    assert "".join(steps) == (text if text.strip() else "")
    assert all(step.strip() for step in steps)


@given(PIECES, st.sampled_from(RULES))
def test_the_steps_partition_the_tokens(pieces, rule):
    steps = token_steps(pieces, rule)
    assert [i for step in steps for i in step] == list(range(len(pieces)))
    assert all(steps)


@given(st.lists(st.sampled_from(["a", " b", ".", "\n", "c\n"]), max_size=12))
def test_lines_are_those_that_python_finds(pieces):
    """Where no token says words of two lines, the steps are the lines that are not blank."""
    steps = token_steps(pieces)
    said = [line.strip() for line in re.split(r"\n", "".join(pieces)) if line.strip()]
    assert [" ".join("".join(pieces[i] for i in step).split()) for step in steps if "".join(
        pieces[i] for i in step).strip()] == [" ".join(line.split()) for line in said]  # fmt: skip
