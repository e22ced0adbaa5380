"""What the README says one can type, typed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hub import Hub
from typed import CTM, ctm

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
SMALL = "--limit 4 --n-samples 8 --n-rollouts 8 --chunk-size 2".split()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def commands():
    """The `ctm` lines of the README, but those that name a model or a benchmark from elsewhere."""
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    named = [line.removeprefix(".venv/bin/") for line in lines if "ctm " in line]
    return [shlex.split(line) for line in named if "--model" not in line and "pip" not in line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the README's commands have been typed, in their order (but small)."""
    folder = tmp_path_factory.mktemp("readme")
    ordered = sorted(commands(), key=lambda words: words[1] != "build-dataset")
    assert len(ordered) >= 5
    with Hub() as hub:
        hub.tokens["hf_you"] = "you"
        env = {**os.environ, **hub.env(folder / "home", "hf_you")}
        for words in ordered:
            small = SMALL if words[1] == "build-dataset" and "--merge" not in words else []
            if words[1] in ("publish", "pull", "query"):
                command = [sys.executable, "-c", CTM, *words[1:]]
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env)
            else:
                done = ctm(*words[1:], *small, cwd=folder)
            assert done.returncode == 0, (words, done.stderr)
    return folder


def test_the_commands_work(folder):
    assert (folder / "runs" / "pocket" / "manifest.json").exists()
    assert (folder / "runs" / "a" / "manifest.json").exists()


def test_the_python_works(folder):
    for block in blocks("python"):
        done = subprocess.run(
            [sys.executable, "-c", block],
            cwd=folder,
            capture_output=True,
            text=True,
            env={**os.environ, "HF_HOME": str(folder / "cache")},
        )
        assert done.returncode == 0, (block, done.stderr)


def test_the_sql_works(folder, monkeypatch):
    import duckdb

    monkeypatch.chdir(folder)
    for block in blocks("sql"):
        assert duckdb.sql(block).fetchall()


def test_every_link_to_a_file_leads_somewhere():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
