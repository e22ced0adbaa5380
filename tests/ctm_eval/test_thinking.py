"""Where a thought ends, what may follow it, and how it reads; on a model made by hand that thinks."""

import pytest
from thinker import TAG_IN_THE_PROMPT, make

from ctm_eval.engines import Request, Sampling, load_engine
from ctm_eval.errors import CtmError
from ctm_eval.grading import grade
from ctm_eval.thinking import TAGS, Thinking, read, room, sample, tags_in

MESSAGES = [{"role": "user", "content": "Which number?"}]
THINKING = Thinking("<think>", "</think>", 10)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """A model that opens its thought itself: 6 tokens, of which 3 are the thought."""
    return load_engine("transformers", make(tmp_path_factory.mktemp("thinker")), device="cpu")


@pytest.fixture(scope="module")
def prompt(engine):
    return engine.encode_chat(MESSAGES)


@pytest.fixture(scope="module")
def opened(engine, prompt):
    """The same prompt with the tag at its end."""
    return [*prompt, *engine.encode("<think>")]


def drawn(engine, prompt, thought, answer, prefix=""):
    """What is drawn behind a prefix with these budgets, as text, and why it ended."""
    thinking, given = Thinking("<think>", "</think>", thought), engine.encode(prefix)
    fits = room(engine, prompt, given, answer, thinking)
    request = Request(prompt, 1, fits, given)
    [completion] = sample(engine, [request], Sampling(), answer, thinking)
    return engine.decode(completion.token_ids), completion.finish_reason


@pytest.mark.parametrize("tags", TAGS)
def test_the_tags_of_a_template_are_recognised(tags):
    assert tags_in("{% if x %}" + tags[0] + "{% endif %}{{ y.split('" + tags[1] + "') }}") == tags


def test_a_template_without_tags_has_none(engine):
    assert tags_in("{{ messages[0].content }} I think") is None


def test_a_thought_ends_with_its_tag(engine, prompt):
    ids = engine.encode("<think> 5 5 </think> so 5 <eos>")
    assert THINKING.thought(engine, prompt, ids) == (4, True)


def test_a_thought_may_begin_in_the_prompt(engine, opened):
    assert THINKING.thought(engine, opened, engine.encode("5 </think> so 5")) == (2, True)


def test_a_thought_without_its_end_goes_to_the_end(engine, prompt):
    assert THINKING.thought(engine, prompt, engine.encode("<think> 5 5")) == (3, False)


def test_a_closed_thought_in_the_prompt_opens_none(engine, prompt):
    closed = [*prompt, *engine.encode("<think> </think>")]
    assert THINKING.thought(engine, closed, engine.encode("so 5 <eos>")) is None


@pytest.mark.parametrize(
    ("given", "left"),
    {
        "the thought may begin": ("", 10),
        "in the thought": ("<think> 5", 8),
        "behind it, of 4 tokens, 7 for the answer": ("<think> 5 5 </think> so", 6),
        "there is no thought": ("so 5", 5),
        "longer than it may be": ("<think> 5 </think>" + 9 * " so", -2),
    }.values(),
)
def test_a_thought_and_its_answer_have_budgets_of_their_own(engine, prompt, given, left):
    """10 tokens for the thought, 7 for the answer."""
    assert room(engine, prompt, engine.encode(given), 7, THINKING) == left


def test_a_thought_beyond_its_budget_ends_the_completion(engine, prompt):
    text, reason = drawn(engine, prompt, thought=2, answer=9)
    assert (text.split()[0], len(text.split()), reason) == ("<think>", 2, "length")


def test_an_answer_beyond_its_budget_is_cut_where_the_thought_left_room(engine, prompt):
    text, reason = drawn(engine, prompt, thought=9, answer=1)
    assert (text.split()[2:], reason) == (["</think>", "so"], "length")


def test_an_answer_that_outlasts_the_room_of_the_thought_is_drawn_further(engine, prompt):
    text, reason = drawn(engine, prompt, thought=3, answer=9)
    assert (len(text.split()), text.split()[3], reason) == (5, "so", "stop")


def test_what_begins_without_a_thought_has_the_answers_budget(engine, prompt):
    closed = [*prompt, *engine.encode("<think> 4 </think>")]
    assert drawn(engine, closed, thought=1, answer=9) == ("so 4", "stop")


@pytest.mark.parametrize("prefix", ["<think> 4", "<think> 4 </think>"])
def test_a_rollout_from_within_has_what_is_left_of_the_budgets(engine, prompt, prefix):
    text, _ = drawn(engine, prompt, thought=3, answer=1, prefix=prefix)
    assert f"{prefix} {text}" == "<think> 4 </think> so"


def test_a_tag_that_the_prompt_opened_stands_in_the_text(engine, opened):
    text, end = read(engine, opened, engine.encode("5 </think> so 5 <eos>"), THINKING)
    assert (text, end) == ("<think>5 </think> so 5", 2)


def test_a_boxed_answer_in_an_unfinished_thought_is_none(engine, opened):
    """Its text has no tag of its own: the prompt has it."""
    text, _ = read(engine, opened, engine.encode("4 5"), THINKING)
    assert (text, grade("5", text, finished=False).reason) == ("<think>4 5", "unfinished_thought")


def test_special_tags_of_another_model_read_as_think(tmp_path):
    """[THINK] is special here, so that the text alone would not show it."""
    own = load_engine("transformers", make(tmp_path, tags=("[THINK]", "[/THINK]")), device="cpu")
    own.tokenizer.add_special_tokens({"extra_special_tokens": ["[THINK]", "[/THINK]"]})
    ids = own.encode("[THINK] 5 [/THINK] so 4 <eos>")
    assert own.decode(ids) == "5 so 4"
    text, end = read(own, [], ids, Thinking("[THINK]", "[/THINK]", 10))
    assert (text, end, grade("4", text).correct) == ("<think> 5 </think> so 4", 3, True)


def test_template_arguments_reach_the_template(engine):
    ids = engine.encode_chat(MESSAGES, {"enable_thinking": False})
    assert engine.decode(ids).endswith("<think> </think>")


def test_a_template_that_refuses_says_so_in_one_line(tmp_path):
    template = "{{ raise_exception('no system here') }}"
    own = load_engine("transformers", make(tmp_path, template), device="cpu")
    with pytest.raises(CtmError, match=r"refuses the chat \(no system here\)"):
        own.encode_chat(MESSAGES)


def test_a_template_that_opens_the_thought_ends_with_the_tag(tmp_path):
    own = load_engine("transformers", make(tmp_path, TAG_IN_THE_PROMPT), device="cpu")
    ids = own.encode_chat(MESSAGES)
    assert THINKING.thought(own, ids, own.encode("4")) == (1, False)
