"""Token ids are taken as they are; text becomes token ids once and ends."""

import pytest
from datasets import Dataset
from transformers import AutoTokenizer

from ctm_eval.pocket import MODEL_DIR
from ctm_train.data import completions, pairs
from ctm_train.errors import TrainError


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(str(MODEL_DIR))


def test_text_ends_with_the_end_of_sequence_token(tokenizer):
    rows = Dataset.from_list([{"prompt": "Question: 1 + 1?\nAnswer:", "completion": " 2"}])
    [row] = completions(rows, tokenizer)
    assert row["completion_ids"][-1] == tokenizer.eos_token_id
    assert tokenizer.decode(row["completion_ids"][:-1]) == " 2"


def test_a_prompt_begins_as_it_does_when_it_is_sampled_from(tokenizer):
    rows = Dataset.from_list([{"prompt": "Question:", "completion": " 2"}])
    [row] = completions(rows, tokenizer)
    assert row["prompt_ids"] == tokenizer("Question:").input_ids


def test_ids_are_taken_as_they_are_even_cut_off_ones(tokenizer):
    rows = Dataset.from_list([{"prompt_ids": [1, 7], "completion_ids": [9, 9, 8]}])
    [row] = completions(rows, tokenizer)
    assert row == {"prompt_ids": [1, 7], "completion_ids": [9, 9, 8]}


def test_ids_win_over_text(tokenizer):
    both = {"prompt": "a", "chosen": "b", "rejected": "c"}
    ids = {"prompt_ids": [1], "chosen_ids": [5, 2], "rejected_ids": [6, 2]}
    [row] = pairs(Dataset.from_list([{**both, **ids}]), tokenizer)
    assert row == ids


def test_weights_are_kept_beside_the_ids(tokenizer):
    row = {"prompt_ids": [1], "chosen_ids": [5, 2], "rejected_ids": [6, 2]}
    rows = Dataset.from_list([{**row, "rejected_weights": [0.25, 1.0], "pair_id": "x"}])
    assert pairs(rows, tokenizer)[0] == {**row, "rejected_weights": [0.25, 1.0]}


def test_missing_columns_are_named(tokenizer):
    rows = Dataset.from_list([{"prompt": "a", "answer": "b"}])
    with pytest.raises(TrainError, match=r"no chosen, rejected.*has: prompt, answer"):
        pairs(rows, tokenizer)


def test_no_rows_is_an_error(tokenizer):
    with pytest.raises(TrainError, match="no rows"):
        completions(Dataset.from_list([]), tokenizer)
