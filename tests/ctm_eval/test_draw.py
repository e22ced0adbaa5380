"""Drawing a token from the nucleus, which is found by a threshold."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from logits import KINDS, logits_of

from ctm_eval.engines.draw import draw, inside
from ctm_eval.engines.nucleus import nucleus

cases = given(
    kind=st.sampled_from(sorted(KINDS)),
    rows=st.integers(1, 6),
    vocabulary=st.one_of(st.integers(1, 700), st.integers(4000, 5000)),
    seed=st.integers(0, 2**32),
)


@cases
@settings(max_examples=100, deadline=None)
def test_the_set_is_the_nucleus(kind, rows, vocabulary, seed):
    """Against the ordered search; a share of 0.9371 is met exactly by no sum of a few equals."""
    logits = logits_of(kind, rows, vocabulary, seed)
    ids, probs = nucleus(logits, 0.7, 0.9371)
    places = inside(torch.softmax(logits.float() / 0.7, -1), 0.9371)
    for row in range(rows):
        own = places[places // vocabulary == row] % vocabulary
        assert own.tolist() == sorted(ids[row][probs[row] > 0].tolist())


@cases
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("top_p", [0.5, 1.0])
def test_a_row_alone_draws_what_it_draws_in_a_batch(top_p, kind, rows, vocabulary, seed):
    logits = logits_of(kind, rows, vocabulary, seed)
    numbers = np.random.default_rng(seed).random(rows)
    together = draw(logits, 1.0, top_p, np.arange(rows), numbers)
    for row in range(rows):
        alone = draw(logits[row : row + 1], 1.0, top_p, np.zeros(1, int), numbers[row : row + 1])
        assert alone[0] == together[row]


def test_tokens_divide_the_numbers_in_the_order_of_their_ids():
    """0.25, 0.5 and 0.25: exact in binary, so that the borders are too."""
    logits = torch.log(torch.tensor([[0.25, 0.5, 0.25]]))
    numbers = np.array([0.0, 0.2499, 0.2501, 0.7499, 0.7501, np.nextafter(1, 0)])
    drawn = draw(logits, 1.0, 1.0, np.zeros(6, int), numbers)
    assert drawn.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("top_p", "tokens"), [(0.5, [1]), (0.51, [0, 1]), (0.75, [0, 1]), (0.76, [0, 1, 2])]
)
def test_of_equals_the_lower_id_is_kept(top_p, tokens):
    """0.25, 0.5 and 0.25; a hair less, so that the float of a third of a softmax does not decide."""
    logits = torch.log(torch.tensor([[0.25, 0.5, 0.25]]))
    drawn = draw(logits, 1.0, top_p - 1e-6, np.zeros(1000, int), np.linspace(0, 0.999, 1000))
    assert sorted(set(drawn.tolist())) == tokens


@pytest.mark.parametrize("top_p", [0.9, 1.0])
def test_tokens_are_drawn_as_often_as_their_probability_says(top_p):
    """20,000 evenly spread numbers: each token's share is its probability, up to one number."""
    logits = torch.randn(1, 50, generator=torch.Generator().manual_seed(0))
    ids, probs = nucleus(logits, 1.0, top_p)
    drawn = draw(logits, 1.0, top_p, np.zeros(20000, int), (np.arange(20000) + 0.5) / 20000)
    for token, prob in zip(ids[0].tolist(), probs[0].tolist(), strict=True):
        assert abs(np.mean(drawn == token) - prob) <= 1e-4
    assert set(drawn.tolist()) <= set(ids[0].tolist())


def test_temperature_zero_takes_the_most_likely():
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, 0.0, 1.0]])
    assert draw(logits, 0, 0.9, np.array([1, 0, 0]), np.zeros(3)).tolist() == [0, 1, 1]


def test_a_batch_larger_than_what_is_looked_at_together_is_drawn_whole(monkeypatch):
    from ctm_eval.engines import draw as module

    logits, rows = logits_of("random", 6, 100, 0), np.array([5, 0, 3, 3])
    numbers = np.array([0.1, 0.9, 0.3, 0.5])
    whole = draw(logits, 1.0, 0.9, rows, numbers)
    monkeypatch.setattr(module, "AT_ONCE", 200)
    assert module.draw(logits, 1.0, 0.9, rows, numbers).tolist() == whole.tolist()
