"""A thinking model through build and eval. It answers 4, 5 or 6, as it thought; 4 is right."""

import pytest
from rich.console import Console
from thinker import TAG_IN_THE_PROMPT, make, problems

from ctm_data.build import build_dataset
from ctm_data.config import BuildConfig, EvalConfig
from ctm_data.eval import evaluate
from ctm_data.pages.summary import summarize
from ctm_data.regrade import regrade
from ctm_data.show import show
from ctm_eval.errors import CtmError

SMALL = {"n_samples": 16, "stages": ("rollouts",)}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    return problems(tmp_path_factory.mktemp("problems") / "problems.jsonl")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """As Qwen3: the model writes the tag, unless the template is told not to think."""
    return make(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def opening(tmp_path_factory):
    """As DeepSeek-R1: the prompt ends with the tag."""
    return make(tmp_path_factory.mktemp("opening"), TAG_IN_THE_PROMPT)


@pytest.fixture(scope="module")
def run(model, asked, tmp_path_factory):
    return build_dataset(
        BuildConfig(tmp_path_factory.mktemp("run") / "run", model, **SMALL, **asked)
    )


def test_a_critical_token_may_lie_in_the_thought(run):
    """`5` in `<think> 5 </think> so 5`. A third of the rollouts is right before it, none after it."""
    rows = run.read("rollouts").to_pylist()
    assert rows
    for row in rows:
        assert row["critical_index"] == 1
        assert row["value"][0] == pytest.approx(1 / 3, abs=0.02)
        assert row["value"][1] == 0
        assert row["keep_prob"] == pytest.approx([1, 1 / 3, 1, 1, 1, 1])
    assert summarize(run).in_thought == len(rows)


def test_the_answer_is_read_behind_the_thought(run):
    for row in run.read("solutions").to_pylist():
        number = row["text"].split()[1]
        assert row["text"] == f"<think> {number} </think> so {number}"
        assert (row["answer"], row["correct"], row["thought_end"]) == (number, number == "4", 3)


def test_a_thought_that_the_prompt_opens_is_one_too(opening, asked, tmp_path):
    store = build_dataset(BuildConfig(tmp_path / "run", opening, **SMALL, **asked))
    assert {row["critical_index"] for row in store.read("rollouts").to_pylist()} == {0}
    for row in store.read("solutions").to_pylist():
        assert row["text"].startswith(f"<think>{row['answer']} </think>")
        assert row["thought_end"] == 2


def test_a_thought_beyond_its_budget_is_a_verdict_of_its_own(opening, asked, tmp_path):
    """The right number stands in it, and counts for nothing; grading again says the same."""
    store = evaluate(EvalConfig(tmp_path / "run", opening, max_thinking_tokens=1, **asked))
    rows = store.read("solutions").to_pylist()
    assert {(row["verdict"], row["thought_end"]) for row in rows} == {("unfinished_thought", 1)}
    assert regrade(store.folder)[1] == []


def test_an_evaluation_keeps_budgets_of_its_own_for_both(model, asked, tmp_path):
    """One token of the answer is not enough for its number."""
    store = evaluate(EvalConfig(tmp_path / "run", model, max_new_tokens=1, **asked))
    rows = store.read("solutions").to_pylist()
    assert {(len(row["token_ids"]), row["verdict"]) for row in rows} == {(4, "truncated")}


def test_the_recipe_carries_the_tags_and_both_budgets(run):
    """256 positions, and a prompt of 23 tokens: a quarter of the rest is for the answer."""
    recipe = run.manifest["recipe"]
    assert recipe["think_tags"] == ["<think>", "</think>"]
    left = 256 - len(run.read("solutions").to_pylist()[0]["prompt_ids"])
    assert (recipe["max_new_tokens"], recipe["max_thinking_tokens"]) == (
        left // 4,
        left - left // 4,
    )


def test_another_budget_is_another_recipe(run, model, asked):
    with pytest.raises(CtmError, match=r"another recipe \(max_thinking_tokens: "):
        build_dataset(BuildConfig(run.folder, model, max_thinking_tokens=9, max_new_tokens=58,
                                  **SMALL, **asked))  # fmt: skip


def test_a_template_can_be_told_not_to_think(model, asked, tmp_path):
    args = {"enable_thinking": False}
    store = evaluate(EvalConfig(tmp_path / "run", model, template_args=args, **asked))
    assert store.manifest["recipe"]["template_args"] == args
    for row in store.read("solutions").to_pylist():
        assert (row["text"].split()[0], row["thought_end"]) == ("so", None)


def test_tags_that_the_template_does_not_know_can_be_given(asked, tmp_path):
    tags = ("(((", ")))")
    own = make(tmp_path / "model", tags=tags)
    store = evaluate(EvalConfig(tmp_path / "run", own, think_tags=tags, **asked))
    assert {row["thought_end"] for row in store.read("solutions").to_pylist()} == {3}


def test_a_budget_for_thoughts_needs_a_model_that_thinks(asked):
    with pytest.raises(CtmError, match="give --think-tags"):
        evaluate(EvalConfig(model="pocket", max_thinking_tokens=9, max_new_tokens=9, **asked))


def test_a_server_that_is_asked_in_words_has_no_budgets_for_thoughts():
    with pytest.raises(CtmError, match="need token ids: give --tokenizer"):
        EvalConfig(
            model="m", engine="openai", base_url="http://x/v1", think_tags=("<think>", "</think>")
        ).check()


def test_budgets_that_do_not_fit_are_refused(model, asked):
    config = EvalConfig(model=model, max_thinking_tokens=250, max_new_tokens=9, **asked)
    with pytest.raises(CtmError, match="with --max-thinking-tokens 250 and --max-new-tokens 9 "):
        evaluate(config)


def test_show_marks_the_thought(run):
    console = Console(record=True, file=open("/dev/null", "w"), width=80)  # noqa: SIM115
    console.print(show(run.folder, width=40, colour=False))
    lines = console.export_text().splitlines()
    rules = [i for i, line in enumerate(lines) if line.startswith("── ")]
    assert [lines[i].split()[1] for i in rules] == ["thought", "answer"]
    assert lines[rules[0] + 1].startswith("<think> ")
    assert lines[rules[1] + 1].split()[0] == "so"
    assert "The token is part of the thought." in lines
