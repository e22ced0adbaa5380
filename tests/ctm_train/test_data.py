"""Token ids are taken as they are; text becomes token ids once and ends."""

import pytest
from datasets import Dataset
from transformers import AutoTokenizer

from ctm_eval.pocket import MODEL_DIR
from ctm_train.data import completions, judged, pairs, spread
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


TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
ASKED = [{"role": "user", "content": "1 + 1?"}]


def said(text):
    return [{"role": "assistant", "content": text}]


@pytest.fixture
def chatty(tokenizer, monkeypatch):
    monkeypatch.setattr(tokenizer, "chat_template", TEMPLATE, raising=False)
    return tokenizer


def test_a_conversation_is_rendered_by_the_chat_template_and_ends_where_the_model_stops(chatty):
    """The template goes on with a line break, which the model never writes: EOS has ended it."""
    rows = Dataset.from_list([{"prompt": ASKED, "completion": said("2")}])
    [row] = completions(rows, chatty)
    asked = chatty.apply_chat_template(ASKED, add_generation_prompt=True, return_dict=False)
    assert row["prompt_ids"] == asked
    assert row["completion_ids"][-1] == chatty.eos_token_id
    assert row["completion_ids"].count(chatty.eos_token_id) == 1
    assert chatty.decode(row["completion_ids"][:-1]).strip() == "2"


def test_pairs_of_conversations_with_and_without_a_prompt_are_the_same(chatty):
    """trl's two standard forms: a prompt of its own, or one that both sides begin with."""
    explicit = {"prompt": ASKED, "chosen": said("2"), "rejected": said("3")}
    implicit = {"chosen": ASKED + said("2"), "rejected": ASKED + said("3")}
    [one] = pairs(Dataset.from_list([explicit]), chatty)
    [two] = pairs(Dataset.from_list([implicit]), chatty)
    assert one == two


def test_conversations_need_a_chat_template(tokenizer):
    rows = Dataset.from_list([{"prompt": ASKED, "completion": said("2")}])
    with pytest.raises(TrainError, match="has no chat template"):
        completions(rows, tokenizer)


def test_a_prompt_that_is_a_conversation_and_an_answer_that_is_text_are_refused(chatty):
    rows = Dataset.from_list([{"prompt": ASKED, "completion": "2"}])
    with pytest.raises(TrainError, match="both text, or both lists of messages"):
        completions(rows, chatty)


def test_a_pair_is_two_judged_completions_and_labels_are_taken_as_they_are(tokenizer):
    pair = {"prompt_ids": [1], "chosen_ids": [5, 2], "rejected_ids": [6, 2]}
    labels = [
        {"prompt_ids": [1], "completion_ids": [5, 2], "label": True},
        {"prompt_ids": [1], "completion_ids": [6, 2], "label": False},
    ]
    assert list(judged(Dataset.from_list([pair]), tokenizer)) == labels
    assert list(judged(Dataset.from_list(labels), tokenizer)) == labels


def test_completions_without_a_label_are_refused(tokenizer):
    rows = Dataset.from_list([{"prompt": "a", "completion": "b"}])
    with pytest.raises(TrainError, match="need a `label`"):
        judged(rows, tokenizer)


def test_weights_of_another_length_than_the_tokens_are_named(tokenizer):
    row = {"prompt_ids": [1], "chosen_ids": [5, 2], "rejected_ids": [6, 2]}
    rows = Dataset.from_list([{**row, "rejected_weights": [1.0]}])
    with pytest.raises(TrainError, match="rejected_weights of row 0 has 1 entries for 2 tokens"):
        pairs(rows, tokenizer)


def test_weights_of_words_are_spread_over_their_tokens():
    """'12 cats', cut into '1', '2', ' ', 'cats': both digits have the first word's weight."""
    offsets = [(0, 1), (1, 2), (2, 3), (3, 7)]
    assert spread("12 cats", [0.5, 2.0], offsets) == [0.5, 0.5, 0.5, 2.0]
    assert spread("12 cats", [0.5, 2.0], [(0, 2), (2, 7)]) == [0.5, 2.0]


def test_a_text_may_have_a_weight_a_word_and_ends_with_a_weight_of_1(tokenizer):
    row = {
        "prompt": "Q",
        "chosen": "yes",
        "rejected": "seventeen plus four",
        "rejected_weights": [1, 0, 0.5],
    }
    [pair] = pairs(Dataset.from_list([row]), tokenizer)
    pieces = [tokenizer.decode([i]) for i in pair["rejected_ids"]]
    of = {"seventeen": "", "plus": "", "four": ""}
    for piece, weight in zip(pieces[:-1], pair["rejected_weights"][:-1], strict=True):
        word = {1.0: "seventeen", 0.0: "plus", 0.5: "four"}[weight]
        of[word] += piece.strip()
    assert of == {"seventeen": "seventeen", "plus": "plus", "four": "four"}
    assert pair["rejected_weights"][-1] == 1.0
