"""The openai engine, against a real HTTP server that has the built-in model."""

import json
import resource
import threading
import time

import numpy as np
import pytest
from openai_server import OpenAIServer

pytest.importorskip("openai")

from openai.types import CompletionChoice

from ctm_eval.engines import Request, Sampling, load_engine, load_sampler
from ctm_eval.engines.base import Completion, request_for
from ctm_eval.engines.openai.answers import Answers
from ctm_eval.engines.openai.replies import ended
from ctm_eval.engines.openai.server import retry_after
from ctm_eval.engines.top_tokens import nucleus_of_top
from ctm_eval.errors import CtmError
from ctm_eval.pocket import problems
from ctm_eval.progress import Counter, Traffic
from ctm_eval.prompts import exercise

POLICY = Sampling(temperature=1.0, top_p=0.95)
GREEDY = Sampling(0.0)


@pytest.fixture(scope="module")
def server(engine):
    with OpenAIServer(engine) as server:
        yield server


@pytest.fixture(scope="module")
def served(server):
    """The model behind the server, with its token ids."""
    return load_engine("openai", "pocket", base_url=server.url, tokenizer="pocket")


@pytest.fixture(scope="module")
def prompts(engine):
    return [engine.encode(exercise(problem.question)) for problem in problems("test", 6)]


def in_words(server, **options):
    return load_sampler("openai", "pocket", base_url=server.url, chat=False, **options)


def words(count):
    return [request_for(exercise(problem.question), 7, 60) for problem in problems("test", count)]


def asked(server):
    """The requests that were answered, without those at the start."""
    return [json.dumps(body, sort_keys=True) for body in server.answered[1:]]


@pytest.mark.parametrize("sampling", [GREEDY, POLICY], ids=["greedy", "sampled"])
def test_samples_in_token_ids_are_those_of_the_model_here(engine, served, prompts, sampling):
    requests = [Request(ids, seed, 60) for ids in prompts for seed in range(3)]
    requests += [Request(prompts[0], 5, 20, requests[0].prompt_ids[1:3])]
    assert served.sample(requests, sampling) == engine.sample(requests, sampling)


@pytest.mark.parametrize("stop", ["####", " = 90", "t part i"])
def test_a_stop_string_that_begins_in_the_prefix_ends_a_rollout(engine, served, prompts, stop):
    sampling = Sampling(0, stop=(stop,))
    whole = engine.sample([Request(prompts[0], 0, 120)], sampling)[0].token_ids
    rollouts = [Request(prompts[0], 0, 120, whole[:t]) for t in range(0, len(whole) + 1, 3)]
    assert served.sample(rollouts, sampling) == engine.sample(rollouts, sampling)


@pytest.mark.parametrize(
    "sampling", [POLICY, Sampling(0.7, 0.9), Sampling(1.5, 0.9), Sampling(1.0, 1.0), GREEDY],
    ids=["1", "0.7", "1.5", "whole", "greedy"],
)  # fmt: skip
def test_distributions_are_those_of_the_model_here(engine, served, prompts, sampling):
    sequences = [
        (ids, engine.sample([Request(ids, 1, 25)], POLICY)[0].token_ids) for ids in prompts[:2]
    ]
    for mine, its in zip(
        engine.next_token_distributions(sequences, sampling),
        served.next_token_distributions(sequences, sampling),
        strict=True,
    ):
        assert len(mine) == len(its)
        for own, other in zip(mine, its, strict=True):
            assert sorted(own.token_ids) == sorted(other.token_ids)
            assert [other.prob(t) for t in own.token_ids] == pytest.approx(own.probs, abs=1e-6)


def test_a_nucleus_that_the_known_tokens_do_not_decide_is_asked_for_more():
    """0.5, 0.3 known of 1: 0.5 is one token, 0.8 may just be two, 0.9 needs a third."""
    ids, logs = np.array([4, 2]), np.log([0.5, 0.3])
    assert nucleus_of_top(ids, logs, 5, Sampling(1.0, 0.45)).token_ids.tolist() == [4]
    assert nucleus_of_top(ids, logs, 5, Sampling(1.0, 0.79)).probs == pytest.approx([0.625, 0.375])
    assert nucleus_of_top(ids, logs, 5, Sampling(1.0, 0.9)) is None
    assert nucleus_of_top(ids, logs, 5, Sampling(1.0, 1.0)) is None
    # At temperature 1/2 the weights are 0.25, 0.09 and for the rest from 3 * (0.2 / 3)^2 = 0.013 to
    # 0.2 * 0.3 = 0.06: 0.25 is from 0.25 / 0.40 = 62.5% to 70.8% of them, both together 85% or more.
    assert nucleus_of_top(ids, logs, 5, Sampling(0.5, 0.62)).token_ids.tolist() == [4]
    assert nucleus_of_top(ids, logs, 5, Sampling(0.5, 0.7)) is None
    assert nucleus_of_top(ids, logs, 5, Sampling(0.5, 0.72)).token_ids.tolist() == [4, 2]


@pytest.mark.parametrize("chat", [False, True])
def test_a_model_that_is_asked_in_words_answers_in_words(engine, server, chat, monkeypatch):
    texts = [exercise(problem.question) for problem in problems("test", 4)]
    if chat:
        monkeypatch.setattr(
            engine, "encode_chat", lambda turns: engine.encode(turns[-1]["content"])
        )
    asker = load_sampler("openai", "pocket", base_url=server.url, chat=chat)
    prompts = [({"role": "user", "content": text},) if chat else text for text in texts]
    found = asker.sample([request_for(prompt, 0, 60) for prompt in prompts], GREEDY)
    here = engine.sample([Request(engine.encode(text), 0, 60) for text in texts], GREEDY)
    assert [(c.text, c.finish_reason) for c in found] == [
        (engine.decode(c.token_ids), c.finish_reason) for c in here
    ]
    assert all(c.token_ids == () for c in found)


def test_every_fault_is_tried_again_and_nothing_is_lost_or_asked_twice(engine):
    faults = {2: "429", 3: "500", 4: "cut", 5: "html", 9: "cut", 11: "500", 14: "429"}
    with OpenAIServer(engine, faults=faults) as server:
        asker = in_words(server, concurrency=4)
        requests = words(12)
        found = asker.sample(requests, GREEDY)
        assert len(set(asked(server))) == len(asked(server)) == 12
        assert server.seen == 13 + len(faults)
        assert server.most <= 4
        assert asker.server.traffic.retries == len(faults)
    with OpenAIServer(engine) as quiet:
        assert in_words(quiet).sample(requests, GREEDY) == found


CHOICE = {"index": 0, "finish_reason": "stop", "text": "1"}
JUNK = {
    "half of it": b'{"choices": [',
    "a list": b"[]",
    "a text": b'"slow down"',
    "nothing": b"null",
    "no choices": b'{"choices": []}',
    "a choice that is none": b'{"choices": [null]}',
    "choices that are a text": b'{"choices": "7"}',
    "choices by name": b'{"choices": {"0": {}}}',
    "a text that is a number": {**CHOICE, "text": 7},
    "no text": {"index": 0, "finish_reason": "stop"},
    "an end that is a list": {**CHOICE, "finish_reason": []},
    "no end": {**CHOICE, "finish_reason": None},
    "an end by an error": {**CHOICE, "finish_reason": "abort"},
    "brackets without end": b"[" * 100_000,
}


@pytest.mark.parametrize("told", ["stop", "eos_token", "stop_sequence"])
def test_the_ends_that_servers_have_their_own_words_for(told):
    assert ended(CompletionChoice.model_construct(finish_reason=told)) == "stop"


def test_junk_is_tried_again_and_never_taken_for_an_answer(engine):
    junk = [
        told if isinstance(told, bytes) else json.dumps({"choices": [told]}).encode()
        for told in JUNK.values()
    ]
    with OpenAIServer(engine, faults=dict(enumerate(junk, 2))) as server:
        asker = in_words(server, concurrency=len(junk))
        requests = words(len(junk))
        found = asker.sample(requests, GREEDY)
        assert len(set(asked(server))) == len(asked(server)) == len(requests)
        assert asker.server.traffic.retries == len(junk)
    with OpenAIServer(engine) as quiet:
        assert in_words(quiet).sample(requests, GREEDY) == found


def test_a_turn_of_a_chat_that_holds_no_message_is_tried_again(engine, monkeypatch):
    monkeypatch.setattr(engine, "encode_chat", lambda turns: engine.encode(turns[-1]["content"]))
    junk = [json.dumps({"choices": [{**CHOICE, "message": told}]}).encode() for told in (None, "7")]
    with OpenAIServer(engine, faults=dict(enumerate(junk, 1))) as server:
        asker = load_sampler("openai", "pocket", base_url=server.url)
        turns = ({"role": "user", "content": "1 + 1?"},)
        assert len(asker.sample([request_for(turns, 0, 5)], GREEDY)) == 1
        assert asker.server.traffic.retries == 2


def changed(**values):
    """The answer with other values in its choice."""
    return lambda told: {**told, "choices": [{**told["choices"][0], **values}]}


def first_of_two(told):
    return {
        **told,
        "choices": [*told["choices"], {**told["choices"][0], "text": "no", "token_ids": [1]}],
    }


LIES = {
    "tokens beyond the vocabulary": changed(token_ids=[1024]),
    "tokens below 0": changed(token_ids=[-1]),
    "tokens that are words": changed(token_ids=["7"]),
    "no tokens": changed(token_ids=None),
    "more tokens than were asked for": changed(token_ids=[5] * 21),
}


def test_token_ids_that_cannot_be_drawn_are_tried_again(engine, prompts):
    with OpenAIServer(engine) as server:
        served = load_engine("openai", "pocket", base_url=server.url, tokenizer="pocket")
        server.faults = dict(enumerate([*LIES.values(), first_of_two], server.seen))
        requests = [Request(ids, seed, 20) for ids in prompts for seed in range(2)]
        assert served.sample(requests, GREEDY) == engine.sample(requests, GREEDY)
        assert served.server.traffic.retries == len(LIES)


def each_place(change):
    """The answer with other log-probabilities at every place but the first."""

    def lie(told):
        places = told["choices"][0]["prompt_logprobs"]
        return changed(prompt_logprobs=[None, *map(change, places[1:])])(told)

    return lie


def log(value):
    return each_place(lambda place: {t: {**one, "logprob": value} for t, one in place.items()})


LYING_LOGPROBS = {
    "not a number": log(float("nan")),
    "above 0": log(3.0),
    "a word": log("low"),
    "too large to be a number": log(10**400),
    "tokens beyond the vocabulary": each_place(
        lambda place: {str(int(t) + 1024): o for t, o in place.items()}
    ),
    "tokens that are words": each_place(lambda place: {f"t{t}": o for t, o in place.items()}),
    "no tokens": each_place(lambda _: {}),
    "lists": each_place(lambda place: list(place)),
    "places left out": lambda told: changed(
        prompt_logprobs=told["choices"][0]["prompt_logprobs"][:-1]
    )(told),
    "few instead of all": each_place(lambda place: dict(list(place.items())[:20])),
}


def test_log_probabilities_that_are_none_are_tried_again(engine, prompts):
    whole = Sampling(1.0, 1.0)
    sequences = [(prompts[0][:3], [10 + i, 11]) for i in range(len(LYING_LOGPROBS))]
    with OpenAIServer(engine) as server:
        served = load_engine("openai", "pocket", base_url=server.url, tokenizer="pocket")
        server.faults = dict(enumerate(LYING_LOGPROBS.values(), server.seen))
        found = served.next_token_distributions(sequences, whole)
        assert served.server.traffic.retries == len(LYING_LOGPROBS)
    here = engine.next_token_distributions(sequences, whole)
    for mine, own in zip(found, here, strict=True):
        assert [one.probs for one in mine] == [pytest.approx(one.probs, abs=1e-6) for one in own]


def test_a_server_that_answers_junk_alone_ends_the_run_in_one_line(engine):
    with OpenAIServer(engine, faults=dict.fromkeys(range(1, 1000), b"[]")) as server:
        asker = in_words(server, patience=0.1)
        with pytest.raises(
            CtmError, match=r"no answer \(it holds no choice\); see to it and run"
        ) as caught:
            asker.sample(words(3), GREEDY)
    assert len(str(caught.value).splitlines()) == 1


def test_an_answer_without_an_end_is_broken_off_and_asked_again(engine, monkeypatch):
    with OpenAIServer(engine, faults={1: "drip"}) as server:
        asker = in_words(server)
        monkeypatch.setattr("ctm_eval.engines.openai.server.LONGEST_ANSWER", 1.0)
        monkeypatch.setattr(server, "sample", lambda *_: Completion((), "stop"))
        assert asker.sample(words(1), GREEDY)[0].finish_reason == "stop"
        assert asker.server.traffic.retries == 1


def test_a_server_that_wants_a_day_of_patience_is_not_waited_for(engine):
    faults = {1: (429, {"Retry-After": "86400"})}
    with (
        OpenAIServer(engine, faults=faults) as server,
        pytest.raises(CtmError, match="429: not here; see"),
    ):
        in_words(server, concurrency=1).sample(words(2), GREEDY)


def test_the_key_does_not_follow_to_another_server(engine, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    with OpenAIServer(engine, key="sk-very-secret") as other, OpenAIServer(engine) as server:
        asker = in_words(server)
        server.faults = {1: (307, {"Location": f"{other.url}/completions"})}
        with pytest.raises(CtmError, match="says 401: wrong key None"):
            asker.sample(words(1), GREEDY)


def test_retries_are_told_of(engine):
    told = []
    traffic = Traffic(lambda *state, figures: told.append((*state, figures)))
    counter = Counter(traffic, "sampling", 6)
    with OpenAIServer(engine, faults={1: "500", 2: "cut"}) as server:
        in_words(server, concurrency=3, traffic=traffic).sample(words(6), GREEDY, counter)
    stage, done, *_, figures = told[-1]
    assert (stage, done, figures["retries"]) == ("sampling", 6, 2)


def test_requests_in_flight_are_told_of(engine, monkeypatch):
    told = []
    traffic = Traffic(lambda *state, figures: told.append((*state, figures)))
    with OpenAIServer(engine) as server:
        asker, three = in_words(server, concurrency=3, traffic=traffic), threading.Barrier(3)
        answer = server.sample

        def answer_three(*one):
            three.wait()
            return answer(*one)

        monkeypatch.setattr(server, "sample", answer_three)
        asker.sample(words(6), GREEDY, Counter(traffic, "sampling", 6))
    assert max(state[-1]["in_flight"] for state in told) == 3


def test_a_server_that_thinks_is_told_of_while_it_does(engine, monkeypatch):
    told = []
    traffic = Traffic(lambda *state, figures: told.append(figures["in_flight"]))
    with OpenAIServer(engine) as server:
        asker, answer = in_words(server, concurrency=1, traffic=traffic), server.sample

        def answer_late(*one):
            time.sleep(0.3)
            return answer(*one)

        traffic("sampling", 0, 1)
        monkeypatch.setattr("ctm_eval.engines.openai.server.TOLD_EVERY", 0.05)
        monkeypatch.setattr(server, "sample", answer_late)
        asker.sample(words(1), GREEDY)
    assert told.count(1) > 2


def test_a_retry_is_told_of_though_nothing_is_done():
    told = []
    traffic = Traffic(lambda *state, figures: told.append((*state, figures)))
    traffic("sampling", 1, 9, 30)
    traffic.retries += 1
    traffic.tell()
    assert told[1] == ("sampling", 1, 9, 30, {"in_flight": 0, "retries": 1})


def test_tokens_that_the_server_had_from_before_are_told_of(engine):
    told = []
    traffic = Traffic(lambda *state, figures: told.append(figures))
    with OpenAIServer(engine, cached=3) as server:
        in_words(server, traffic=traffic).sample(words(2), GREEDY, Counter(traffic, "sampling", 2))
    assert told[-1]["cached_tokens"] == 6


def test_no_more_requests_are_in_flight_than_wanted(engine):
    with OpenAIServer(engine) as server:
        in_words(server, concurrency=3).sample(words(12), GREEDY)
        assert server.most == 3


def test_retry_after_is_honoured_by_all_requests(engine):
    import time

    with OpenAIServer(engine, faults={1: "429"}) as server:
        asker = in_words(server, concurrency=1)
        started = time.monotonic()
        asker.sample(words(2), GREEDY)
        assert time.monotonic() - started >= 1


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("3", 3), ("0.5", 0.5), ("-1", 0), ("nan", None), ("inf", None), ("soon", None), (None, None),
     ("Thu, 01 Jan 1970 00:00:00 GMT", 0)],
)  # fmt: skip
def test_retry_after_is_a_number_or_a_date(said, seconds):
    assert retry_after({} if said is None else {"retry-after": said}) == seconds


def test_a_request_that_never_succeeds_ends_the_run_and_the_answers_are_kept(engine, tmp_path):
    answers = Answers(tmp_path / "answers")
    with OpenAIServer(engine, faults=dict.fromkeys(range(5, 1000), "500")) as server:
        asker = in_words(server, answers=answers, concurrency=1, patience=0.5)
        with pytest.raises(
            CtmError, match="says 500: oops; see to it and run the same command again"
        ):
            asker.sample(words(8), GREEDY)
        first = asked(server)
        server.faults = {}
        again = in_words(server, answers=Answers(tmp_path / "answers"))
        again.sample(words(8), GREEDY)
        later = asked(server)[len(first) + 1 :]
    assert len(first) == len(later) == 4
    assert not set(first) & set(later)


def test_a_torn_last_answer_is_asked_again(tmp_path, engine, server):
    path = tmp_path / "answers"
    asker = in_words(server, answers=Answers(path))
    found = asker.sample(words(3), GREEDY)
    path.write_bytes(path.read_bytes()[:-10])
    before = len(server.answered)
    again = in_words(server, answers=Answers(path)).sample(words(3), GREEDY)
    assert (again, len(server.answered) - before) == (found, 2)  # one at the start
    assert len(path.read_bytes().splitlines()) == 3


def test_answers_that_a_power_failure_left_without_sense_are_asked_again(tmp_path):
    path = tmp_path / "answers"
    Answers(path).add("a", Completion((1,), "stop"))
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(20) + b"\n" + whole.replace(b"a", b"b", 1))
    answers = Answers(path)
    assert (answers.get("a"), answers.get("b")) == (Completion((1,), "stop"), None)
    assert path.read_bytes() == whole


def test_a_disk_that_is_full_of_answers_is_said_in_one_line(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    answers = Answers(tmp_path / "answers")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(CtmError, match="cannot keep the server's answers"):
            answers.add("a", Completion((), "stop", "x" * 200))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_bound_on_requests_is_kept_and_a_second_call_goes_on(engine, tmp_path):
    with OpenAIServer(engine, faults={3: "500"}) as server:
        options = {"max_requests": 6, "concurrency": 4}
        asker = in_words(server, answers=Answers(tmp_path / "answers"), **options)
        with pytest.raises(CtmError, match="--max-requests 6 are spent"):
            asker.sample(words(9), GREEDY)
        assert len(server.answered) == 6
        in_words(server, answers=Answers(tmp_path / "answers"), **options).sample(words(9), GREEDY)
        assert len(server.answered) == 11


REFUSED = {
    "a server that is not there": ({}, {"base_url": "http://127.0.0.1:9/v1"}, "cannot be reached"),
    "a model that it does not have": ({}, {"model": "other"}, "says 404: there is no model other"),
    "no token ids": ({"ids": False}, {"tokenizer": "pocket"}, "says 400: prompt must be a string"),
    "too few log-probabilities": ({"max_logprobs": 20}, {"tokenizer": "pocket"}, "--max-logprobs -1"),
    "the tokenizer of another model": ({}, {"tokenizer": "other"}, "are not those of --tokenizer"),
    "no chat": ({"only": "v1/completions"}, {"chat": True}, "says 404: Not Found"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused_at_the_start(engine, case, tmp_path):
    of_server, of_engine, said = REFUSED[case]
    if of_engine.get("tokenizer") == "other":
        of_engine = {"tokenizer": str(reversed_tokenizer(engine, tmp_path))}
    with OpenAIServer(engine, **of_server) as server:
        options = {"base_url": server.url, "model": "pocket", "chat": False, **of_engine}
        load = load_engine if "tokenizer" in options else load_sampler
        with pytest.raises(CtmError, match=said):
            load("openai", options.pop("model"), **options)


def reversed_tokenizer(engine, folder):
    """A tokenizer whose words have other ids."""
    import shutil

    from ctm_eval.pocket.builtin import MODELS

    other = shutil.copytree(MODELS["pocket"], folder / "other")
    told = json.loads((other / "tokenizer.json").read_text())
    vocabulary, special = told["model"]["vocab"], {t["id"] for t in told["added_tokens"]}
    names = [name for name, i in vocabulary.items() if i not in special]
    ids = [vocabulary[name] for name in names]
    vocabulary |= dict(zip(names, ids[::-1], strict=True))
    (other / "tokenizer.json").write_text(json.dumps(told))
    return other


def test_a_server_that_ignores_what_it_does_not_know_tells_no_ids(engine, monkeypatch):
    with OpenAIServer(engine) as server:
        server.ids = None  # takes ids, and says none
        with pytest.raises(CtmError, match=r"prompt must be a string|tells no token ids"):
            load_engine("openai", "pocket", base_url=server.url, tokenizer="pocket")


def test_the_other_name_of_the_limit_is_found_out(engine, monkeypatch):
    monkeypatch.setattr(engine, "encode_chat", lambda turns: engine.encode(turns[-1]["content"]))
    with OpenAIServer(engine, newer=True) as server:
        asker = load_sampler("openai", "pocket", base_url=server.url)
        turns = ({"role": "user", "content": "1 + 1?"},)
        assert len(asker.sample([request_for(turns, 0, 5)], GREEDY)) == 1


def test_the_key_comes_from_the_environment_and_is_in_no_error(engine, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    with OpenAIServer(engine, key="sk-very-secret") as server:
        assert len(in_words(server).sample(words(1), GREEDY)) == 1
        server.key = "another"
        with pytest.raises(CtmError, match="says 401: wrong key Bearer …") as caught:
            in_words(server)
    assert "secret" not in "".join(map(str, (caught.value, caught.value.__cause__)))
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("address", "said"),
    [(None, "needs the server's address"), ("localhost:8000", "takes the address of a server"),
     ("http://", "takes the address"), ("ftp://host/v1", "takes the address"),
     ("http://host:port/v1", "takes the address"), ("http://me:key@host/v1", "OPENAI_API_KEY"),
     ("http://host/v1?key=abc", "OPENAI_API_KEY")],
)  # fmt: skip
def test_an_address_is_checked_and_holds_no_key(address, said):
    with pytest.raises(CtmError, match=said) as caught:
        load_sampler("openai", "pocket", base_url=address)
    assert "abc" not in str(caught.value) and "me:key" not in str(caught.value)


def test_it_works_where_a_loop_runs_already(server):
    import asyncio

    async def in_a_notebook():
        return in_words(server).sample(words(2), GREEDY)

    assert len(asyncio.run(in_a_notebook())) == 2
