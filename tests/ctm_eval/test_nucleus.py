"""The nucleus, found by looking at few tokens, against the one that a full stable sort gives."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from logits import KINDS, logits_of

from ctm_eval.engines import nucleus as module
from ctm_eval.engines.nucleus import nucleus


def sorted_nucleus(logits, temperature, top_p):
    """The definition: sort all, keep what begins below `top_p`, divide by what is kept."""
    probs = torch.softmax(logits.float() / temperature, -1)
    top, ids = torch.sort(probs, dim=-1, descending=True, stable=True)
    top = top.double()
    before = top.cumsum(-1) - top
    top = torch.where(before < top_p, top, 0.0) if top_p < 1 else top
    width = int((top > 0).sum(-1).max())
    top, ids = top[:, :width], ids[:, :width]
    return ids, top / top.sum(-1, keepdim=True)


def assert_same(found, expected):
    """The same ids in the same order with the same probabilities; ids of no probability are free."""
    (ids, probs), (expected_ids, expected_probs) = found, expected
    assert probs.shape == ids.shape == expected_ids.shape
    assert probs.dtype == torch.float64
    assert torch.equal(probs > 0, expected_probs > 0)
    assert torch.equal(ids[probs > 0], expected_ids[probs > 0])
    torch.testing.assert_close(probs, expected_probs, rtol=1e-12, atol=0)


cases = given(
    kind=st.sampled_from(sorted(KINDS)),
    rows=st.integers(1, 6),
    vocabulary=st.one_of(st.integers(1, 700), st.integers(4000, 5000)),
    temperature=st.sampled_from([0.1, 0.5, 0.7, 1.0, 2.0]),
    top_p=st.one_of(
        st.floats(0, 1, exclude_min=True), st.sampled_from([0.25, 0.5, 0.95, 0.999, 1.0])
    ),
    seed=st.integers(0, 2**32),
)


@example("masked", 1, 7, 0.5, 0.9999999999999999, 0)  # of seven tokens three have no probability
@cases
@settings(max_examples=200, deadline=None)
def test_it_is_the_nucleus_of_a_full_stable_sort(kind, rows, vocabulary, temperature, top_p, seed):
    logits = logits_of(kind, rows, vocabulary, seed)
    assert_same(nucleus(logits, temperature, top_p), sorted_nucleus(logits, temperature, top_p))


@cases
@settings(max_examples=60, deadline=None)
def test_a_row_alone_is_the_row_of_its_batch_bit_by_bit(
    kind, rows, vocabulary, temperature, top_p, seed
):
    logits = logits_of(kind, rows, vocabulary, seed)
    ids, probs = nucleus(logits, temperature, top_p)
    for row in range(rows):
        own_ids, own_probs = nucleus(logits[row : row + 1], temperature, top_p)
        width = own_ids.shape[1]
        assert torch.equal(own_ids[0], ids[row, :width])
        assert torch.equal(own_probs[0], probs[row, :width])
        assert not probs[row, width:].any()


@pytest.mark.parametrize("top_p", [0.3, 0.95, 1.0])
@pytest.mark.parametrize("spread", [0.01, 1.5, 2.5])
def test_a_vocabulary_wider_than_every_look_is_searched_to_its_end(spread, top_p):
    assert max(module.LOOKS) < 20000
    noise = torch.randn(2, 20000, generator=torch.Generator().manual_seed(0))
    assert_same(nucleus(spread * noise, 1.0, top_p), sorted_nucleus(spread * noise, 1.0, top_p))


@pytest.mark.parametrize("count", [63, 64, 65, 300])
def test_equals_at_the_edge_of_a_look_are_taken_by_lower_id(count):
    """`count` equals share all mass, so half of it is in the first half of them, by id."""
    logits = torch.full((1, 1000), -torch.inf)
    logits[0, 999 - 3 * torch.arange(count)] = 0
    ids, probs = nucleus(logits, 1.0, 0.5)
    kept = (count + 1) // 2
    assert ids[0].tolist() == [999 - 3 * i for i in range(count)][::-1][:kept]
    assert probs[0].tolist() == pytest.approx([1 / kept] * kept)


def test_the_draws_of_a_narrow_row_sort_no_vocabulary(monkeypatch):
    """One wide row beside it does not make a narrow row cost more."""
    looked = []
    original = module._most_likely

    def noted(probs, count):
        looked.append((len(probs), count))
        return original(probs, count)

    monkeypatch.setattr(module, "_most_likely", noted)
    logits = torch.zeros(3, 5000)
    logits[:2, 7] = 20
    nucleus(logits, 1.0, 0.95)
    assert looked == [(3, 64), (1, 5000)]


def test_rows_that_are_looked_at_again_keep_their_places():
    """Rows with equals at the edge of a look wait behind others that are not known to be wider."""
    logits = torch.randn(6, 20000, generator=torch.Generator().manual_seed(0)).round()
    assert_same(nucleus(logits, 1.0, 0.3), sorted_nucleus(logits, 1.0, 0.3))
