"""The tables of labelled cases, and real benchmark data where it is present."""

import json
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DATA = HERE.parents[3] / "shared" / "data"

sys.path.insert(0, str(HERE))  # the tables that the benchmark shares with the tests


def table(name: str) -> list[dict]:
    return [json.loads(line) for line in (HERE / name).read_text().splitlines()]


def pytest_generate_tests(metafunc):
    """A test that asks for a `pair` or a `response` runs once a row of the table."""
    for fixture, file in (("pair", "pairs.jsonl"), ("response", "responses.jsonl")):
        if fixture in metafunc.fixturenames:
            rows = table(file)
            ids = [f"{row['group'].replace(' ', '_')}-{k}" for k, row in enumerate(rows)]
            metafunc.parametrize(fixture, rows, ids=ids)


def real_rows(name: str) -> list[dict]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no ../shared/data/{name} beside the repository")
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="session")
def gsm8k_test():
    return [row["answer"] for row in real_rows("openai-gsm8k/test.jsonl")]


@pytest.fixture(scope="session")
def gsm8k_train():
    return [row["answer"] for row in real_rows("openai-gsm8k/train.jsonl")]


@pytest.fixture(scope="session")
def math500():
    return real_rows("math-500/test.jsonl")
