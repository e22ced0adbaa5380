"""What is learnt of a solution that a stop string ended: the solution, then EOS."""

import pytest

from ctm_eval.targets import aligned, target, target_text
from ctm_eval.types import Solution

EOS = 2


@pytest.fixture(scope="module")
def tokenizer(engine):
    return engine.tokenizer


def solution(ids, text, finish_reason="stop"):
    return Solution(
        "s", "p", 0, "pocket", (1,), tuple(ids), text, "9", True, "correct", finish_reason, 1, 1, 0
    )


def sampled(engine, text, finish_reason="stop"):
    """A solution as it is sampled: without EOS, its text being that of its ids."""
    ids = engine.encode(text)[1:]
    return solution(ids, engine.decode(ids), finish_reason)


def test_the_stop_string_is_cut_off_and_eos_put_in_its_place(engine, tokenizer):
    whole = sampled(engine, " 4 * 2 = 8.\n#### 8\n\nQuestion:")
    ids, text = target(whole, tokenizer)
    assert text == target_text(whole) == " 4 * 2 = 8.\n#### 8"
    assert ids[-1] == EOS and engine.decode(ids) == text


def test_the_tokens_before_the_stop_string_are_those_that_were_sampled(engine, tokenizer):
    """Even if they are not those that the tokenizer would write: here one a character."""
    ids = [*(engine.encode(letter)[-1] for letter in "ab"), *engine.encode("\n\nQuestion:")[1:]]
    ids, _ = target(solution(ids, engine.decode(ids)), tokenizer)
    assert engine.decode(ids[:2]) == "ab" and ids[2:] == [EOS]


def test_of_a_token_that_belongs_to_both_the_part_before_is_kept(engine, tokenizer):
    """'.' and what follows are one token for some tokenizers: an invented stop string cuts ' is' in two."""
    whole = sampled(engine, "It is")
    ids, text = target(whole, tokenizer, stop=("s",))
    assert text == "It i"
    assert engine.decode(ids[:-1]) == text and ids[-1] == EOS


@pytest.mark.parametrize(
    ("text", "finish_reason"),
    [
        (" 8\n#### 8", "stop"),  # by EOS
        (" 8\n#### 8\n\nQuestion:", "length"),  # the limit came with the string
        (" one\n\nQuestion: another one, and on\n#### 8", "stop"),  # it is no end of the text
    ],
)
def test_any_other_solution_is_what_was_sampled(engine, tokenizer, text, finish_reason):
    whole = sampled(engine, text, finish_reason)
    assert target(whole, tokenizer) == (list(whole.token_ids), whole.text)


def test_eos_stands_for_all_that_was_cut_off():
    assert aligned([0.25, 0.5, 0.125, 0.0], [5, 6, 7, 8], [5, 6, EOS]) == [0.25, 0.5, 0.125]
    assert aligned([0.25, 0.5], [5, EOS], [5, EOS]) == [0.25, 0.5]
    assert aligned([0.25, 0.5, 0.125], [5, 6, 7], [5, 9, EOS]) == [0.25, 0.0, 0.625]
