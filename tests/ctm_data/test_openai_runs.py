"""Evaluations and builds with a model behind a server: the rows are those of the model here."""

import json
import re
import shlex
import time
from pathlib import Path

import pytest
from openai_server import OpenAIServer
from typed import CTM, Typed, ctm

pytest.importorskip("openai")

from ctm_data.build import build_dataset
from ctm_data.config import BuildConfig, EvalConfig
from ctm_data.eval import evaluate
from ctm_data.run.store import Store
from ctm_data.verify import verify
from ctm_eval.engines.openai import ids
from ctm_eval.errors import CtmError

EVAL = {"limit": 12, "max_new_tokens": 80, "chunk_size": 4}
BUILD = {"limit": 4, "n_samples": 8, "n_rollouts": 4, "chunk_size": 2, "max_new_tokens": 100,
         "stages": ("rollouts",)}  # fmt: skip
TEXTS = ("problem_id", "text", "answer", "correct", "verdict", "finish_reason")


@pytest.fixture(scope="module")
def server(engine):
    with OpenAIServer(engine) as server:
        yield server


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The rows of a greedy evaluation of the model here."""
    return rows(evaluate(EvalConfig(tmp_path_factory.mktemp("here") / "run", **EVAL)))


def rows(store, table="solutions"):
    return store.read(table).to_pylist()


def through(server, **options):
    return {"engine": "openai", "base_url": server.url, **options}


def test_a_greedy_evaluation_in_words_says_what_the_model_says_here(server, here, tmp_path):
    store = evaluate(EvalConfig(tmp_path / "run", **through(server), **EVAL))
    mine = rows(store)
    assert [{n: row[n] for n in TEXTS} for row in mine] == [
        {n: row[n] for n in TEXTS} for row in here
    ]
    assert {(row["prompt_ids"], row["token_ids"]) for row in mine} == {(None, None)}
    assert verify(store.folder).ok


def test_a_greedy_evaluation_in_token_ids_has_the_same_rows(server, here, tmp_path):
    config = EvalConfig(tmp_path / "run", **through(server, tokenizer="pocket"), **EVAL)
    assert rows(evaluate(config)) == here


def test_rollouts_over_a_server_are_those_of_the_model_here(server, tmp_path, monkeypatch):
    monkeypatch.setattr(ids, "SEEDS", 1 << 63)  # the seeds of the model here
    mine = build_dataset(BuildConfig(tmp_path / "served", **through(server), **BUILD))
    here = build_dataset(BuildConfig(tmp_path / "here", **BUILD))
    assert rows(mine) == rows(here)
    assert len(rows(here, "rollouts")) > 1
    for own, other in zip(rows(mine, "rollouts"), rows(here, "rollouts"), strict=True):
        for name, value in other.items():
            if name in ("keep_prob", "entropy", "margin", "critical_prob"):
                assert own[name] == pytest.approx(value, abs=1e-5), name
            elif name not in ("prompt_value", "value", "value_low", "value_high"):
                assert own[name] == value, name
    assert verify(mine.folder).ok


def test_a_command_and_a_server_that_are_killed_lose_nothing_and_ask_nothing_twice(here, tmp_path):
    """The server dies and comes back while the command runs; then the command is killed, and goes on."""
    log, run = tmp_path / "log", tmp_path / "run"
    port, first = free_port(), None
    serve = "from openai_server import main; import sys; main(*sys.argv[1:])"

    def start():
        started = Typed(serve, port, "pocket", log)
        wait_for(lambda: "ready" in started.stdout)
        return started

    def answered():
        return log.read_text().splitlines()[0:] if log.exists() else []

    words = [
        "eval",
        "--limit",
        12,
        "--max-new-tokens",
        80,
        "--chunk-size",
        12,
        "--engine",
        "openai",
    ]
    words += ["--base-url", f"http://127.0.0.1:{port}/v1", "--output-dir", run, "--concurrency", 2]
    try:
        first = start()
        command = Typed(CTM, *words)
        wait_for(lambda: len(answered()) > 3)
        first.kill()
        first = start()
        wait_for(lambda: len(answered()) > 7)
        command.kill()
        done = ctm(*words)
        assert done.returncode == 0, done.stderr
    finally:
        if first:
            first.kill()
    mine = rows(Store(run))
    assert [{n: row[n] for n in TEXTS} for row in mine] == [
        {n: row[n] for n in TEXTS} for row in here
    ]
    asked = [body for body in answered() if json.loads(body)["max_tokens"] == 80]
    kept = 12 + 2 + 2  # what was in flight at either kill was answered, and not heard
    assert 12 <= len(asked) <= kept
    assert not (run / ".answers.jsonl").exists()


def test_the_key_is_in_no_file_and_no_line_of_output(engine, tmp_path):
    with OpenAIServer(engine, key="sk-very-secret", faults={3: "500"}) as server:
        words = ["eval", "--limit", 4, "--engine", "openai", "--base-url", server.url, "--verbose"]
        words += ["--max-new-tokens", 20, "--output-dir", tmp_path / "run"]
        done = ctm(*words, OPENAI_API_KEY="sk-very-secret")
        refused = ctm(*words[:-1], tmp_path / "other", OPENAI_API_KEY="sk-another-secret")
    assert (done.returncode, refused.returncode) == (0, 1)
    said = done.stdout + done.stderr + refused.stdout + refused.stderr
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert "secret" not in said and not any(b"secret" in content for content in files)
    assert not (tmp_path / "other").exists()


PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "servers.md"
SMALL = {
    "eval": "--limit 4 --n-samples 1",
    "build-dataset": "--limit 2 --n-samples 4 --n-rollouts 4",
}


def test_the_how_to_page_can_be_followed(server, tmp_path):
    """Its commands with the server and the model that are here, and few problems."""
    served = {"http://127.0.0.1:8000/v1": server.url, "https://my-host.example/v1": server.url,
              "Qwen/Qwen2.5-0.5B-Instruct": "pocket", "my-model": "pocket", "gsm8k": "pocket"}  # fmt: skip
    found = re.findall(r"^ctm (.+)", PAGE.read_text(), re.MULTILINE)
    assert len(found) == 4
    for line in found:
        words = [served.get(word, word) for word in shlex.split(line)]
        done = ctm(*words, *SMALL[words[0]].split(), cwd=tmp_path)
        assert done.returncode == 0, done.stderr


REFUSED = {
    "an address without the engine": (EvalConfig, {"base_url": "http://h/v1"}, "needs --engine openai"),
    "no address": (EvalConfig, {"engine": "openai"}, "needs the server's address"),
    "an adapter": (EvalConfig, {"engine": "openai", "base_url": "http://h/v1", "adapter": "a"},
                   "let the server load it"),
    "p+ without weights": (BuildConfig, {"engine": "openai", "base_url": "http://h/v1",
                           "model": "runs/none", "tokenizer": "pocket"}, "--stages rollouts"),
    "descriptions in words": (BuildConfig, {"engine": "openai", "base_url": "http://h/v1",
                              "benchmark": "pocket-code", "stages": ("verifier",), "describe": True},
                              "--describe needs token ids"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_options_that_cannot_work_are_refused(case):
    kind, options, said = REFUSED[case]
    with pytest.raises(CtmError, match=said):
        kind(**options).check()


def free_port():
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)
