"""How a model is asked: in its chat, with worked examples, or neither. The models are copies of pocket."""

import json
import shutil
from dataclasses import replace

import pytest

from ctm_data.asking import ask
from ctm_data.build import build_dataset
from ctm_data.config import BuildConfig, EvalConfig
from ctm_data.eval import evaluate
from ctm_data.run.store import Store
from ctm_eval.benchmarks import load_problems
from ctm_eval.errors import CtmError
from ctm_eval.models import load_tokenizer
from ctm_eval.pocket.builtin import MODELS

# A chat in pocket's own words: the last question without the instruction, so that pocket can answer it.
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}\n{% else %}"
    "Question: {{ m.content.split('\n\n')[0] }}\nAnswer:{% endif %}{% endfor %}"
)
SMALL = {"limit": 8, "n_samples": 8, "n_rollouts": 4, "chunk_size": 4, "max_new_tokens": 120}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A base model: a model folder without a chat template."""
    return str(shutil.copytree(MODELS["pocket"], tmp_path_factory.mktemp("base") / "model"))


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    """A chat model: a model folder with a chat template."""
    folder = shutil.copytree(MODELS["pocket"], tmp_path_factory.mktemp("chat") / "model")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": TEMPLATE}))
    return str(folder)


@pytest.fixture(scope="module")
def chat_run(chat, tmp_path_factory):
    """A build with all tables but `verifier`, in a chat with a system message."""
    folder = tmp_path_factory.mktemp("chat-run") / "run"
    return build_dataset(BuildConfig(folder, chat, system="Be brief.", **SMALL))


@pytest.mark.parametrize("kind", [BuildConfig, EvalConfig])
def test_a_model_with_a_chat_template_is_asked_in_it(kind, chat):
    config = kind(model=chat, benchmark="gsm8k").check()
    assert (config.chat, config.few_shot) == (True, 0)


@pytest.mark.parametrize("kind", [BuildConfig, EvalConfig])
def test_no_chat_wins_over_the_template(kind, chat):
    config = kind(model=chat, benchmark="gsm8k", chat=False).check()
    assert (config.chat, config.few_shot) == (False, 8)


@pytest.mark.parametrize("kind", [BuildConfig, EvalConfig])
def test_a_base_model_gets_the_shots_of_the_benchmark(kind, base):
    config = kind(model=base, benchmark="math500").check()
    assert (config.chat, config.few_shot) == (False, 4)


@pytest.mark.parametrize("kind", [BuildConfig, EvalConfig])
def test_a_built_in_model_gets_neither(kind):
    config = kind(model="pocket", benchmark="gsm8k").check()
    assert (config.chat, config.few_shot) == (False, 0)


def test_of_several_models_every_one_must_have_a_template_for_a_chat(base, chat):
    several = {"benchmark": "gsm8k", "stages": ("verifier",)}
    assert BuildConfig(model=(chat,), **several).check().chat is True
    assert BuildConfig(model=(chat, base), **several).check().chat is False


def test_a_system_message_without_a_chat_is_refused(base):
    with pytest.raises(CtmError, match="--system goes with --chat"):
        BuildConfig(model=base, system="Be brief.").check()


def test_examples_that_nobody_would_see_are_refused(chat, tmp_path):
    with pytest.raises(CtmError, match="--few-shot-file needs --few-shot N"):
        EvalConfig(model=chat, few_shot_file=tmp_path / "shots.jsonl").check()


def test_a_default_length_is_cut_to_the_positions_that_the_longest_prompt_leaves(base):
    problems = load_problems("pocket", split="test", limit=4)
    config, prompts = ask(BuildConfig(model=base).check(), [base], problems)
    assert config.max_new_tokens == 1024 - max(map(len, prompts[base]))


def test_a_given_length_that_does_not_fit_is_refused(base):
    problems = load_problems("pocket", split="test", limit=4)
    config = BuildConfig(model=base, max_new_tokens=1024).check()
    with pytest.raises(
        CtmError, match=r"with --max-new-tokens 1024 .* more than the 1024 positions"
    ):
        ask(config, [base], problems)


def test_a_prompt_that_leaves_no_room_is_refused(base):
    [problem] = load_problems("pocket", split="test", limit=1)
    long = replace(problem, question="Tom has 3 apples. " * 1000)
    with pytest.raises(CtmError, match=r"prompt tokens; that is more than the 1024 positions"):
        ask(BuildConfig(model=base).check(), [base], [long])


def test_a_build_samples_from_the_chat(chat, chat_run):
    tokenizer = load_tokenizer(chat)
    questions = {
        row["problem_id"]: row["question"] for row in chat_run.read("problems").to_pylist()
    }
    solutions = chat_run.read("solutions").to_pylist()
    assert len(solutions) == 64
    for row in solutions:
        text = f"<bos>Be brief.\nQuestion: {questions[row['problem_id']]}\nAnswer:"
        assert row["prompt_ids"] == tokenizer(text, add_special_tokens=False).input_ids


def test_rollouts_go_on_from_the_chat(chat_run):
    prompts = {
        row["solution_id"]: row["prompt_ids"] for row in chat_run.read("solutions").to_pylist()
    }
    rollouts = chat_run.read("rollouts").to_pylist()
    assert rollouts
    assert all(row["prompt_ids"] == prompts[row["solution_id"]] for row in rollouts)


def test_a_pairs_prompt_is_the_chat_with_its_special_tokens(chat, chat_run):
    tokenizer, pairs = load_tokenizer(chat), chat_run.read("contrast").to_pylist()
    assert pairs
    for row in pairs:
        assert row["prompt"].startswith("<bos>Be brief.\nQuestion: ")
        assert tokenizer(row["prompt"], add_special_tokens=False).input_ids == row["prompt_ids"]


def test_a_pairs_prompt_holds_the_worked_examples(base, tmp_path):
    shots = tmp_path / "shots.jsonl"
    shots.write_text(json.dumps({"question": "One and one?", "answer": "2\n#### 2"}) + "\n")
    options = {**SMALL, "few_shot": 1, "few_shot_file": shots, "n_samples": 16}
    store = build_dataset(BuildConfig(tmp_path / "run", base, stages=("contrast",), **options))
    questions = {row["problem_id"]: row["question"] for row in store.read("problems").to_pylist()}
    pairs = store.read("contrast").to_pylist()
    assert pairs
    for row in pairs:
        shot = "Question: One and one?\nAnswer: 2\n#### 2\n\n"
        assert row["prompt"] == f"{shot}Question: {questions[row['problem_id']]}\nAnswer:"


def test_a_verifier_reads_the_bare_exercise_however_the_question_was_put(chat, tmp_path):
    options = {**SMALL, "limit": 2, "n_samples": 2}
    store = build_dataset(BuildConfig(tmp_path / "run", chat, stages=("verifier",), **options))
    for row in store.read("verifier").to_pylist():
        assert row["prompt"] == f"Question: {row['question']}\nAnswer:"


def test_an_evaluation_samples_from_the_chat(chat, tmp_path):
    options = {"limit": 2, "max_new_tokens": 8}
    in_chat = evaluate(EvalConfig(tmp_path / "chat", chat, system="Be brief.", **options))
    recipe = Store(in_chat.folder).manifest["recipe"]
    assert (recipe["chat"], recipe["system"], recipe["few_shot"]) == (True, "Be brief.", 0)
    tokenizer = load_tokenizer(chat)
    for row in in_chat.read("solutions").to_pylist():
        assert tokenizer.decode(row["prompt_ids"]).startswith("<bos>Be brief.\nQuestion: ")


def test_a_build_with_another_template_is_another_recipe(chat, chat_run, tmp_path):
    other = shutil.copytree(chat, tmp_path / "model")
    run = shutil.copytree(chat_run.folder, tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["recipe"]["model"] = str(other)
    (run / "manifest.json").write_text(json.dumps(manifest))
    config = json.loads((other / "tokenizer_config.json").read_text())
    config["chat_template"] = TEMPLATE.replace("Answer", "Solution")
    (other / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(CtmError, match=r"another recipe \(prompts_sha256: "):
        build_dataset(BuildConfig(run, str(other), system="Be brief.", **SMALL))
