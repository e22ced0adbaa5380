"""What the README, the docs and the examples say one can type, typed."""

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hub import Hub

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
SMALL = {
    "build-dataset": "--limit 4 --n-samples 8 --n-rollouts 8 --chunk-size 2".split(),
    "eval": "--limit 8 --chunk-size 4".split(),
}
# What a command needs that is not here: weights, data sets, GPUs. Its options are read, it is not run.
ELSEWHERE = re.compile(
    r"^view\b|Qwen/|meta-llama|deepseek-ai|HuggingFaceTB|Lin1557|my-model|--preset|runs/(thinking|qwen)\b"
    r"|--engine vllm|--report-to|--ray |s3://|from-bucket"
    r"|--benchmark (gsm8k|math|math500|mbpp|champ)\b|accelerate|outputs\.jsonl|\.\.\.|…"
)
OTHERS = ("make", "python", "pip", ".venv/bin/pip", "hf", "git", "cd", "export", "#", "accelerate", "vllm",
          "transformers", "ray", "chmod")  # fmt: skip


def blocks(text):
    """(language, title, content) of every block of a page."""
    fence = r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```'
    return re.findall(fence, text, re.DOTALL | re.MULTILINE)


def lines(block):
    """The commands of a block, those of several lines joined."""
    return [line for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def steps_of(page):
    """What the blocks of a page do, in their order: write a file, type a command, run Python."""
    for language, title, content in blocks(page.read_text()):
        if title:
            yield "file", (title, content)
        elif language == "python":
            yield "python", content
        elif language == "bash":
            for line in lines(content):
                words = shlex.split(line.removeprefix(".venv/bin/"), comments=True)
                if line == "make demo":
                    words = ["ctm", "build-dataset", "--output-dir", "runs/pocket"]
                if words[:1] == ["ctm"] and "--install-completion" not in words:
                    yield "ctm", words[1:]


def elsewhere(kind, what):
    return bool(ELSEWHERE.search(shlex.join(what) if kind == "ctm" else what))


def small(words):
    """A command with fewer problems and samples, unless that would make another run of it."""
    more = [] if {"--merge", "--summary", "--plan"} & {*words} else SMALL.get(words[0], [])
    given = {word for word in words if word.startswith("--")}
    pairs = [more[i : i + 2] for i in range(0, len(more), 2)]
    short = {"--n-samples": "--n"}
    kept = [pair for pair in pairs if pair[0] != "--n-samples" or short["--n-samples"] not in given]
    return [*words, *(word for pair in kept for word in pair)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which all pages have been followed, in their order (but small)."""
    folder = tmp_path_factory.mktemp("docs")
    steps = []
    for page in PAGES:
        for kind, what in steps_of(page):
            if kind == "file":
                (folder / what[0]).write_text(what[1])
            elif not elsewhere(kind, what):
                steps.append((kind, small(what) if kind == "ctm" else what))
    for notebook in NOTEBOOKS:
        steps.append(("python", code_of(notebook)))
    with Hub() as hub:
        hub.tokens["hf_you"] = "you"
        env = {**os.environ, **hub.env(folder / "home", "hf_you"), "CTM_QUIET": "1"}
        done = subprocess.run(
            [sys.executable, ROOT / "tests" / "support" / "followed.py"],
            input=json.dumps(steps), cwd=folder, capture_output=True, text=True, env=env,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    failed = json.loads(done.stdout.splitlines()[-1])
    assert failed is None, "{}\nexit code {}\n{}".format(*failed)
    return folder


def code_of(notebook):
    """The code of a notebook, top to bottom."""
    cells = json.loads(notebook.read_text())["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def test_every_page_and_notebook_works_from_top_to_bottom(folder):
    assert (folder / "runs" / "pocket" / "manifest.json").exists()
    assert (folder / "runs" / "a" / "manifest.json").exists()


def test_the_program_that_a_page_asks_for_is_written(folder):
    results = json.loads((folder / "runs" / "eval-code" / "results_ctm.json").read_text())
    assert results["results"]["code"]["pass@1,none"] == 1.0


def test_the_sql_works(folder, monkeypatch):
    import duckdb

    monkeypatch.chdir(folder)
    for page in PAGES:
        for language, _, block in blocks(page.read_text()):
            if language == "sql":
                assert duckdb.sql(block).fetchall()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_that_need_what_is_elsewhere_have_options_that_there_are(page):
    import typer

    from ctm_cli.main import app

    group = typer.main.get_command(app)
    for kind, what in steps_of(page):
        if kind == "ctm" and elsewhere(kind, what) and "…" not in what:
            context = group.make_context("ctm", list(what))
            name, command, rest = group.resolve_command(context, [*what])
            command.make_context(name, rest, parent=context, resilient_parsing=False)


def run_folder(words):
    """The folder that a command writes rows to, with the options that make them; None if it makes none."""
    if words[0] not in ("build-dataset", "eval") or {"--merge", "--summary", "--plan"} & {*words}:
        return None
    options = dict(pairwise(words))
    usual = ("eval-" if words[0] == "eval" else "") + options.get("--benchmark", "pocket")
    not_rows = ("--output-dir", "--compare")
    return options.get("--output-dir", f"runs/{usual}"), {
        word: value
        for word, value in options.items()
        if word.startswith("--") and word not in not_rows
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_two_commands_of_a_page_want_one_folder_for_different_runs(page):
    made = {}
    for kind, words in steps_of(page):
        found = run_folder(words) if kind == "ctm" and "…" not in words else None
        if found:
            folder, recipe = found
            assert made.setdefault(folder, recipe) == recipe, f"{folder}: {words}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_block_has_a_command_that_this_test_does_not_know(page):
    for language, _, content in blocks(page.read_text()):
        for line in lines(content) if language == "bash" else []:
            assert line.removeprefix(".venv/bin/").startswith(("ctm ", *OTHERS)), line


def test_nobody_is_told_to_install_the_other_project_that_pypi_has_under_this_name():
    sources = [
        path for room in ("cli", "ctm_*", "benchmarks") for path in ROOT.glob(f"{room}/**/*.py")
    ]
    for path in [*PAGES, *NOTEBOOKS, *sources, ROOT / "CONTRIBUTING.md"]:
        assert not re.search(r"pip install[^\n`]* [\"'\\]*ctm\b", path.read_text()), path


def test_notebooks_are_stored_without_output():
    for notebook in NOTEBOOKS:
        for cell in json.loads(notebook.read_text())["cells"]:
            assert not cell.get("outputs") and cell.get("execution_count") is None, notebook.name


def test_every_page_is_on_the_site_and_every_command_in_its_reference():
    import importlib.util

    import yaml

    made = importlib.util.spec_from_file_location("_site", ROOT / "docs" / "_site.py")
    site = importlib.util.module_from_spec(made)
    made.loader.exec_module(site)
    nav = json.dumps(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    for page in (ROOT / "docs").rglob("*.md"):
        assert f'"{page.relative_to(ROOT / "docs")}"' in nav, page.name
    commands = site.commands()
    for words in ("## ctm build-dataset", "`--temperature` | Sampling", "| `1.0` |", "## ctm runs"):
        assert words in commands
    assert "| `keep_prob` | list<item: double> | `token_ids` |" in site.tables()


def test_every_function_of_the_reference_is_there():
    names = re.findall(
        r"^::: (\S+)$", (ROOT / "docs/reference/python.md").read_text(), re.MULTILINE
    )
    assert len(names) > 20
    for name in names:
        module, _, function = name.rpartition(".")
        assert hasattr(importlib.import_module(module), function), name


def test_the_source_distribution_has_what_the_readme_names():
    """The packages are in it by themselves, the rest by MANIFEST.in."""
    told = [line.split() for line in (ROOT / "MANIFEST.in").read_text().splitlines()]
    included = {pattern for word, *patterns in told if word == "include" for pattern in patterns}
    grafted = {folder for word, *folders in told if word == "graft" for folder in folders}
    links = re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / "README.md").read_text())
    for name in [*links, "Makefile", "constraints.txt", "tests/test_docs.py", "mkdocs.yml"]:
        first = Path(name).parts[0]
        assert first in grafted or any(Path(name).match(one) for one in included), name


def test_every_link_to_a_file_leads_somewhere():
    pages = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "RESULTS.md"]
    for page in pages:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
