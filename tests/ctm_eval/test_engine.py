"""The transformers engine, with the built-in model."""

import numpy as np
import pytest
import torch

from ctm_eval.engines import Request, Sampling, load_engine
from ctm_eval.engines.nucleus import nucleus
from ctm_eval.engines.transformers import TransformersEngine
from ctm_eval.errors import CtmError
from ctm_eval.pocket import problems
from ctm_eval.prompts import exercise

POLICY = Sampling(temperature=1.0, top_p=0.95)


@pytest.fixture(scope="module")
def prompts(engine):
    return [engine.encode(exercise(problem.question)) for problem in problems("test", 12)]


def requests(prompts, each):
    return [
        Request(ids, seed=1000 * i + j, max_new_tokens=120)
        for i, ids in enumerate(prompts)
        for j in range(each)
    ]


def generated(model, ids, count):
    """What transformers' own greedy decoding gives."""
    mask = torch.ones(1, len(ids), dtype=torch.long)
    out = model.generate(
        torch.tensor([ids]), attention_mask=mask, max_new_tokens=count, do_sample=False
    )
    return tuple(out[0, len(ids) :].tolist())


def test_greedy_tokens_are_those_of_generate(engine, prompts):
    """Prompts of different lengths share a batch, so this covers padding and positions too."""
    greedy = engine.sample([Request(ids, 0, 120) for ids in prompts], Sampling(temperature=0))
    for ids, completion in zip(prompts, greedy, strict=True):
        assert generated(engine.model, ids, 120) == completion.token_ids


SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "head_dim": 8}
ARCHITECTURES = {
    "Qwen3": SHAPE,
    "Mistral": {**SHAPE, "sliding_window": 6},
    "Gemma3Text": {**SHAPE, "sliding_window": 6},
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_other_architectures_decode_like_generate(engine, prompts, name):
    """Random weights; sliding windows, grouped heads and learned positions among them."""
    import transformers

    heads = {} if name == "GPT2" else {"num_attention_heads": 4, "num_key_value_heads": 2}
    config = getattr(transformers, f"{name}Config")(
        vocab_size=1024,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        **heads,
        **ARCHITECTURES[name],
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config)
    other = TransformersEngine(model, engine.tokenizer, name)
    greedy = other.sample([Request(ids, 0, 20) for ids in prompts], Sampling(temperature=0))
    for ids, completion in zip(prompts, greedy, strict=True):
        assert generated(model, ids, 20) == completion.token_ids


def test_a_model_with_recurrent_layers_is_refused(engine):
    import transformers

    config = transformers.Mamba2Config(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=1,
        num_heads=8,
        head_dim=8,
        state_size=8,
        n_groups=1,
    )
    model = transformers.AutoModelForCausalLM.from_config(config)
    with pytest.raises(CtmError, match="recurrent layers"):
        TransformersEngine(model, engine.tokenizer, "mamba")


def test_a_completion_does_not_depend_on_its_batch(engine, prompts):
    together = requests(prompts, 8)
    all_at_once = engine.sample(together, POLICY)
    backwards = engine.sample(together[::-1], POLICY)[::-1]
    alone = [engine.sample([request], POLICY)[0] for request in together[::7]]
    assert all_at_once == backwards
    assert all_at_once[::7] == alone


@pytest.fixture
def rollouts(engine, prompts):
    """From every prefix of two solutions, with other tokens in place of the next, and from the prompts."""
    found = [Request(ids, seed, 20) for ids in prompts[1:4] for seed in range(2)]
    whole = engine.sample([Request(prompts[0], 1, 20)], POLICY)[0].token_ids
    for t in range(0, 20, 5):
        found += [Request(prompts[0], 50 * t + j, 30 - t, whole[:t]) for j in range(3)]
        found.append(Request(prompts[0], t, 30 - t, (*whole[:t], 17)))
        found.append(Request(prompts[0], t, 10, (*whole[:t], *range(20, 40 + t % 2))))
    return found


def held(cache):
    """Bytes of a cache's buffers."""
    names = ("root_keys", "root_values", "row_keys", "row_values")
    return sum(getattr(layer, name).nbytes for layer in cache.forest for name in names)


@pytest.fixture
def walked(engine, monkeypatch):
    """Samples with bounds of the walk, and counts how it went."""
    from ctm_eval.engines import transformers, trie

    def sample(requests, sampling=POLICY, rows=None, memory=None, fails=()):
        counted = {"passes": 0, "rows": 0, "put back": 0, "read": 0, "held": 0}

        class Counted(trie.Walk):
            def _step(self):
                counted["passes"] += 1
                counted["rows"] = max(counted["rows"], len(self.root))
                if counted["passes"] in fails:
                    raise torch.OutOfMemoryError("CUDA out of memory")
                super()._step()
                counted["held"] = max(counted["held"], held(self.cache))

            def _put_back(self, stay):
                counted["put back"] += 1
                super()._put_back(stay)

            def _read_roots(self, taken, most):
                counted["read"] += 1
                return super()._read_roots(taken, most)

        monkeypatch.setattr(transformers, "Walk", Counted)
        if rows:
            monkeypatch.setattr(trie, "MAX_ROWS", rows)
        if memory:
            monkeypatch.setattr(transformers, "_free_memory", lambda device: memory)
        return engine.sample(requests, sampling), counted

    return sample


def test_rows_that_end_make_room_for_others(engine, rollouts, walked):
    """Four rows at a time give the tokens that all at once give."""
    whole = engine.sample(rollouts, POLICY)
    few, counted = walked(rollouts, rows=4)
    assert few == whole
    assert counted["read"] > 1


def test_rows_are_put_back_where_memory_is_short_and_go_on_later(engine, rollouts, walked):
    whole = engine.sample(rollouts, POLICY)
    few, counted = walked(rollouts, memory=2 << 20)
    assert few == whole
    assert counted["put back"] > 0


def test_rows_that_split_hold_no_more_memory_than_they_may(engine, prompts, walked):
    """Hot samples of one prompt: 200 requests are a row at first, and part at once."""
    hot, parting = Sampling(5.0), [Request(prompts[0], seed, 12) for seed in range(200)]
    whole, free = walked(parting, hot)
    few, bound = walked(parting, hot, memory=free["held"] // 4)
    assert few == whole
    assert bound["put back"] > 0
    assert bound["held"] <= free["held"] // 4


def test_a_pass_that_runs_out_of_memory_is_made_again_with_half_of_it(engine, rollouts, walked):
    whole = engine.sample(rollouts, POLICY)
    again, _ = walked(rollouts, fails=(1, 9, 20))
    assert again == whole


def test_without_memory_for_one_row_the_way_out_is_named(rollouts, walked):
    with pytest.raises(CtmError, match="not enough memory"):
        walked(rollouts, memory=1 << 10, fails=range(1000))


def test_other_errors_of_a_pass_are_not_taken_for_a_lack_of_memory(engine, rollouts, monkeypatch):
    from ctm_eval.engines import trie

    def broken(self):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(trie.Walk, "_step", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        engine.sample(rollouts, POLICY)


def test_draws_that_follow_what_was_given_take_no_pass(engine, prompts, walked):
    """Greedy rollouts from every prefix of the greedy solution: all of them follow it to its end."""
    whole = engine.sample([Request(prompts[0], 0, 120)], Sampling(0))[0].token_ids
    prefixes = [whole[:t] for t in range(len(whole))]
    drawn, counted = walked([Request(prompts[0], 0, 120, p) for p in prefixes], Sampling(0))
    assert all(p + c.token_ids == whole for p, c in zip(prefixes, drawn, strict=True))
    assert counted["passes"] <= 1


def test_a_model_with_an_attention_of_its_own_is_refused(engine):
    import transformers

    config = transformers.BloomConfig(vocab_size=64, hidden_size=32, n_layer=1, n_head=4)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with pytest.raises(CtmError, match="in a way of its own"):
        TransformersEngine(model, engine.tokenizer, "bloom")


def test_bfloat16_samples_whole_solutions(prompts):
    """The same seeds need not give the tokens of float32, but they end and say the like."""
    half = load_engine("transformers", "pocket", device="cpu", dtype="bfloat16")
    assert half.model.dtype == torch.bfloat16
    drawn = half.sample(requests(prompts[:2], 2), POLICY)
    assert [completion.finish_reason for completion in drawn].count("stop") >= 2


def test_other_seeds_give_other_completions(engine, prompts):
    drawn = engine.sample(requests(prompts[:3], 32), POLICY)
    assert len({completion.token_ids for completion in drawn}) > 10


def test_a_prefix_is_continued_as_if_it_were_part_of_the_prompt(engine, prompts):
    ids = prompts[0]
    whole = engine.sample([Request(ids, 1, 120)], POLICY)[0].token_ids
    shared = [Request(ids, 7, 120, whole[:t]) for t in range(len(whole))]
    glued = [Request([*ids, *whole[:t]], 7, 120) for t in range(len(whole))]
    assert engine.sample(shared, POLICY) == engine.sample(glued, POLICY)


def test_tokens_are_drawn_as_often_as_their_probability_says(engine, prompts):
    """2,000 first tokens after a prefix where several are likely, against next_token_distributions."""
    ids = prompts[1]
    path = engine.sample([Request(ids, 0, 60)], POLICY)[0].token_ids
    nuclei = engine.next_token_distributions([(ids, path)], POLICY)[0]
    t = min(range(len(path)), key=lambda t: nuclei[t].probs.max())
    drawn = engine.sample([Request(ids, s, 1, path[:t]) for s in range(2000)], POLICY)
    for token, prob in zip(nuclei[t].token_ids, nuclei[t].probs, strict=True):
        share = np.mean([completion.token_ids[0] == token for completion in drawn])
        assert abs(share - prob) < 5 * np.sqrt(prob * (1 - prob) / 2000) + 1e-9
    assert {c.token_ids[0] for c in drawn} <= set(nuclei[t].token_ids.tolist())


def test_distributions_agree_with_a_plain_forward_pass(engine, prompts):
    path = [5, 6, 7]
    nuclei = engine.next_token_distributions([(prompts[0], path), (prompts[1], path)], Sampling())
    logits = engine.model(torch.tensor([[*prompts[1], *path]])).logits[0]
    for t, own in enumerate(nuclei[1]):
        expected = torch.softmax(logits[len(prompts[1]) - 1 + t].double(), -1)
        for token in (0, 5, 500):
            assert own.prob(token) == pytest.approx(expected[token].item(), abs=1e-6)


def test_length_ends_a_completion_and_says_so(engine, prompts):
    short, none = engine.sample([Request(prompts[0], 0, 5), Request(prompts[0], 0, 0)], POLICY)
    assert (len(short.token_ids), short.finish_reason) == (5, "length")
    assert (none.token_ids, none.finish_reason) == ((), "length")


def test_the_end_token_ends_a_completion_and_is_part_of_it(engine, prompts):
    completion = engine.sample([Request(prompts[0], 0, 150)], POLICY)[0]
    assert completion.finish_reason == "stop"
    assert completion.token_ids[-1] in engine.eos_ids


def test_a_stop_string_ends_a_completion(engine, prompts):
    stopped = engine.sample([Request(prompts[0], 0, 150)], Sampling(0, stop=("####",)))[0]
    assert engine.decode(stopped.token_ids).endswith("####")
    assert stopped.finish_reason == "stop"


@pytest.mark.parametrize("stop", ["####", " = 90", ".\nThe", "t part i"])
def test_a_stop_string_ends_a_rollout_from_every_prefix_where_it_ends_the_whole(
    engine, prompts, stop
):
    """Greedy, so that every rollout is the rest of the whole; the string may begin in the prefix."""
    sampling = Sampling(0, stop=(stop,))
    whole = engine.sample([Request(prompts[0], 0, 150)], sampling)[0].token_ids
    prefixes = [whole[:t] for t in range(len(whole) + 1)]
    rollouts = engine.sample([Request(prompts[0], 0, 150, p) for p in prefixes], sampling)
    for prefix, rollout in zip(prefixes, rollouts, strict=True):
        assert prefix + rollout.token_ids == whole
        assert rollout.finish_reason == "stop"


def test_only_tokens_that_may_end_a_stop_string_are_decoded():
    from ctm_eval.engines.stop_strings import StopStrings

    words = {1: "a", 2: ":", 3: "\ufffd", 4: "b: c"}
    marks = StopStrings(lambda ids: "".join(words[i] for i in ids), ("Q:",))
    assert [marks.near(token) for token in words] == [False, True, True, True]


def test_a_stop_string_in_the_prompt_ends_nothing(engine, prompts):
    sampling = Sampling(0, stop=("Answer:",))
    [completion] = engine.sample([Request(prompts[0], 0, 150)], sampling)
    assert completion == engine.sample([Request(prompts[0], 0, 150)], Sampling(0))[0]


def test_progress_counts_every_request_and_token(engine, prompts):
    seen = []
    done = engine.sample(requests(prompts, 3), POLICY, lambda *counts: seen.append(counts))
    assert sum(finished for finished, *_ in seen) == len(done)
    assert sum(tokens for _, tokens, _ in seen) == sum(len(c.token_ids) for c in done)


@pytest.mark.parametrize("prefix", [0, 2])
def test_tokens_that_two_requests_have_in_common_are_read_once(engine, prompts, prefix):
    """Of two equal ones, the second needs no pass, neither for prompt and prefix nor for what it draws; the
    last token is never read."""
    given = tuple(prompts[1][1 : 1 + prefix])
    request = Request(prompts[0], 0, 8, given)
    alone, both = [], []
    engine.sample([request], POLICY, lambda *told: alone.append(told[2]))
    done, _ = engine.sample([request, request], POLICY, lambda *told: both.append(told[2]))
    shared = len(prompts[0]) + prefix + len(done.token_ids) - 1
    assert (sum(alone), sum(both)) == (0, shared)


def test_pieces_join_to_the_text(engine):
    ids = engine.encode("Ann has 3 * 14 = 42 pens.\n#### 42")[1:]
    assert "".join(engine.pieces(ids)) == "Ann has 3 * 14 = 42 pens.\n#### 42"


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.4, [0]), (0.5, [0]), (0.51, [0, 1]), (0.8, [0, 1]), (1.0, [0, 1, 2])]
)
def test_the_nucleus_is_the_smallest_set_that_reaches_top_p(top_p, kept):
    """Probabilities 0.5, 0.3, 0.2: 0.5 is reached by one token, 0.51 and 0.8 take two."""
    ids, probs = nucleus(torch.log(torch.tensor([[0.5, 0.3, 0.2]])).double(), 1.0, top_p - 1e-7)
    assert ids[0].tolist() == kept
    assert probs[0].sum() == pytest.approx(1)


def test_temperature_comes_before_top_p():
    """At temperature 1/2 the odds 2:1 become 4:1, so that 0.75 is reached by the first token."""
    logits = torch.log(torch.tensor([[2.0, 1.0]]))
    assert nucleus(logits, 1.0, 0.75)[0].tolist() == [[0, 1]]
    assert nucleus(logits, 0.5, 0.75)[0].tolist() == [[0]]


def test_a_flat_distribution_wider_than_the_first_look_is_cut_rightly():
    ids, probs = nucleus(torch.zeros(2, 500), 1.0, 0.5)
    assert ids.shape == (2, 250)
    assert probs.sum(-1).tolist() == pytest.approx([1, 1])


def test_temperature_zero_is_certain():
    ids, probs = nucleus(torch.tensor([[0.1, 0.9, 0.3]]), 0, 0.95)
    assert (ids.tolist(), probs.tolist()) == ([[1]], [[1.0]])


@pytest.mark.parametrize("bad", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.5}])
def test_an_impossible_policy_is_refused(bad):
    with pytest.raises(CtmError, match="must be"):
        Sampling(**bad)


def test_a_missing_model_folder_is_named(tmp_path):
    with pytest.raises(CtmError, match="there is no model folder"):
        load_engine("transformers", str(tmp_path / "nothing" / "here"))


def test_a_tokenizer_without_an_end_token_is_refused(engine, tmp_path):
    import json

    engine.model.save_pretrained(tmp_path)
    engine.tokenizer.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    del settings["eos_token"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(CtmError, match="no end-of-sequence token"):
        load_engine("transformers", str(tmp_path), device="cpu")
