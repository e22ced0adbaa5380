"""A small real chat model, SmolLM2-135M-Instruct, which `make test-real` puts into build/.

Without it every test here is skipped.
"""

import json
from pathlib import Path

import pytest

from ctm_data.build import build_dataset
from ctm_data.config import BuildConfig, EvalConfig
from ctm_data.eval import evaluate
from ctm_eval.engines import Request, Sampling, load_engine
from ctm_eval.models import load_model

MODEL = Path(__file__).parents[2] / "build" / "smollm2-135m-instruct"
if not (MODEL / "config.json").exists():
    pytest.skip(
        "build/smollm2-135m-instruct is not there: `make test-real`", allow_module_level=True
    )

pytestmark = pytest.mark.real
QUESTIONS = {"How much is 2 + 3?": 5, "Tom has 4 apples and eats 1. How many are left?": 3}


@pytest.fixture(scope="module")
def engine():
    return load_engine("transformers", str(MODEL), device="cpu")


@pytest.fixture
def problems(tmp_path):
    """Two problems in GSM8K's shape."""
    rows = [{"question": q, "answer": f"#### {answer}"} for q, answer in QUESTIONS.items()]
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"benchmark": "gsm8k", "data_file": path}


def asked(row, engine):
    """The prompt of a solution as text, with the special tokens of the chat."""
    return engine.tokenizer.decode(row["prompt_ids"])


def test_a_build_asks_in_the_chat_and_keeps_its_marks_out_of_the_solutions(
    problems, engine, tmp_path
):
    options = {"n_samples": 4, "n_rollouts": 2, "max_new_tokens": 24, "stages": ("rollouts",)}
    config = BuildConfig(tmp_path / "run", str(MODEL), limit=1, **options, **problems)
    store = build_dataset(config)
    rows = store.read("solutions").to_pylist()
    assert len(rows) == 4
    for row in rows:
        assert asked(row, engine).endswith("<|im_end|>\n<|im_start|>assistant\n")
        assert "<|im_start|>user\nHow much is 2 + 3?\n\n" in asked(row, engine)
        assert row["text"].strip()
        assert "<|im_" not in row["text"]
        assert len(row["token_ids"]) <= 24


def test_a_greedy_evaluation_asks_in_the_chat_and_grades_every_problem(problems, engine, tmp_path):
    store = evaluate(EvalConfig(tmp_path / "run", str(MODEL), max_new_tokens=48, **problems))
    rows = store.read("solutions").to_pylist()
    assert [q in asked(row, engine) for q, row in zip(QUESTIONS, rows, strict=True)] == [True, True]
    assert all(asked(row, engine).startswith("<|im_start|>") for row in rows)
    results = json.loads((store.folder / "results_ctm.json").read_text())
    assert sum(results["ctm"]["verdicts"].values()) == 2


def test_the_engines_greedy_tokens_are_those_of_generate(engine):
    import torch

    prompt = engine.encode_chat([{"role": "user", "content": "Name the days of the week."}])
    [ours] = engine.sample([Request(prompt, 0, 40)], Sampling(temperature=0))
    model = load_model(str(MODEL), torch.float32)
    [theirs] = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=40)
    assert list(ours.token_ids) == theirs[len(prompt) :].tolist()
