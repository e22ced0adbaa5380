"""Scores of verifiers: those of a head by hand, those of language models against trl's own rewards."""

import json

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForTokenClassification, AutoTokenizer

from ctm_eval.errors import CtmError
from ctm_eval.pocket import MODEL_DIR, problems
from ctm_eval.verifiers import Candidate, Verifier, training_record
from ctm_train.methods import METHODS
from ctm_train.settings import settings_for
from ctm_train.train import load, train

MODEL = str(MODEL_DIR)


def solutions(count=4):
    return [
        Candidate(f"Question: {problem.question}\nAnswer:", problem.solution)
        for problem in problems("train", count, 0)
    ]


def trained(folder, method, merge=False, **given):
    rows = [
        {
            "prompt": solution.prompt,
            "completion": solution.text,
            "chosen": solution.text,
            "rejected": solution.text.replace("=", "= 1"),
            "correct": number % 2 == 0,
        }
        for number, solution in enumerate(solutions())
    ]
    settings = settings_for(method, "pocket", batch_size=2, learning_rate=1e-3, **given)
    data = Dataset.from_list(rows)
    train(method, data, folder, model=MODEL, settings=settings, name="pocket", merge=merge)
    return folder


@pytest.fixture(scope="module")
def orm(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("verifiers") / "orm", "orm")


@pytest.fixture(scope="module")
def simpo(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("verifiers") / "simpo", "simpo", beta=2.5)


def token_values(folder, solution):
    """The head's probabilities at the completion's tokens, EOS included."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()
    prompt = tokenizer(solution.prompt).input_ids
    text = [*tokenizer(solution.text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    with torch.no_grad():
        values = model(torch.tensor([prompt + text])).logits[0, :, 0].sigmoid()
    return values[len(prompt) :]


@pytest.mark.parametrize(
    ("pool", "reduce"),
    [("last", lambda v: v[-1]), ("mean", torch.mean), ("min", torch.min), ("product", torch.prod)],
)
def test_an_orm_pools_the_values_of_the_completions_tokens(orm, pool, reduce):
    for solution in solutions():
        [score] = Verifier(orm, pool=pool).score([solution])
        assert score == pytest.approx(reduce(token_values(orm, solution)).item(), abs=1e-5)


@pytest.mark.parametrize("method", ["orm", "simpo"])
def test_an_adapter_scores_as_the_model_it_is_folded_into(method, tmp_path):
    """LoRA on every matrix, and for a verifier with a head the head itself."""
    lora = {"lora": True, "epochs": 4, "seed": 1}
    apart = Verifier(trained(tmp_path / "adapter", method, **lora)).score(solutions())
    whole = Verifier(trained(tmp_path / "merged", method, merge=True, **lora)).score(solutions())
    assert (tmp_path / "adapter" / "adapter_config.json").exists()
    assert not (tmp_path / "merged" / "adapter_config.json").exists()
    assert apart == pytest.approx(whole, abs=1e-4)
    assert len(set(apart)) == len(apart) and 0.5 not in apart


def test_a_score_does_not_depend_on_the_batch(orm):
    verifier = Verifier(orm)
    alone = [verifier.score([solution])[0] for solution in solutions()]
    assert verifier.score(solutions()) == pytest.approx(alone, abs=1e-5)


def test_an_unfinished_solution_has_no_end_of_sequence_token_to_be_scored_at(orm):
    solution = solutions()[0]
    cut = Candidate(solution.prompt, solution.text, finished=False)
    [score] = Verifier(orm, pool="last").score([cut])
    assert score == pytest.approx(token_values(orm, solution)[-2].item(), abs=1e-5)


def test_simpos_score_is_trls_own_implied_reward_on_the_same_batch(simpo, tmp_path):
    """trl logs rewards/chosen, the mean over the batch of beta times the mean log-probability."""
    model, tokenizer = load(str(simpo), settings_for("simpo", "pocket"))
    pairs = [
        {"prompt": s.prompt, "chosen": s.text, "rejected": s.text.replace("=", "= 1")}
        for s in solutions()
    ]
    trainer = METHODS["simpo"](
        model,
        tokenizer,
        Dataset.from_list(pairs),
        settings_for("simpo", "pocket", beta=2.5),
        {"output_dir": str(tmp_path), "bf16": False, "gradient_checkpointing": False,
         "report_to": "none", "disable_tqdm": True},
    )  # fmt: skip
    batch = trainer.data_collator(list(trainer.train_dataset))
    with torch.no_grad():
        _, metrics = trainer.get_batch_loss_metrics(trainer.model.eval(), batch, "eval")
    scores = Verifier(simpo).score(solutions())
    assert float(metrics["eval_rewards/chosen"]) == pytest.approx(sum(scores) / 4, abs=1e-4)


def test_dpos_score_is_nothing_before_training_has_moved_it(tmp_path):
    """Policy and reference are one: a log-ratio of 0 for anything."""
    folder = trained(tmp_path / "dpo", "dpo")
    record = json.loads((folder / "training.json").read_text())
    record["model"] = str(folder)
    (folder / "training.json").write_text(json.dumps(record))
    assert Verifier(folder).score(solutions()) == pytest.approx([0.0] * 4, abs=1e-4)


def test_dpos_score_prefers_what_it_was_trained_to_prefer(tmp_path):
    folder = trained(tmp_path / "dpo", "dpo")
    right = Verifier(folder).score(solutions())
    wrong = [Candidate(s.prompt, s.text.replace("=", "= 1")) for s in solutions()]
    assert sum(right) > sum(Verifier(folder).score(wrong))


def test_a_prm_is_as_sure_as_its_least_sure_step(orm, tmp_path):
    """A process reward model looks at the tokens that end a step: line breaks and the last one."""
    folder = tmp_path / "prm"
    folder.symlink_to(orm)
    verifier = Verifier(orm)
    verifier.method, verifier.pool = "prm", "min"
    solution = solutions()[0]
    tokenizer = AutoTokenizer.from_pretrained(orm)
    ids = [*tokenizer(solution.text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    ends = [i for i, token in enumerate(ids) if "\n" in tokenizer.decode([token])]
    values = token_values(orm, solution)[[*ends, len(ids) - 1]]
    assert len(ends) >= 2
    assert verifier.score([solution])[0] == pytest.approx(values.min().item(), abs=1e-5)


def test_a_record_of_an_older_version_is_read_as_what_it_says(orm, simpo, tmp_path):
    """It calls beta gamma, and leaves the reference to be told from the method."""
    record = json.loads((simpo / "training.json").read_text())
    record["settings"]["gamma"] = record["settings"].pop("beta")
    del record["reference"]
    for method, reference in (("simpo", False), ("dpo", True)):
        (tmp_path / "training.json").write_text(json.dumps({**record, "method": method}))
        read = training_record(tmp_path)
        assert (read["settings"]["beta"], read["reference"]) == (2.5, reference)


def test_whether_there_is_a_reference_is_what_the_record_says(tmp_path):
    folder = trained(tmp_path / "dpo", "dpo")
    record = json.loads((folder / "training.json").read_text())
    assert record["reference"] is True
    assert Verifier(folder).reference is not None
    (folder / "training.json").write_text(json.dumps({**record, "reference": False}))
    assert Verifier(folder).reference is None


@pytest.mark.parametrize("labels", [1, 2])
def test_a_token_classifier_of_others_is_a_process_reward_model(labels, tmp_path):
    """Its scores are the sigmoid of its only logit, or the softmax of the second of two."""
    from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer

    config = AutoConfig.from_pretrained(MODEL_DIR, num_labels=labels)
    torch.manual_seed(0)
    model = AutoModelForTokenClassification.from_config(config, dtype=torch.float32).eval()
    model.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR)
    tokenizer.save_pretrained(tmp_path)
    text, ends = "1 + 1 = 2\nSo 2", [10, 14]
    [found] = Verifier(tmp_path, device="cpu").step_scores([Candidate("1 + 1?", text)], [ends])
    before = tokenizer("1 + 1?").input_ids
    own = [*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    with torch.no_grad():
        logits = model(torch.tensor([[*before, *own]])).logits[0, len(before) :]
    right = logits[:, 0].sigmoid() if labels == 1 else logits.softmax(-1)[:, 1]
    at = [len(tokenizer("1 + 1 = 2\n", add_special_tokens=False).input_ids) - 1, len(own) - 1]
    assert found == pytest.approx(right[at].tolist(), abs=1e-5)


def test_a_folder_that_is_no_verifier_says_how_to_make_one(tmp_path):
    with pytest.raises(CtmError, match="ctm train orm"):
        Verifier(tmp_path)


def test_an_unfinished_training_is_refused(orm, tmp_path):
    record = json.loads((orm / "training.json").read_text())
    del record["outcome"]
    (tmp_path / "training.json").write_text(json.dumps(record))
    with pytest.raises(CtmError, match="is not finished"):
        Verifier(tmp_path)


def test_an_unknown_pool_is_answered_with_the_known_ones(orm):
    with pytest.raises(CtmError, match="last, mean, min, product"):
        Verifier(orm, pool="median")
