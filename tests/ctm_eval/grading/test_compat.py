"""math-verify's and trl's ways to ask: the same verdicts, in any thread."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import table

from ctm_eval.errors import CtmError
from ctm_eval.grading import grade
from ctm_eval.grading.compat import accuracy_reward, parse, verify


def test_an_answer_is_parsed_from_a_response_and_verified_against_a_parsed_gold():
    assert verify(parse(r"$\frac{1}{2}$"), parse(r"Half of it: \boxed{0.5}"))
    assert not verify(parse(r"$\frac{1}{2}$"), parse(r"\boxed{0.25}"))


def test_a_text_without_an_answer_verifies_as_nothing():
    assert parse("I do not know.") == []
    assert not verify(parse("$5$"), [])


def test_options_of_math_verify_are_taken():
    gold = parse("$5$", extraction_mode="first_match", parsing_timeout=None)
    assert verify(gold, ["5"], float_rounding=2, strict=False, timeout_seconds=None)


def test_reward_grades_strings_and_the_last_message_of_conversations():
    reward = accuracy_reward("solution")
    golds = ["5", "5"]
    assert reward(completions=["#### 5", "#### 6"], solution=golds) == [1.0, 0.0]
    talk = [
        [{"role": "assistant", "content": r"\boxed{5}"}],
        [{"role": "assistant", "content": ""}],
    ]
    assert reward(completions=talk, solution=golds) == [1.0, 0.0]


def test_reward_names_the_column_that_is_missing():
    with pytest.raises(CtmError, match="no column 'answer'"):
        accuracy_reward()(completions=["5"], gold=["5"])


def test_ten_thousand_verdicts_of_sixteen_threads_are_those_of_one():
    rows = [row for row in table("pairs.jsonl") if len(row["answer"]) < 500]
    pairs = [(row["gold"], rf"\boxed{{{row['answer']}}}") for row in rows]
    pairs = (pairs * (10_000 // len(pairs) + 1))[:10_000]
    alone = [_verdict(pair) for pair in pairs]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(_verdict, pairs, timeout=300))
    assert together == alone


def _verdict(pair: tuple[str, str]) -> bool:
    return grade(*pair).correct


def test_verdicts_are_given_outside_the_main_thread():
    found: list[bool] = []
    ask = threading.Thread(target=lambda: found.append(verify(parse(r"$\sqrt{8}$"), [r"2\sqrt2"])))
    ask.start()
    ask.join(60)
    assert found == [True]


def test_trl_takes_a_step_of_grpo_with_the_reward(tmp_path):
    pytest.importorskip("trl")
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    folder = _weights()
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    seen: list[float] = []
    reward = accuracy_reward("gold", "pocket")

    def watched(**columns):
        rewards = reward(**columns)
        seen.extend(rewards)
        return rewards

    rows = Dataset.from_dict({"prompt": ["Q: 2+2?\n"] * 2, "gold": ["4"] * 2})
    settings = GRPOConfig(
        output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=2, num_generations=2,
        max_completion_length=8, use_cpu=True, report_to=[], logging_steps=1, save_strategy="no",
        disable_tqdm=True,
    )  # fmt: skip
    trainer = GRPOTrainer(
        model, reward_funcs=watched, args=settings, train_dataset=rows, processing_class=tokenizer
    )
    trainer.train()
    assert trainer.state.global_step == 1
    assert len(seen) == 2 and set(seen) <= {0.0, 1.0}
    assert any("rewards/watched/mean" in entry for entry in trainer.state.log_history)


def _weights() -> str:
    from importlib.resources import files

    return str(files("ctm_eval.pocket") / "weights")
